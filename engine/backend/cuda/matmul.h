// Body of matmul.cu for what does not go to cuBLAS.
#pragma once

#include "engine/backend/cuda/host_device.h"
#include "engine/backend/kernels.h"
#include "engine/dtype.h"

namespace boxcam::cuda {

template <class T>
struct PlainMatmul {
  int64_t m, n, k;
  bool transpose_a, transpose_b;
  const T *a, *b;
  T* y;
  BOXCAM_HD void operator()(int64_t at) const {
    const Quotient q = divide(at, n);
    const int64_t i = q.quotient, j = q.remainder;
    T total = 0;
    for (int64_t l = 0; l < k; ++l)
      total += (transpose_a ? a[l * m + i] : a[i * k + l]) * (transpose_b ? b[j * k + l] : b[l * n + j]);
    y[at] = total;
  }
};

template <class Run>
void plain_matmul(Run run, const Tensor& a, const Tensor& b, bool transpose_a, bool transpose_b, Tensor& y) {
  visit_floating(a.dtype(), [&](auto zero) {
    using T = decltype(zero);
    run.each(y.numel(), PlainMatmul<T>{y.dim(0), y.dim(1), a.dim(transpose_a ? 0 : 1), transpose_a, transpose_b,
                                       pointer<T>(a), pointer<T>(b), pointer<T>(y)});
  });
}

}  // namespace boxcam::cuda
