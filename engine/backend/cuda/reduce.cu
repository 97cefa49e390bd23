#include "engine/backend/cuda/reduce.h"

#include "engine/backend/cuda/launch.h"
#include "engine/backend/cuda/table.h"

namespace boxcam::cuda {

void sum(const Tensor& x, int64_t outer, int64_t length, int64_t inner, Tensor& y) {
  sum(Launch{}, x, outer, length, inner, y);
}
void argmax(const Tensor& x, bool minimum, Tensor& index) { argmax(Launch{}, x, minimum, index); }

}  // namespace boxcam::cuda
