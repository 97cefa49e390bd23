#include "engine/backend/cuda/optim.h"

#include "engine/backend/cuda/launch.h"
#include "engine/backend/cuda/table.h"

namespace boxcam::cuda {

void sgd_step(Tensor& parameter, const Tensor& gradient, Tensor& momentum_buffer, const SgdStep& step) {
  sgd_step(Launch{}, parameter, gradient, momentum_buffer, step);
}
void adamw_step(Tensor& parameter, const Tensor& gradient, Tensor& first_moment, Tensor& second_moment,
                const AdamwStep& step) {
  adamw_step(Launch{}, parameter, gradient, first_moment, second_moment, step);
}

}  // namespace boxcam::cuda
