// Layers: plain structs of tensors, called like functions. Activations are NHWC.
#pragma once

#include <string>
#include <vector>

#include "engine/ops.h"
#include "nn/module.h"

namespace boxcam {

/// How a forward pass is run. In `train`, batch norm uses the batch's statistics.
enum class Mode { train, eval };
struct ForwardOptions {
  Mode mode = Mode::eval;
  bool update_running_statistics = false;  ///< in `train`: the one pass of a step that predicts; never a CAM pass

  /// The pass of a training step that predicts: batch statistics, and the running ones move.
  static constexpr ForwardOptions training() { return {Mode::train, true}; }
  /// A pass that looks on: it moves nothing.
  static constexpr ForwardOptions observing(Mode mode = Mode::eval) { return {mode, false}; }
};

/// A convolution without bias, as in every ResNet. weight: [out, kh, kw, in].
struct Conv2d {
  Tensor weight;
  Conv2dSpec spec;

  /// Kaiming normal, fan out, for ReLU (torchvision's ResNet initialisation); `name` selects the random stream.
  static Conv2d make(const std::string& name, int64_t in, int64_t out, int64_t kernel, const Conv2dSpec& spec,
                     DType dtype, uint64_t seed);
  Tensor operator()(const Tensor& x) const { return conv2d(x, weight, spec); }
  void visit(const std::string& prefix, const TensorVisitor& visitor);
};

/// Batch normalisation over N, H, W. PyTorch's defaults: eps 1e-5, momentum 0.1, running variance unbiased.
struct BatchNorm2d {
  Tensor weight, bias, running_mean, running_var;
  Tensor num_batches_tracked;  ///< i32 scalar, as PyTorch counts
  double eps = 1e-5, momentum = 0.1;

  static BatchNorm2d make(int64_t channels, DType dtype);
  /// normalise x, then + residual if defined, then ReLU if asked: one pass over memory.
  Tensor operator()(const Tensor& x, const ForwardOptions& options, bool with_relu, const Tensor& residual = {});
  /// In eval mode y = scale x + shift for each channel.
  Tensor scale() const;
  Tensor shift() const;
  /// As momentum says, from what a training pass over x measured.
  void update_running_statistics(const BatchStatistics& batch, const Tensor& x);
  void visit(const std::string& prefix, const TensorVisitor& visitor);
};

/// A convolution and the batch norm of its output.
struct ConvNorm {
  Conv2d conv;
  BatchNorm2d norm;

  static ConvNorm make(const std::string& name, int64_t in, int64_t out, int64_t kernel, const Conv2dSpec& spec,
                       DType dtype, uint64_t seed);
  /// Both, then + residual if defined, then ReLU if asked, in `eval` mode and for no derivative: with the statistics
  /// folded into the convolution's weight and a bias, one pass. The residual may be moved in, as in
  /// conv2d_bias_into.
  Tensor folded(const Tensor& x, bool with_relu, Tensor residual = {}) const;
  /// In `train` mode: this batch norm of x, ReLU, then the convolution of `next`. What lies between them is not kept
  /// but made again.
  Tensor norm_relu_conv(const Tensor& x, const Conv2d& next, const ForwardOptions& options);
};

/// y = x W^T + b. weight: [out, in], bias: [out].
struct Linear {
  Tensor weight, bias;

  /// Uniform in +-1/sqrt(in), as PyTorch's nn.Linear.
  static Linear make(const std::string& name, int64_t in, int64_t out, DType dtype, uint64_t seed);
  Tensor operator()(const Tensor& x) const { return matmul(x, weight, {.transpose_b = true}) + bias; }
  void visit(const std::string& prefix, const TensorVisitor& visitor, bool head = false);
};

}  // namespace boxcam
