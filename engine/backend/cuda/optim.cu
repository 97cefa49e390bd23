#include "engine/backend/cuda/optim.h"

#include "engine/backend/cuda/launch.h"
#include "engine/backend/cuda/table.h"

namespace boxcam::cuda {

BOXCAM_KERNELS_OPTIM(BOXCAM_LAUNCH)

void add_optim(Kernels& table) { BOXCAM_KERNELS_OPTIM(BOXCAM_SET_LAUNCH) }

}  // namespace boxcam::cuda
