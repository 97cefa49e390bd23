#include "engine/backend/cuda/softmax.h"

#include "engine/backend/cuda/launch.h"
#include "engine/backend/cuda/table.h"

namespace boxcam::cuda {

BOXCAM_KERNELS_SOFTMAX(BOXCAM_LAUNCH)

void add_softmax(Kernels& table) { BOXCAM_KERNELS_SOFTMAX(BOXCAM_SET_LAUNCH) }

}  // namespace boxcam::cuda
