// Body of pool.cu.
#pragma once

#include "engine/backend/cuda/host_device.h"
#include "engine/backend/kernels.h"
#include "engine/graph_access.h"

namespace boxcam::cuda {

template <class T>
struct MaxPool {
  int64_t h, w, channels, rows, columns, window, stride, padding;
  const T* x;
  T* y;
  int32_t* index;
  BOXCAM_HD void operator()(int64_t i) const {
    const Quotient by_channel = divide(i, channels), by_column = divide(by_channel.quotient, columns),
                   by_row = divide(by_column.quotient, rows);
    const T* image = x + by_row.quotient * h * w * channels;
    const int64_t top = by_row.remainder * stride - padding, left = by_column.remainder * stride - padding;
    Arithmetic<T> best = 0;
    int64_t where = -1;
    for (int64_t a = greatest<int64_t>(top, 0); a < least(top + window, h); ++a)
      for (int64_t b = greatest<int64_t>(left, 0); b < least(left + window, w); ++b) {
        const int64_t offset = (a * w + b) * channels + by_channel.remainder;
        const Arithmetic<T> v = image[offset];
        if (where < 0 || v > best || v != v) best = v, where = offset;  // NaN goes on, as in PyTorch
      }
    y[i] = best;
    index[i] = static_cast<int32_t>(where);
  }
};

template <class Run>
void max_pool2d(Run run, const Tensor& x, const Pool2dSpec& s, Tensor& y, Tensor& index) {
  visit_activation(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    run.each(y.numel(), MaxPool<T>{x.dim(1), x.dim(2), x.dim(3), y.dim(1), y.dim(2), s.window, s.stride, s.padding,
                                   pointer<T>(x), pointer<T>(y), pointer<int32_t>(index)});
  });
}

}  // namespace boxcam::cuda
