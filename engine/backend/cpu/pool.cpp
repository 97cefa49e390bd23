#include <algorithm>

#include "engine/backend/cpu/table.h"
#include "engine/base/parallel.h"
#include "engine/dtype.h"

namespace boxcam::cpu {

void max_pool2d(const Tensor& x, const Pool2dSpec& s, Tensor& y, Tensor& index) {
  visit_activation(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    using A = Arithmetic<T>;
    const int64_t h = x.dim(1), w = x.dim(2), channels = x.dim(3), rows = y.dim(1), columns = y.dim(2);
    const T* in = x.data<T>();
    T* out = y.data<T>();
    int32_t* at = index.data<int32_t>();
    parallel_for(x.dim(0) * rows, std::max<int64_t>(1, kGrain / (columns * channels)), [=](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        const T* image = in + r / rows * h * w * channels;
        const int64_t top = r % rows * s.stride - s.padding;
        for (int64_t j = 0; j < columns; ++j) {
          const int64_t left = j * s.stride - s.padding;
          T* __restrict best = out + (r * columns + j) * channels;
          int32_t* __restrict where = at + (r * columns + j) * channels;
          bool first = true;
          for (int64_t i = std::max<int64_t>(top, 0); i < std::min(top + s.window, h); ++i)
            for (int64_t k = std::max<int64_t>(left, 0); k < std::min(left + s.window, w); ++k) {
              const int64_t offset = (i * w + k) * channels;
              const T* cell = image + offset;
              if (first)
                for (int64_t c = 0; c < channels; ++c) {
                  best[c] = A(cell[c]);
                  where[c] = static_cast<int32_t>(offset + c);
                }
              else
                for (int64_t c = 0; c < channels; ++c) {
                  const A value = cell[c], before = best[c];
                  const bool better = value > before || value != value;  // NaN goes on, as in PyTorch
                  best[c] = better ? value : before;
                  where[c] = better ? static_cast<int32_t>(offset + c) : where[c];
                }
              first = false;
            }
        }
      }
    });
  });
}

}  // namespace boxcam::cpu
