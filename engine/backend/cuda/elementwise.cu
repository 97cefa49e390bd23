#include "engine/backend/cuda/elementwise.h"

#include "engine/backend/cuda/launch.h"
#include "engine/backend/cuda/table.h"

namespace boxcam::cuda {

void unary(UnaryOp op, const Tensor& x, Tensor& y) { unary(Launch{}, op, x, y); }
void binary(BinaryOp op, const Tensor& a, const Tensor& b, Tensor& y) { binary(Launch{}, op, a, b, y); }
void cast(const Tensor& x, Tensor& y) { cast(Launch{}, x, y); }
void affine(const Tensor& x, double scale, double shift, Tensor& y) { affine(Launch{}, x, scale, shift, y); }
void scale_shift(const Tensor& x, const Tensor& scale, const Tensor& shift, const Tensor& residual, bool with_relu,
                 Tensor& y) {
  scale_shift(Launch{}, x, scale, shift, residual, with_relu, y);
}

}  // namespace boxcam::cuda
