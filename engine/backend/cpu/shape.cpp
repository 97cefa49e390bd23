#include <algorithm>

#include "engine/backend/cpu/table.h"
#include "engine/base/parallel.h"
#include "engine/dtype.h"

namespace boxcam::cpu {

void take_at(const Tensor& x, const Tensor& index, Tensor& y) {
  visit_activation(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const int64_t size = x.dim(1), count = index.dim(1);
    const T* in = x.data<T>();
    const int32_t* at = index.data<int32_t>();
    T* out = y.data<T>();
    parallel_for(x.dim(0), std::max<int64_t>(1, kGrain / std::max<int64_t>(count, 1)), [=](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n)
        for (int64_t k = 0; k < count; ++k) out[n * count + k] = in[n * size + at[n * count + k]];
    });
  });
}

void put_at(const Tensor& g, const Tensor& index, Tensor& y) {
  visit_activation(g.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const int64_t size = y.dim(1), count = index.dim(1);
    const T* in = g.data<T>();
    const int32_t* at = index.data<int32_t>();
    T* out = y.data<T>();
    parallel_for(g.dim(0), std::max<int64_t>(1, kGrain / std::max<int64_t>(size, 1)), [=](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) {
        T* row = out + n * size;
        std::fill_n(row, size, T(0));
        for (int64_t k = 0; k < count; ++k) {
          T& sum = row[at[n * count + k]];
          sum = Arithmetic<T>(sum) + Arithmetic<T>(in[n * count + k]);
        }
      }
    });
  });
}

void copy_range(const Tensor& x, int64_t x_begin, Tensor& y, int64_t y_begin, int64_t outer, int64_t x_length,
                int64_t y_length, int64_t count, int64_t inner) {
  visit_floating(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* in = x.data<T>();
    T* out = y.data<T>();
    for (int64_t o = 0; o < outer; ++o) {
      T* row = out + o * y_length * inner;
      std::fill_n(row, y_begin * inner, T(0));
      std::copy_n(in + (o * x_length + x_begin) * inner, count * inner, row + y_begin * inner);
      std::fill(row + (y_begin + count) * inner, row + y_length * inner, T(0));
    }
  });
}

}  // namespace boxcam::cpu
