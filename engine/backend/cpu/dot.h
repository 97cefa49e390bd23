// The inner product of two rows.
#pragma once

#include <cstdint>

namespace boxcam::cpu {

template <class T>
T dot(const T* a, const T* b, int64_t n) {
  T total = 0;
#pragma omp simd reduction(+ : total)
  for (int64_t i = 0; i < n; ++i) total += a[i] * b[i];
  return total;
}

}  // namespace boxcam::cpu
