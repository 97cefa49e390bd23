#include "engine/backend/cuda/resize.h"

#include "engine/backend/cuda/launch.h"
#include "engine/backend/cuda/table.h"

namespace boxcam::cuda {

BOXCAM_KERNELS_RESIZE(BOXCAM_LAUNCH)

void add_resize(Kernels& table) { BOXCAM_KERNELS_RESIZE(BOXCAM_SET_LAUNCH) }

}  // namespace boxcam::cuda
