#include "engine/backend/cuda/batch_norm.h"

#include "engine/backend/cuda/launch.h"
#include "engine/backend/cuda/table.h"

namespace boxcam::cuda {

void batch_norm_statistics(const Tensor& x, Tensor& mean, Tensor& variance) {
  batch_norm_statistics(Launch{}, x, mean, variance);
}
void running_statistics(const Tensor& mean, const Tensor& variance, double momentum, double variance_share,
                        Tensor& running_mean, Tensor& running_var) {
  running_statistics(Launch{}, mean, variance, momentum, variance_share, running_mean, running_var);
}
void batch_norm(const BatchNormArgs& args, Tensor& y) { batch_norm(Launch{}, args, y); }
void batch_norm_grad(const BatchNormArgs& args, const Tensor& y, const Tensor& g, const Tensor& more_g, Tensor& gx,
                     Tensor& ggamma, Tensor& gbeta, Tensor& g_residual) {
  batch_norm_grad(Launch{}, args, y, g, more_g, gx, ggamma, gbeta, g_residual);
}

}  // namespace boxcam::cuda
