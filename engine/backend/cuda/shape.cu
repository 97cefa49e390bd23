#include "engine/backend/cuda/shape.h"

#include "engine/backend/cuda/launch.h"
#include "engine/backend/cuda/table.h"

namespace boxcam::cuda {

void take_at(const Tensor& x, const Tensor& index, Tensor& y) { take_at(Launch{}, x, index, y); }
void put_at(const Tensor& g, const Tensor& index, Tensor& y) { put_at(Launch{}, g, index, y); }
void copy_range(const Tensor& x, int64_t x_begin, Tensor& y, int64_t y_begin, int64_t outer, int64_t x_length,
                int64_t y_length, int64_t count, int64_t inner) {
  copy_range(Launch{}, x, x_begin, y, y_begin, outer, x_length, y_length, count, inner);
}

}  // namespace boxcam::cuda
