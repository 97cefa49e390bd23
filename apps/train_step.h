// One training step, in the eight numbered steps of the thesis: what `train` repeats and `walkthrough` tells.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "apps/common/method.h"
#include "apps/step_input.h"
#include "nn/optim.h"
#include "xai/evidence_split.h"

namespace boxcam {

/// What to do when training diverged, for the end of an error.
inline constexpr const char* kDiverged =
    "the last checkpoint is untouched; a new run with a lower --lr or with --clip-grad-norm may help, and can start "
    "from this run's last epoch, once one has ended, with --weights last.safetensors";

/// What a step computes, in its order and under the names of docs/method.md. `gc` is the pass that is explained, `cl`
/// the one that predicts; they are one where Grad-CAM reads the classifier's own training pass. `taught` is the part of
/// the CAM's side that is differentiated, lambda P or (leak) the explained score; undefined where nothing is.
struct Step {
  Forward gc;
  Tensor classes;                ///< i32 [N]: the explained classes
  std::vector<Tensor> alpha, M;  ///< of each tap
  Tensor C;                      ///< [N, S, S]; of several labels undefined, and M is that of one class after another
  PairRecords pairs;             ///< of several labels: what their CAMs were measured to be
  Forward cl;
  Tensor cross_entropies;                           ///< [N]
  Tensor cross_entropy;                             ///< their mean, weighted by class where classes are balanced
  Tensor B, P;                                      ///< [N, S, S], of one label; a scalar
  EvidenceSplit evidence;                           ///< of a method that splits; else undefined, as its two terms
  Tensor evidence_cross_entropy, evidence_penalty;  ///< scalars
  Tensor swap_consistency, context_only;            ///< scalars; undefined where there is nothing to compare, or hidden
  Tensor classified;  ///< a scalar: what is differentiated on CL's side, cross-entropy, split and the two above
  Tensor loss, taught;
  std::vector<Tensor> gradients;  ///< of CL's parameters, as the optimiser gets them
};

/// Who looks on. `after` is called after each of the eight steps with its number and what is computed so far; `taps`
/// are kept in `cl` and, where it is recorded, in `gc`, beside those that are explained. Looking on changes no bit.
struct StepWatch {
  std::function<void(int number, const Step& step)> after = {};
  std::vector<std::string> taps = {};
};

/// Losses of images [N], each times the weight of its label; with empty weights `each` itself.
Tensor weighted_by_class(const Tensor& each, const Tensor& labels, const std::vector<double>& weights);

/// Which images enter the penalty; empty: all. One that lost its boxes in a crop never does: what it shows of its class
/// lies nobody knows where.
std::vector<char> counted_images(const StepInput& input, const Penalty& penalty);

/// The step of one method on one classifier. It owns the optimiser and, where the reading has one, the thesis' copy.
class TrainStep {
 public:
  /// CL must outlive the step. A method without taps explains CL's default tap.
  /// Without a head bias CL's becomes zero. Throws Error for an evidence split of a model whose last tap does not go
  /// through pooling into a linear head.
  TrainStep(Classifier& CL, const Method& method, const OptimizerOptions& optimizer);

  /// Throws Error that names the step, the term and an image when something is not finite; no parameter was changed
  /// then, but CL's running statistics have moved.
  StepReport operator()(const StepInput& input, double learning_rate, Metrics& metrics, const StepWatch& watch = {});

  Optimizer& optimizer() { return optimizer_; }
  const Optimizer& optimizer() const { return optimizer_; }
  /// The copy, or null. CL was changed from outside: `renew_copy` makes them equal again.
  const Classifier* copy() const { return GC_.get(); }
  void renew_copy();

 private:
  Tensor explain_labels(Step& step, const StepInput& input) const;
  Tensor explain_pairs(Step& step, const StepInput& input) const;
  void split_evidence_of(Step& step, const Tensor& labels) const;
  void compare_with_unswapped(Step& step, const StepInput& input) const;
  void classify_hidden(Step& step, const StepInput& input) const;
  std::vector<Tensor> gradients_of(const Step& step) const;
  void hold_head_bias(std::vector<Tensor>& gradients) const;
  void check_finite(const Step& step, const StepInput& input) const;

  Classifier& CL_;
  Method method_;
  std::unique_ptr<Classifier> GC_;
  Optimizer optimizer_;
};

}  // namespace boxcam
