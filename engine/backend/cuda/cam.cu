#include "engine/backend/cuda/cam.h"

#include "engine/backend/cuda/launch.h"
#include "engine/backend/cuda/table.h"

namespace boxcam::cuda {

BOXCAM_KERNELS_CAM(BOXCAM_LAUNCH)

void add_cam(Kernels& table) { BOXCAM_KERNELS_CAM(BOXCAM_SET_LAUNCH) }

}  // namespace boxcam::cuda
