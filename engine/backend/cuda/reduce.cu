#include "engine/backend/cuda/reduce.h"

#include "engine/backend/cuda/launch.h"
#include "engine/backend/cuda/table.h"

namespace boxcam::cuda {

BOXCAM_KERNELS_REDUCE(BOXCAM_LAUNCH)

void add_reduce(Kernels& table) { BOXCAM_KERNELS_REDUCE(BOXCAM_SET_LAUNCH) }

}  // namespace boxcam::cuda
