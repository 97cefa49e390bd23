// Bodies of reduce.cu, and the reduction that batch_norm.cu shares.
#pragma once

#include "engine/backend/cuda/block.h"
#include "engine/backend/kernels.h"
#include "engine/dtype.h"

namespace boxcam::cuda {

constexpr int64_t kTerms = 64;         // that one thread adds up at most in the tensor's own type; sums go on in double
constexpr int64_t kManyBlocks = 1024;  // what a sum is cut into, where it is long enough, to keep a device busy

/// One pass of a sum over the middle axis of [outer, length, inner]. A block takes `columns` neighbours of the inner
/// axis and `chunk` terms of each. load(o, r, c, sums) adds the K terms at (o, r, c) to the K sums; store(place, sums)
/// gets the sums of one chunk.
struct SumPlace {
  int64_t o, chunk, c;
};

template <class T, int K, class Load, class Store>
struct SumPass {
  static constexpr size_t kSharedPerThread = K * sizeof(double);
  int64_t length, inner, chunk, chunks, tiles;
  int columns;
  Load load;
  Store store;

  template <class Block>
  BOXCAM_HD void operator()(Block& block, int64_t number) const {
    const Quotient by_tile = divide(number, tiles), by_chunk = divide(by_tile.quotient, chunks);
    const SumPlace at{by_chunk.quotient, by_chunk.remainder, by_tile.remainder * columns + block.rank() % columns};
    const int64_t begin = at.chunk * chunk, end = least(length, begin + chunk);
    T terms[K] = {};
    if (at.c < inner)
      for (int64_t r = begin + block.rank() / columns; r < end; r += block.size() / columns) load(at.o, r, at.c, terms);
    double sums[K];
    for (int k = 0; k < K; ++k) sums[k] = static_cast<double>(terms[k]);
    add_up(block, columns, sums);
    if (block.rank() < columns && at.c < inner) store(at, sums);
  }
};

/// Sums of chunks, f64 [outer, chunks, inner, K], as the input of the next pass.
template <int K>
struct LoadPartial {
  const double* partial;
  int64_t chunks, inner;
  BOXCAM_HD void operator()(int64_t o, int64_t r, int64_t c, double* sums) const {
    for (int k = 0; k < K; ++k) sums[k] += partial[((o * chunks + r) * inner + c) * K + k];
  }
};
template <int K>
struct StorePartial {
  double* partial;
  int64_t chunks, inner;
  BOXCAM_HD void operator()(const SumPlace& at, const double (&sums)[K]) const {
    for (int k = 0; k < K; ++k) partial[((at.o * chunks + at.chunk) * inner + at.c) * K + k] = sums[k];
  }
};

/// Sums K terms over the middle axis of [outer, length, inner], long ones in two passes, and gives store({o, 0, c},
/// sums) each result.
template <class T, int K, class Run, class Load, class Store>
void sum_terms(Run run, int64_t outer, int64_t length, int64_t inner, const Load& load, const Store& store) {
  // Neighbouring threads read neighbouring addresses; short sums take few threads each.
  int columns = 1, rows = run.threads();
  while (columns < inner && rows > 1 && (columns < 32 || rows / 2 >= length)) columns *= 2, rows /= 2;
  const int64_t tiles = (inner + columns - 1) / columns;
  int64_t chunk = kTerms * rows;
  while (chunk > 8 * rows && length > chunk / 2 && outer * tiles * (length / chunk) < kManyBlocks) chunk /= 2;
  const int64_t chunks = greatest<int64_t>(1, (length + chunk - 1) / chunk);
  if (chunks == 1) {
    run.blocks(outer * tiles, SumPass<T, K, Load, Store>{length, inner, chunk, 1, tiles, columns, load, store});
    return;
  }
  Tensor partial = Tensor::empty({outer, chunks, inner, K}, DType::f64, run.device());
  double* data = pointer<double>(partial);
  run.blocks(outer * chunks * tiles, SumPass<T, K, Load, StorePartial<K>>{
                                         length, inner, chunk, chunks, tiles, columns, load, {data, chunks, inner}});
  run.blocks(outer * inner, SumPass<double, K, LoadPartial<K>, Store>{chunks, inner, chunks, 1, inner, 1,
                                                                      LoadPartial<K>{data, chunks, inner}, store});
}

template <class T>
struct LoadTensor {
  const T* x;
  int64_t length, inner;
  BOXCAM_HD void operator()(int64_t o, int64_t r, int64_t c, T* sums) const {
    sums[0] += x[(o * length + r) * inner + c];
  }
};
template <class T>
struct StoreTensor {
  T* y;
  int64_t inner;
  BOXCAM_HD void operator()(const SumPlace& at, const double (&sums)[1]) const {
    y[at.o * inner + at.c] = static_cast<T>(sums[0]);
  }
};

/// A short sum, by one thread for each result.
template <class T>
struct ShortSum {
  const T* x;
  int64_t length, inner;
  T* y;
  BOXCAM_HD void operator()(int64_t i) const {
    const Quotient at = divide(i, inner);
    T total = 0;
    for (int64_t r = 0; r < length; ++r) total += x[(at.quotient * length + r) * inner + at.remainder];
    y[i] = total;
  }
};

template <class T>
struct ArgMax {
  static constexpr size_t kSharedPerThread = sizeof(Candidate<T>);
  bool minimum;
  int64_t columns;
  const T* x;
  int32_t* index;
  template <class Block>
  BOXCAM_HD void operator()(Block& block, int64_t row) const {
    Candidate<T> mine{T(0), -1};
    for (int64_t i = block.rank(); i < columns; i += block.size()) {
      const Candidate<T> next{x[row * columns + i], i};
      if (before(minimum, next, mine)) mine = next;
    }
    mine = best(block, minimum, mine);
    if (block.rank() == 0) index[row] = static_cast<int32_t>(mine.index);
  }
};

template <class Run>
void sum(Run run, const Tensor& x, int64_t outer, int64_t length, int64_t inner, Tensor& y) {
  visit_floating(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    if (length <= kTerms)
      run.each(outer * inner, ShortSum<T>{pointer<T>(x), length, inner, pointer<T>(y)});
    else
      sum_terms<T, 1>(run, outer, length, inner, LoadTensor<T>{pointer<T>(x), length, inner},
                      StoreTensor<T>{pointer<T>(y), inner});
  });
}

template <class Run>
void argmax(Run run, const Tensor& x, bool minimum, Tensor& index) {
  visit_floating(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    run.blocks(x.dim(0), ArgMax<T>{minimum, x.dim(1), pointer<T>(x), pointer<int32_t>(index)});
  });
}

}  // namespace boxcam::cuda
