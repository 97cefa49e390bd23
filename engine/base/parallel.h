// Loops over fixed chunks: which thread works on what, and so every bit of the result, depends on the thread count
// alone.
#pragma once

#include <omp.h>

#include <algorithm>
#include <cstdint>
#include <exception>

namespace boxcam {

/// Calls f(begin, end) on disjoint ranges that cover [0, n); on one thread when there is less than `grain` for a
/// second.
template <class F>
void parallel_for(int64_t n, int64_t grain, F&& f) {
  const int64_t workers = std::min<int64_t>(omp_get_max_threads(), n / std::max<int64_t>(grain, 1));
  if (workers <= 1 || omp_in_parallel()) {
    if (n > 0) f(int64_t{0}, n);
    return;
  }
#pragma omp parallel for num_threads(workers) schedule(static, 1)
  for (int64_t t = 0; t < workers; ++t) f(n * t / workers, n * (t + 1) / workers);
}

constexpr int64_t kGrain = 1 << 15;  // elements that are worth a thread

}  // namespace boxcam
