#include "engine/backend/cuda/resize.h"

#include "engine/backend/cuda/launch.h"
#include "engine/backend/cuda/table.h"

namespace boxcam::cuda {

void bilinear_resize(const Tensor& x, Tensor& y) { bilinear_resize(Launch{}, x, y); }
void bilinear_resize_adjoint(const Tensor& g, Tensor& gx) { bilinear_resize_adjoint(Launch{}, g, gx); }

}  // namespace boxcam::cuda
