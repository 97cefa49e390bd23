#include <algorithm>
#include <vector>

#include "engine/backend/cpu/table.h"
#include "engine/base/parallel.h"
#include "engine/dtype.h"

namespace boxcam::cpu {

namespace {

constexpr int64_t kArgBlock = 256;
constexpr int64_t kBlock = 4096;  // partial sums cover this many terms, whatever the thread count

/// Sum of contiguous values: 16 lanes within a block (a fixed order that vectorises), blocks added up in double.
template <class T>
double sum_row(const T* x, int64_t n) {
  double total = 0;
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t end = std::min(n, begin + kBlock);
    T lanes[16] = {};
    int64_t i = begin;
    for (; i + 16 <= end; i += 16)
      for (int l = 0; l < 16; ++l) lanes[l] += x[i + l];
    double block = 0;
    for (const T lane : lanes) block += lane;
    for (; i < end; ++i) block += x[i];
    total += block;
  }
  return total;
}

/// [length, inner] -> [inner], for the columns [from, to).
template <class T>
void sum_columns(const T* x, int64_t length, int64_t inner, int64_t from, int64_t to, T* y) {
  std::vector<double> total(to - from, 0.0);
  std::vector<T> block(to - from);
  const int64_t rows = std::max<int64_t>(1, kBlock / 64);
  for (int64_t begin = 0; begin < length; begin += rows) {
    std::fill(block.begin(), block.end(), T(0));
    for (int64_t r = begin; r < std::min(length, begin + rows); ++r) {
      const T* row = x + r * inner + from;
      for (int64_t c = 0; c < to - from; ++c) block[c] += row[c];
    }
    for (int64_t c = 0; c < to - from; ++c) total[c] += block[c];
  }
  for (int64_t c = 0; c < to - from; ++c) y[from + c] = static_cast<T>(total[c]);
}

}  // namespace

void sum(const Tensor& x, int64_t outer, int64_t length, int64_t inner, Tensor& y) {
  visit_floating(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* in = x.data<T>();
    T* out = y.data<T>();
    if (inner == 1) {
      parallel_for(outer, std::max<int64_t>(1, kGrain / std::max<int64_t>(length, 1)), [=](int64_t begin, int64_t end) {
        for (int64_t o = begin; o < end; ++o) out[o] = static_cast<T>(sum_row(in + o * length, length));
      });
    } else if (outer > 1) {
      parallel_for(outer, std::max<int64_t>(1, kGrain / std::max<int64_t>(length * inner, 1)),
                   [=](int64_t begin, int64_t end) {
                     for (int64_t o = begin; o < end; ++o)
                       sum_columns(in + o * length * inner, length, inner, 0, inner, out + o * inner);
                   });
    } else {
      parallel_for(inner, std::max<int64_t>(16, kGrain / std::max<int64_t>(length, 1)),
                   [=](int64_t begin, int64_t end) { sum_columns(in, length, inner, begin, end, out); });
    }
  });
}

void argmax(const Tensor& x, bool minimum, Tensor& index) {
  visit_floating(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const int64_t columns = x.dim(1);
    const T* in = x.data<T>();
    int32_t* out = index.data<int32_t>();
    parallel_for(x.dim(0), std::max<int64_t>(1, kGrain / columns), [=](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) {
        const T* row = in + n * columns;
        // Blocks whose extreme is no news are passed over, many values at a time. A NaN at first stays the extreme.
        int64_t best = 0;
        for (int64_t from = 0; from < columns && row[best] == row[best]; from += kArgBlock) {
          const int64_t to = std::min(from + kArgBlock, columns);
          T extreme = row[best];
          if (minimum) {
#pragma omp simd reduction(min : extreme)
            for (int64_t i = from; i < to; ++i) extreme = row[i] < extreme ? row[i] : extreme;
          } else {
#pragma omp simd reduction(max : extreme)
            for (int64_t i = from; i < to; ++i) extreme = row[i] > extreme ? row[i] : extreme;
          }
          if (extreme == row[best]) continue;
          best = from;
          while (row[best] != extreme) ++best;
        }
        out[n] = static_cast<int32_t>(best);
      }
    });
  });
}

}  // namespace boxcam::cpu
