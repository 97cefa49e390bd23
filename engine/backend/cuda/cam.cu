#include "engine/backend/cuda/cam.h"

#include "engine/backend/cuda/launch.h"
#include "engine/backend/cuda/table.h"

namespace boxcam::cuda {

void cam_box(const CamBoxArgs& args, const CamBoxResults& results) { cam_box(Launch{}, args, results); }
void cam_box_grad(const Tensor& scale, const Tensor& map_grad, const Tensor& alpha, Tensor& g_activations) {
  cam_box_grad(Launch{}, scale, map_grad, alpha, g_activations);
}

}  // namespace boxcam::cuda
