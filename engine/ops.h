// The catalogue: every public op, one line and its formula. Rooms: engine/ops/*.cpp.
//
// Floating point tensors are f32 or f64, inputs of one op share dtype and device; every op throws Error naming itself
// and the shapes when they do not fit. Activations may also be bf16 where an op says so in its room's title: arithmetic
// is then f32's, and parameters, their gradients and statistics are f32. Activations are NHWC, convolution weights OHWI
// [out, kh, kw, in / groups]. Every op here is differentiable to any order with respect to its floating point inputs
// unless it says otherwise.
#pragma once

#include <vector>

#include "engine/autograd.h"
#include "engine/specs.h"
#include "engine/tensor.h"

namespace boxcam {

// ---- elementwise.cpp: numpy broadcasting; bf16 too ------------------------------------------------------------------
Tensor add(const Tensor& a, const Tensor& b);        ///< a + b
Tensor sub(const Tensor& a, const Tensor& b);        ///< a - b
Tensor mul(const Tensor& a, const Tensor& b);        ///< a b
Tensor div(const Tensor& a, const Tensor& b);        ///< a / b
Tensor add_scalar(const Tensor& a, double s);        ///< a + s
Tensor mul_scalar(const Tensor& a, double s);        ///< s a
Tensor exp(const Tensor& x);                         ///< e^x
Tensor log(const Tensor& x);                         ///< ln x
Tensor sqrt(const Tensor& x);                        ///< x^(1/2)
Tensor abs(const Tensor& x);                         ///< |x|, derivative 0 at 0
Tensor relu(const Tensor& x);                        ///< max(x, 0), derivative 0 at 0; keeps NaN
Tensor relu_grad(const Tensor& g, const Tensor& y);  ///< g where y > 0, else 0; linear in g, constant in y
Tensor greater(const Tensor& a, const Tensor& b);    ///< 1 where a > b, else 0; not differentiable
Tensor cast(const Tensor& x, DType dtype);           ///< x, rounded to f32, f64 or bf16; x itself if it is of that type

// ---- reduce.cpp -----------------------------------------------------------------------------------------------------
Tensor sum(const Tensor& x, const std::vector<int>& axes, bool keepdims = false);   ///< fixed order
Tensor sum(const Tensor& x);                                                        ///< over everything, a scalar
Tensor mean(const Tensor& x, const std::vector<int>& axes, bool keepdims = false);  ///< sum / count
Tensor mean(const Tensor& x);                                                       ///< over everything, a scalar
Tensor broadcast_to(const Tensor& x, const Shape& shape);                           ///< adjoint of sum
Tensor sum_to(const Tensor& x, const Shape& shape);                                 ///< adjoint of broadcast_to
Tensor argmax(const Tensor& x);  ///< [N, M] -> i32 [N, 1], first maximum; not differentiable
Tensor argmin(const Tensor& x);  ///< [N, M] -> i32 [N, 1], first minimum; not differentiable

// ---- shape.cpp ------------------------------------------------------------------------------------------------------
Tensor reshape(const Tensor& x, const Shape& shape);                     ///< shares memory
Tensor take_at(const Tensor& x, const Tensor& index);                    ///< [N, M], i32 [N, K] -> x[n, index[n, k]]
Tensor put_at(const Tensor& g, const Tensor& index, int64_t size);       ///< adjoint of take_at: [N, K] -> [N, size]
Tensor slice(const Tensor& x, int axis, int64_t begin, int64_t length);  ///< a range of one axis
Tensor pad(const Tensor& x, int axis, int64_t before, int64_t after);    ///< zeros around; adjoint of slice
Tensor one_hot(const Tensor& index, int64_t classes, DType dtype);  ///< i32 [N] -> [N, classes]; not differentiable

// ---- matmul.cpp -----------------------------------------------------------------------------------------------------
Tensor matmul(const Tensor& a, const Tensor& b, const MatmulSpec& spec = {});  ///< a b, [M, K] [K, N]; or transposed

// ---- conv2d.cpp: cross-correlation, zero padding; bf16 too ----------------------------------------------------------
Tensor conv2d(const Tensor& x, const Tensor& w, const Conv2dSpec& spec);  ///< [N,H,W,I], [O,R,S,I/g] -> [N,P,Q,O]
/// conv2d(x, w, spec) + bias (+ residual), then ReLU if `with_relu`; bias [C]. One pass, for inference with folded
/// batch norm. Instead of 0 the ReLU may give up to 2^-40 of what it cut off.
Tensor conv2d_bias(const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dSpec& spec, bool with_relu = false,
                   const Tensor& residual = {});
Tensor conv2d_input_grad(const Tensor& g, const Tensor& w, const Shape& x_shape, const Conv2dSpec& spec);
Tensor conv2d_weight_grad(const Tensor& x, const Tensor& g, const Shape& w_shape, const Conv2dSpec& spec);

// ---- batch_norm.cpp: over N, H, W for each channel (the last axis); bf16 too ----------------------------------------
/// What a batch norm in training measured: f32/f64 [C], no history. `variance` is the biased one (divided by N H W).
struct BatchStatistics {
  Tensor mean, variance;
};
/// y = gamma (x - mean) / sqrt(variance + eps) + beta with the batch's own statistics; then + residual if defined, then
/// ReLU if `with_relu`. One fused pass; derivatives are those of the formula with the statistics recomputed from x.
Tensor batch_norm_train(const Tensor& x, const Tensor& gamma, const Tensor& beta, double eps, bool with_relu = false,
                        const Tensor& residual = {}, BatchStatistics* statistics = nullptr);
/// conv2d(batch_norm_train(x, gamma, beta, eps, with_relu = true), w, spec). What lies between the two is not kept: the
/// derivative makes it again from x, which costs a hundredth of the time and spares a fifth of a ResNet's memory.
Tensor batch_norm_train_conv2d(const Tensor& x, const Tensor& gamma, const Tensor& beta, double eps, const Tensor& w,
                               const Conv2dSpec& spec, BatchStatistics* statistics = nullptr);
/// The same with given statistics: an affine map of x.
Tensor batch_norm_eval(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& running_mean,
                       const Tensor& running_var, double eps, bool with_relu = false, const Tensor& residual = {});
/// {d/dx, d/dgamma, d/dbeta} of batch_norm_train without ReLU and residual, for the output gradient g.
std::vector<Tensor> batch_norm_train_grad(const Tensor& x, const Tensor& gamma, const Tensor& g, double eps);

// ---- pool.cpp -------------------------------------------------------------------------------------------------------
/// Padding never wins; the first maximum in row-major order does. bf16 too.
Tensor max_pool2d(const Tensor& x, const Pool2dSpec& spec);
Tensor global_avg_pool(const Tensor& x);  ///< [N,H,W,C] -> [N,C]

// ---- softmax.cpp: over the last axis of [N, K] ----------------------------------------------------------------------
Tensor log_softmax(const Tensor& x);
Tensor softmax(const Tensor& x);
/// [N]: -log softmax(logits)[n, labels[n]]; labels i32 [N]. `cross_entropy` is their mean.
Tensor cross_entropies(const Tensor& logits, const Tensor& labels);
Tensor cross_entropy(const Tensor& logits, const Tensor& labels);

// ---- resize.cpp -----------------------------------------------------------------------------------------------------
/// [N,h,w] -> [N,H,W], half-pixel centres, edges clamped, no antialias (PyTorch: align_corners=False).
Tensor bilinear_resize(const Tensor& x, int64_t height, int64_t width);
Tensor bilinear_resize_adjoint(const Tensor& g, int64_t height, int64_t width);  ///< [N,H,W] -> [N,h,w]
/// [N,H,W] -> [N,h,w]: the mean over the area that a cell covers, pixels cut by its edge in part. Of a mask: the share
/// of each cell that is inside. Where h divides H and w divides W this is average pooling.
Tensor area_resize(const Tensor& x, int64_t height, int64_t width);
Tensor area_resize_adjoint(const Tensor& g, int64_t height, int64_t width);  ///< [N,h,w] -> [N,H,W]

inline Tensor operator+(const Tensor& a, const Tensor& b) { return add(a, b); }
inline Tensor operator-(const Tensor& a, const Tensor& b) { return sub(a, b); }
inline Tensor operator*(const Tensor& a, const Tensor& b) { return mul(a, b); }
inline Tensor operator/(const Tensor& a, const Tensor& b) { return div(a, b); }
inline Tensor operator+(const Tensor& a, double s) { return add_scalar(a, s); }
inline Tensor operator-(const Tensor& a, double s) { return add_scalar(a, -s); }
inline Tensor operator*(const Tensor& a, double s) { return mul_scalar(a, s); }
inline Tensor operator*(double s, const Tensor& a) { return mul_scalar(a, s); }
inline Tensor operator/(const Tensor& a, double s) { return mul_scalar(a, 1.0 / s); }
inline Tensor operator-(const Tensor& a) { return mul_scalar(a, -1.0); }

}  // namespace boxcam
