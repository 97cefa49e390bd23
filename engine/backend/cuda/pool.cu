#include "engine/backend/cuda/pool.h"

#include "engine/backend/cuda/launch.h"
#include "engine/backend/cuda/table.h"

namespace boxcam::cuda {

BOXCAM_KERNELS_POOL(BOXCAM_LAUNCH)

void add_pool(Kernels& table) { BOXCAM_KERNELS_POOL(BOXCAM_SET_LAUNCH) }

}  // namespace boxcam::cuda
