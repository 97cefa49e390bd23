#include "engine/backend/cuda/elementwise.h"

#include "engine/backend/cuda/launch.h"
#include "engine/backend/cuda/table.h"

namespace boxcam::cuda {

BOXCAM_KERNELS_ELEMENTWISE(BOXCAM_LAUNCH)

void add_elementwise(Kernels& table) { BOXCAM_KERNELS_ELEMENTWISE(BOXCAM_SET_LAUNCH) }

}  // namespace boxcam::cuda
