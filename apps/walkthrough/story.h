// One training step as a story: train_step watched from outside, with what each of its eight steps cost, what it
// changed, and which gradient each term of the loss sends. Told by story_text (terminal) and story_page (HTML).
#pragma once

#include <array>
#include <map>
#include <string>
#include <vector>

#include "apps/common/model_card.h"
#include "apps/common/options/explain.h"
#include "apps/common/options/machine.h"
#include "apps/common/options/train.h"
#include "apps/train_step.h"
#include "nn/files/safetensors.h"

namespace boxcam {

struct WalkOptions {
  std::string checkpoint, html, dump;  ///< files; empty: none
  ModelCard card;                      ///< of the checkpoint or --weights
  DataOptions data;
  ModelOptions model;
  TrainOptions train;
  RunOptions run;
};

/// What the clock and the allocator saw of one numbered step, without what the story itself computes and keeps, and how
/// many tensors changed in it.
struct StepCost {
  double seconds = 0;
  size_t allocated = 0;             ///< bytes handed out during the step
  size_t peak = 0;                  ///< bytes in use at most during it
  int parameters = 0, buffers = 0;  ///< of the classifier
  int copied = 0;                   ///< of the copy
};

/// A term of what is differentiated, and the gradient it sends.
struct Term {
  std::string symbol;                         ///< "CE", "λP" or (leak) "Σ score"
  std::map<std::string, Tensor> activations;  ///< [N, h, w, K] by name of the tap
  std::vector<Tensor> parameters;             ///< of the classifier's parameters, in their order
  bool teaches = true;                        ///< false: it is not differentiated, and its gradients are zero
};

/// A stage between M and C.
struct CamStage {
  std::string name;
  Tensor maps;  ///< [N, h, w] or [N, S, S]
};

struct CopyCost {
  size_t bytes = 0;            ///< of a copy's parameters and buffers
  double seconds = 0;          ///< of copying the classifier onto it
  double forward_seconds = 0;  ///< of the forward pass that its CAM needs beside the classifier's, unrecorded
};

struct Story {
  std::string data, model;  ///< one line each
  std::vector<std::string> classes;
  Batch batch;
  StepInput input;
  double learning_rate = 0;
  TensorFile before;  ///< the classifier before the step, as its files have it
  std::vector<NamedTensor> parameters;
  std::vector<std::string> parts;             ///< of the model, by which its parameters are summed up
  std::vector<std::string> part_of;           ///< of each parameter
  std::vector<std::string> taps;              ///< that are explained
  std::vector<double> change;                 ///< of each parameter: |after - before| / |before| (2-norms)
  Step step;                                  ///< without history
  std::vector<std::vector<CamStage>> stages;  ///< of each tap
  std::vector<Tensor> asked;                  ///< G = dP/dM of each tap, [N, h, w], whether or not the step uses it
  Term cross_entropy, penalty;
  double accuracy = 0, content_heatmap = 0, box_coverage = 0, empty_cams = 0;
  std::array<StepCost, 8> costs;
  CopyCost copy;
  bool single_pass = false;  ///< the CAM is that of the classifier's own training pass
  bool copies = false;       ///< the step has a copy; otherwise `copy` says what one would cost

  double seconds() const;
  size_t peak() const;
  int64_t images() const { return batch.size; }
};

/// Takes the first batch of the training split, as `train` would see it, and makes one training step, after a rehearsal
/// on clones so that the clock does not measure first-time costs. Throws Error as `train` does, for a checkpoint that
/// cannot be read, and for a batch larger than the split.
Story tell_step(const WalkOptions& options);

/// Every intermediate and every parameter gradient by name; convolutions OIHW.
TensorFile dump_of(const Story& story, const WalkOptions& options);

double norm_of(const Tensor& tensor);                ///< the 2-norm of f32 values
double norm_of(const std::vector<Tensor>& tensors);  ///< of all their values
/// Of the gradients of one part's parameters.
std::vector<Tensor> part(const Story& story, const std::vector<Tensor>& gradients, const std::string& name);

}  // namespace boxcam
