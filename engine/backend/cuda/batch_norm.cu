#include "engine/backend/cuda/batch_norm.h"

#include "engine/backend/cuda/launch.h"
#include "engine/backend/cuda/table.h"

namespace boxcam::cuda {

BOXCAM_KERNELS_BATCH_NORM(BOXCAM_LAUNCH)

void add_batch_norm(Kernels& table) { BOXCAM_KERNELS_BATCH_NORM(BOXCAM_SET_LAUNCH) }

}  // namespace boxcam::cuda
