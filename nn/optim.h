// Optimisers: update parameters in place from gradients that `grad` returned.
#pragma once

#include <string>
#include <vector>

#include "engine/tensor.h"
#include "nn/module.h"

namespace boxcam {

struct OptimizerOptions {
  enum class Kind { sgd, adamw } kind = Kind::sgd;
  double momentum = 0.9;  ///< sgd
  bool nesterov = false;  ///< sgd
  double weight_decay = 1e-4;
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;  ///< adamw
};

/// SGD as torch.optim.SGD (weight decay added to the gradient, dampening 0), AdamW as torch.optim.AdamW.
class Optimizer {
 public:
  Optimizer(std::vector<NamedTensor> parameters, const OptimizerOptions& options);

  /// gradients[i] belongs to the i-th parameter. Nothing may be differentiated through the old values after it.
  void step(const std::vector<Tensor>& gradients, double learning_rate);

  int64_t steps() const { return steps_; }
  void set_steps(int64_t steps) { steps_ = steps; }
  /// State to store for resuming: "momentum.<parameter>", or "first_moment." and "second_moment.".
  std::vector<NamedTensor> state() const;

 private:
  OptimizerOptions options_;
  std::vector<NamedTensor> parameters_;
  std::vector<Tensor> first_, second_;
  int64_t steps_ = 0;
};

/// Scales the gradients so that their common 2-norm is at most `max_norm`; returns the norm before. Fixed order.
double clip_grad_norm(std::vector<Tensor>& gradients, double max_norm);

/// Learning rate for a step: linear warm-up over a share of all steps, then constant, cosine to 0, or a tenth after 1/2
/// and a hundredth after 3/4 of the steps.
struct Schedule {
  enum class Kind { constant, cosine, step } kind = Kind::constant;
  double learning_rate = 0.01;
  double warmup = 0;  ///< share of all steps
  double at(int64_t step, int64_t total_steps) const;
};

}  // namespace boxcam
