// Body of pool.cu.
#pragma once

#include "engine/backend/cuda/host_device.h"
#include "engine/backend/kernels.h"
#include "engine/dtype.h"

namespace boxcam::cuda {

template <class T, int V>
struct MaxPool {
  int64_t h, w, channels, rows, columns, window, stride, padding;
  const T* x;
  T* y;
  int32_t* index;
  BOXCAM_HD void operator()(int64_t pack) const {
    const Quotient by_channel = divide(pack * V, channels), by_column = divide(by_channel.quotient, columns),
                   by_row = divide(by_column.quotient, rows);
    const T* image = x + by_row.quotient * h * w * channels;
    const int64_t top = by_row.remainder * stride - padding, left = by_column.remainder * stride - padding;
    Pack<T, V> best{};
    Pack<int32_t, V> where;
    for (int v = 0; v < V; ++v) where.at[v] = -1;
    for (int64_t a = greatest<int64_t>(top, 0); a < least(top + window, h); ++a)
      for (int64_t b = greatest<int64_t>(left, 0); b < least(left + window, w); ++b) {
        const int64_t offset = (a * w + b) * channels + by_channel.remainder;
        const Pack<T, V> in = load<V>(image + offset);
        for (int v = 0; v < V; ++v) {
          const Arithmetic<T> value = in.at[v];
          if (where.at[v] < 0 || value > Arithmetic<T>(best.at[v]) || value != value) {  // NaN goes on, as in PyTorch
            best.at[v] = in.at[v];
            where.at[v] = static_cast<int32_t>(offset + v);
          }
        }
      }
    store<V>(y + pack * V, best);
    store<V>(index + pack * V, where);
  }
};

template <class Run>
void max_pool2d(Run run, const Tensor& x, const Pool2dSpec& s, Tensor& y, Tensor& index) {
  visit_activation(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    with_pack<T>(x.dim(3), {&x, &y, &index}, [&](auto wide) {
      run.each(y.numel() / wide, MaxPool<T, wide>{x.dim(1), x.dim(2), x.dim(3), y.dim(1), y.dim(2), s.window, s.stride,
                                                  s.padding, pointer<T>(x), pointer<T>(y), pointer<int32_t>(index)});
    });
  });
}

}  // namespace boxcam::cuda
