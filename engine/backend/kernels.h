// The kernel table: what a device must be able to do. One instance per device, same file and function names in cpu/ and
// cuda/. Kernels trust their input: shapes, dtypes and devices were checked by the op. Every kernel *assigns* its
// outputs, which are allocated, contiguous and distinct from the inputs unless the contract says otherwise.
#pragma once

#include <cstdint>
#include <span>

#include "engine/specs.h"
#include "engine/tensor.h"

namespace boxcam {

enum class UnaryOp { exp, log, sqrt, abs, relu };
enum class BinaryOp { add, sub, mul, div, greater, relu_grad };

struct SgdStep {
  double lr, momentum, weight_decay;
  bool nesterov, first;  ///< first: the momentum buffer is set to the gradient (as in PyTorch)
};
struct AdamwStep {
  double lr, beta1, beta2, eps, weight_decay;
  int64_t step;  ///< counted from 1
};

/// Parameters, their gradients, and the optimiser's states: for each parameter one of each list. `second` is empty
/// where the optimiser has one state.
struct ParameterUpdates {
  std::span<Tensor> parameters;
  std::span<const Tensor> gradients;
  std::span<Tensor> first, second;
};

/// Inputs of the fused batch norm passes. mean and invstd are [C]; residual and y may be undefined.
struct BatchNormArgs {
  const Tensor &x, &gamma, &beta, &mean, &invstd, &residual;
  bool with_relu;
};

/// What the fused Grad-CAM and box penalty reads: activations [N, h, w, K], alpha [N, K], box mask [N, H, W]. With
/// `constant_normalizer` the minima and maxima of the normalisation are not differentiated.
struct CamBoxArgs {
  const Tensor &activations, &alpha, &mask;
  bool constant_normalizer;
};
/// What it assigns: the map M [N, h, w], the CAM [N, H, W], the penalty of each image [N], and that penalty's
/// derivatives: for M [N, h, w], and for alpha [N, K].
struct CamBoxResults {
  Tensor &map, &cam, &penalty, &map_grad, &alpha_grad;
};

struct Kernels {
  // elementwise
  void (*unary)(UnaryOp op, const Tensor& x, Tensor& y);
  void (*binary)(BinaryOp op, const Tensor& a, const Tensor& b, Tensor& y);  ///< numpy broadcasting to y's shape
  void (*cast)(const Tensor& x, Tensor& y);                                  ///< from any dtype to any, rounded
  void (*affine)(const Tensor& x, double scale, double shift, Tensor& y);    ///< y = scale x + shift
  /// y = x * scale + shift (+ residual), then ReLU if asked; scale and shift are [C], the last axis.
  void (*scale_shift)(const Tensor& x, const Tensor& scale, const Tensor& shift, const Tensor& residual, bool with_relu,
                      Tensor& y);
  // reduce: x is read as [outer, length, inner]
  void (*sum)(const Tensor& x, int64_t outer, int64_t length, int64_t inner, Tensor& y);  ///< y [outer, inner]
  void (*argmax)(const Tensor& x, bool minimum, Tensor& index);                           ///< [N, M] -> i32 [N, 1]
  // shape
  void (*take_at)(const Tensor& x, const Tensor& index, Tensor& y);
  void (*put_at)(const Tensor& g, const Tensor& index, Tensor& y);  ///< adds up where indices repeat, in order of k
  /// Copies x, read as [outer, x_length, inner], rows x_begin.. to y, read as [outer, y_length, inner], rows y_begin..;
  /// `count` rows; what y has besides is zero.
  void (*copy_range)(const Tensor& x, int64_t x_begin, Tensor& y, int64_t y_begin, int64_t outer, int64_t x_length,
                     int64_t y_length, int64_t count, int64_t inner);
  // matmul
  void (*matmul)(const Tensor& a, const Tensor& b, bool transpose_a, bool transpose_b, Tensor& y);
  // conv2d
  void (*conv2d)(const Tensor& x, const Tensor& w, const Conv2dSpec& spec, Tensor& y);
  /// y = conv2d(x, w) + bias (+ residual), then ReLU if asked; bias is [C], of the weights' type. y may be the
  /// residual. Instead of 0 the ReLU may give -2^-40 times what it cut off.
  void (*conv2d_bias)(const Tensor& x, const Tensor& w, const Conv2dSpec& spec, const Tensor& bias,
                      const Tensor& residual, bool with_relu, Tensor& y);
  void (*conv2d_input_grad)(const Tensor& g, const Tensor& w, const Conv2dSpec& spec, Tensor& gx);
  void (*conv2d_weight_grad)(const Tensor& x, const Tensor& g, const Conv2dSpec& spec, Tensor& gw);
  // batch norm, training
  void (*batch_norm_statistics)(const Tensor& x, Tensor& mean, Tensor& variance);  ///< biased variance
  void (*batch_norm)(const BatchNormArgs& args, Tensor& y);
  /// Gradients for g with the statistics' dependence on x included. y is the forward's output, read only with ReLU and
  /// residual (otherwise x tells what the ReLU let through: y may be undefined); of the residual it counts that it is;
  /// g_residual is assigned if defined. more_g, if defined, is added to g.
  void (*batch_norm_grad)(const BatchNormArgs& args, const Tensor& y, const Tensor& g, const Tensor& more_g, Tensor& gx,
                          Tensor& ggamma, Tensor& gbeta, Tensor& g_residual);
  /// In place: running_mean = (1 - momentum) running_mean + momentum mean, and running_var = (1 - momentum) running_var
  /// + variance_share variance, the share with what makes the batch's variance unbiased. All are [C].
  void (*running_statistics)(const Tensor& mean, const Tensor& variance, double momentum, double variance_share,
                             Tensor& running_mean, Tensor& running_var);
  // pool: index holds positions in [H, W, C] of one image
  void (*max_pool2d)(const Tensor& x, const Pool2dSpec& spec, Tensor& y, Tensor& index);
  // softmax: logits [N, K], labels i32 [N]
  void (*cross_entropies)(const Tensor& logits, const Tensor& labels,
                          Tensor& losses);  ///< [N]: -log softmax at the label
  /// g_logits[n,k] = g[n] (softmax(logits)[n,k] - [k = labels[n]])
  void (*cross_entropies_grad)(const Tensor& g, const Tensor& logits, const Tensor& labels, Tensor& g_logits);
  // resize
  void (*bilinear_resize)(const Tensor& x, Tensor& y);
  void (*bilinear_resize_adjoint)(const Tensor& g, Tensor& gx);
  void (*area_resize)(const Tensor& x, Tensor& y);
  void (*area_resize_adjoint)(const Tensor& g, Tensor& gx);
  // Grad-CAM, profile pgc-1.4, and the mean CAM outside the boxes (xai/cam.h has the formula)
  void (*cam_box)(const CamBoxArgs& args, const CamBoxResults& results);
  /// g_activations[n,i,j,k] = scale[n] map_grad[n,i,j] alpha[n,k]
  void (*cam_box_grad)(const Tensor& scale, const Tensor& map_grad, const Tensor& alpha, Tensor& g_activations);
  // optimisers: update all parameters and their states in place: the momentum buffer, or the first and
  // second moment. All are of one floating point type.
  void (*sgd_step)(const ParameterUpdates& updates, const SgdStep& step);
  void (*adamw_step)(const ParameterUpdates& updates, const AdamwStep& step);
};

// The table's entries, for everything that is said of each of them: X(entry), by room, in the order of the struct. Its
// declarations and tables, the profiler's stopwatches and the CUDA kernels' twins are made of these lists.
#define BOXCAM_KERNELS_ELEMENTWISE(X) X(unary) X(binary) X(cast) X(affine) X(scale_shift)
#define BOXCAM_KERNELS_REDUCE(X) X(sum) X(argmax)
#define BOXCAM_KERNELS_SHAPE(X) X(take_at) X(put_at) X(copy_range)
#define BOXCAM_KERNELS_MATMUL(X) X(matmul)
#define BOXCAM_KERNELS_CONV2D(X) X(conv2d) X(conv2d_bias) X(conv2d_input_grad) X(conv2d_weight_grad)
#define BOXCAM_KERNELS_BATCH_NORM(X) X(batch_norm_statistics) X(batch_norm) X(batch_norm_grad) X(running_statistics)
#define BOXCAM_KERNELS_POOL(X) X(max_pool2d)
#define BOXCAM_KERNELS_SOFTMAX(X) X(cross_entropies) X(cross_entropies_grad)
#define BOXCAM_KERNELS_RESIZE(X) X(bilinear_resize) X(bilinear_resize_adjoint) X(area_resize) X(area_resize_adjoint)
#define BOXCAM_KERNELS_CAM(X) X(cam_box) X(cam_box_grad)
#define BOXCAM_KERNELS_OPTIM(X) X(sgd_step) X(adamw_step)
#define BOXCAM_KERNELS(X)       \
  BOXCAM_KERNELS_ELEMENTWISE(X) \
  BOXCAM_KERNELS_REDUCE(X)      \
  BOXCAM_KERNELS_SHAPE(X)       \
  BOXCAM_KERNELS_MATMUL(X)      \
  BOXCAM_KERNELS_CONV2D(X)      \
  BOXCAM_KERNELS_BATCH_NORM(X)  \
  BOXCAM_KERNELS_POOL(X)        \
  BOXCAM_KERNELS_SOFTMAX(X)     \
  BOXCAM_KERNELS_RESIZE(X)      \
  BOXCAM_KERNELS_CAM(X)         \
  BOXCAM_KERNELS_OPTIM(X)

#define BOXCAM_ONE(entry) +1
static_assert(sizeof(Kernels) == (0 BOXCAM_KERNELS(BOXCAM_ONE)) * sizeof(void (*)()),
              "an entry of the kernel table is missing in its room's list");
#undef BOXCAM_ONE

/// The table of a device, with stopwatches around its entries while a profile is taken (engine/profile.h). Throws Error
/// where the device is not there.
const Kernels& kernels(Device device);

}  // namespace boxcam
