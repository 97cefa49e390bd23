#include "engine/backend/cuda/pool.h"

#include "engine/backend/cuda/launch.h"
#include "engine/backend/cuda/table.h"

namespace boxcam::cuda {

void max_pool2d(const Tensor& x, const Pool2dSpec& s, Tensor& y, Tensor& index) {
  max_pool2d(Launch{}, x, s, y, index);
}

}  // namespace boxcam::cuda
