// Explains a classifier: the one place that knows how an explainer's map is made of a forward pass, through what it can
// be differentiated afterwards, and how a loss on it is computed. What reads training batches, evaluation, overlays and
// the walkthrough come through here.
//
//   Forward pass   = explained_forward(model, x, ForwardOptions::observing(), options);
//   Explanation e  = explain(model, x, pass, labels, options);                  // e.cam [N, H, W]
//
// or, of tensors alone, with a gradient to whatever the logits depend on:
//
//   Explanation e  = explain(logits, labels, {A}, 224, 224, {.gradient = CamGradient::full});
//   Tensor penalty = box_penalty(e.cam, masks);
#pragma once

#include <string>
#include <vector>

#include "nn/classifier.h"
#include "xai/cam.h"
#include "xai/explainers.h"
#include "xai/losses.h"

namespace boxcam {

/// Which score is explained: the raw logit y_c (the thesis, pytorch-grad-cam), or y_c minus the mean of all logits.
/// Cross-entropy does not see a shift common to all classes, so the raw logit's map can be made negative everywhere
/// (an empty CAM) without changing one prediction; the centred score has no such freedom.
enum class CamTarget { logit, centered };

/// Through what a CAM, M = sum_k weights_k A_k, can be differentiated afterwards.
enum class CamGradient {
  none,         ///< nothing: it is data
  activations,  ///< the A that is weighted; the weights are constants
  weights,      ///< the weights, also where they depend on A; the A that is weighted is a constant
  full,         ///< both: the whole expression
};

struct CamOptions {
  CamTarget target = CamTarget::logit;
  CamNormalizer normalizer = CamNormalizer::differentiated;
  CamProfile profile = CamProfile::pgc_1_4;
  CamGradient gradient = CamGradient::none;
  const Explainer* explainer = &explainers().front();
  Ablation ablation = Ablation::zero;  ///< of ablation-cam
};

/// An explanation and its intermediates; alpha and raw have one entry for each tap, but for explainers that have no
/// weights (no alpha), and those of the input (no alpha, one raw [N, H, W]).
struct Explanation {
  Tensor classes;             ///< i32 [N]: which are explained
  std::vector<Tensor> alpha;  ///< [N, K]: each channel's weight, or the mean of its cells' weights
  std::vector<Tensor> raw;    ///< [N, h, w]: M, signed
  Tensor cam;                 ///< [N, H, W] in [0, 1]; all zero where no M is positive (but for pgc_1_3_1)
  Tensor losses;              ///< [N]: of the loss that was asked for, else undefined
};

/// A loss of the CAM and masks [N, H, W], to be computed along with it; by default none.
struct MaskedLoss {
  const CamLoss* loss = nullptr;
  Tensor masks = {};
};

/// [N, classes]: row n turns logits into the explained score: one-hot of the label, minus 1/classes if centred.
Tensor target_weights(const Tensor& labels, int64_t classes, CamTarget target, DType dtype);

/// The scalar that is differentiated: the explained scores of logits [N, classes], summed over the batch (as
/// pytorch-grad-cam does).
Tensor explained_score(const Tensor& logits, const Tensor& labels, CamTarget target);
/// The same, or the score that the explainer brings along.
Tensor explained_score(const Tensor& logits, const Tensor& labels, const CamOptions& options);

/// Of class labels[n] at any taps, through `grad`. logits [N, classes] must depend on every tap [N, h, w, K], f32, f64
/// or bf16; labels i32 [N]; the CAM is resized to height x width and, like weights and M, of the logits' type. Because
/// the scores are summed over the batch before they are differentiated, samples mix where batch norm in train mode
/// follows a tap. Throws Error for shapes that do not fit, for a pass that was not recorded, for an explainer that asks
/// the model, and for a gradient of one that cannot teach.
Explanation explain(const Tensor& logits, const Tensor& labels, const std::vector<Tensor>& taps, int64_t height,
                    int64_t width, const CamOptions& options = {}, const MaskedLoss& loss = {});

/// The same numbers without a backward pass, for a tap that goes straight into global average pooling and a linear head
/// with weight [classes, K]: there the score's gradient is target_weights head_weight / (h w) in every cell. An
/// explainer with a score of its own reads the logits, too.
Explanation explain_linear_head(const Tensor& head_weight, const Tensor& labels, const Tensor& tap, int64_t height,
                                int64_t width, const CamOptions& options = {}, const MaskedLoss& loss = {},
                                const Tensor& logits = {});

// ---- of a model -----------------------------------------------------------------------------------------------------

/// How a classifier is explained.
struct ExplainOptions {
  enum class Class { label, predicted };
  CamOptions cam;
  std::vector<std::string> taps;  ///< several: their maps are averaged; settle_taps gives the model's default
  Class explains = Class::label;  ///< the image's own, or the one that the model predicts
};

/// Gives options without taps the model's default tap; throws as Classifier::check_taps.
void settle_taps(ExplainOptions& options, const Classifier& model);

/// Whether the score's gradient at the taps has a closed form, so that the pass need not be recorded for it.
bool has_closed_form(const Classifier& model, const ExplainOptions& options);

/// The classes that are explained, i32 [N]: the labels, or the model's own answers.
Tensor explained_classes(const Tensor& logits, const Tensor& labels, const ExplainOptions& options);

/// A forward pass with the taps (and `more_taps`, where it is recorded), recorded only where `explain`, or the caller
/// (`record`), differentiates something.
Forward explained_forward(Classifier& model, const Tensor& x, const ForwardOptions& pass, const ExplainOptions& options,
                          bool record = false, const std::vector<std::string>& more_taps = {});

/// `pass` is the model's, of images x [N, H, W, 3], with the taps; explained are the classes that explained_classes
/// gives. The CAM has the images' height and width. Whatever the explainer asks of the model moves nothing in it.
Explanation explain(Classifier& model, const Tensor& x, const Forward& pass, const Tensor& labels,
                    const ExplainOptions& options, const MaskedLoss& loss = {});

}  // namespace boxcam
