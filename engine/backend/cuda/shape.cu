#include "engine/backend/cuda/shape.h"

#include "engine/backend/cuda/launch.h"
#include "engine/backend/cuda/table.h"

namespace boxcam::cuda {

BOXCAM_KERNELS_SHAPE(BOXCAM_LAUNCH)

void add_shape(Kernels& table) { BOXCAM_KERNELS_SHAPE(BOXCAM_SET_LAUNCH) }

}  // namespace boxcam::cuda
