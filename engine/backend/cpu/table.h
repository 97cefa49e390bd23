// The CPU's kernels; contracts are in engine/backend/kernels.h. f64 always runs plain loops: they are the definition.
#pragma once

#include "engine/backend/kernels.h"

namespace boxcam::cpu {

void unary(UnaryOp, const Tensor&, Tensor&);
void binary(BinaryOp, const Tensor&, const Tensor&, Tensor&);
void cast(const Tensor&, Tensor&);
void affine(const Tensor&, double, double, Tensor&);
void scale_shift(const Tensor&, const Tensor&, const Tensor&, const Tensor&, bool, Tensor&);
void sum(const Tensor&, int64_t, int64_t, int64_t, Tensor&);
void argmax(const Tensor&, bool, Tensor&);
void take_at(const Tensor&, const Tensor&, Tensor&);
void put_at(const Tensor&, const Tensor&, Tensor&);
void copy_range(const Tensor&, int64_t, Tensor&, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t);
void matmul(const Tensor&, const Tensor&, bool, bool, Tensor&);
void conv2d(const Tensor&, const Tensor&, const Conv2dSpec&, Tensor&);
void conv2d_bias(const Tensor&, const Tensor&, const Conv2dSpec&, const Tensor&, const Tensor&, bool, Tensor&);
void conv2d_input_grad(const Tensor&, const Tensor&, const Conv2dSpec&, Tensor&);
void conv2d_weight_grad(const Tensor&, const Tensor&, const Conv2dSpec&, Tensor&);
void batch_norm_statistics(const Tensor&, Tensor&, Tensor&);
void batch_norm(const BatchNormArgs&, Tensor&);
void batch_norm_grad(const BatchNormArgs&, const Tensor&, const Tensor&, const Tensor&, Tensor&, Tensor&, Tensor&,
                     Tensor&);
void running_statistics(const Tensor&, const Tensor&, double, double, Tensor&, Tensor&);
void max_pool2d(const Tensor&, const Pool2dSpec&, Tensor&, Tensor&);
void cross_entropies(const Tensor&, const Tensor&, Tensor&);
void cross_entropies_grad(const Tensor&, const Tensor&, const Tensor&, Tensor&);
void bilinear_resize(const Tensor&, Tensor&);
void bilinear_resize_adjoint(const Tensor&, Tensor&);
void cam_box(const CamBoxArgs&, const CamBoxResults&);
void cam_box_grad(const Tensor&, const Tensor&, const Tensor&, Tensor&);
void sgd_step(const ParameterUpdates&, const SgdStep&);
void adamw_step(const ParameterUpdates&, const AdamwStep&);

}  // namespace boxcam::cpu
