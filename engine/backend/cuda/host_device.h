// What the bodies of the CUDA kernels are written in. A kernel is a struct of pointers and extents with operator():
//
//   struct Each   { BOXCAM_HD void operator()(int64_t i) const; };               one call for every element
//   struct Blocks { static constexpr size_t kSharedPerThread = ...;              bytes
//                   static constexpr int kBlockThreads = ...;                    if not the usual number
//                   template <class Block> BOXCAM_HD void operator()(Block&, int64_t block) const; };
//
// and is started by a runner: `run.each(n, body)` or `run.blocks(n, body)`. launch.h has the runner of the device; the
// tests have one that executes the same bodies on the CPU, with real threads in place of the device's. So everything
// in the headers <room>.h of this folder compiles with any C++ compiler, and includes nothing of CUDA's.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <type_traits>

#include "engine/tensor.h"

namespace boxcam::cuda {

template <class T>
BOXCAM_HD T least(T a, T b) {
  return b < a ? b : a;
}
template <class T>
BOXCAM_HD T greatest(T a, T b) {
  return a < b ? b : a;
}

/// The memory of a tensor, wherever it is.
template <class T>
const T* pointer(const Tensor& t) {
  return t.defined() ? static_cast<const T*>(t.raw_data()) : nullptr;
}
template <class T>
T* pointer(Tensor& t) {
  return t.defined() ? static_cast<T*>(t.raw_data()) : nullptr;
}

/// V neighbouring elements, which one thread takes at once.
template <class T, int V>
struct Pack {
  T at[V];
};
struct alignas(16) SixteenBytes {
  uint32_t words[4];
};
/// Reads (writes) V neighbours, 16 bytes at a time where they are a multiple of that; then `from` (`to`) is aligned so.
template <int V, class T>
BOXCAM_HD Pack<T, V> load(const T* from) {
  Pack<T, V> pack;
  if constexpr (sizeof pack % sizeof(SixteenBytes) == 0) {
    for (size_t k = 0; k < sizeof pack / sizeof(SixteenBytes); ++k) {
      const SixteenBytes bytes = reinterpret_cast<const SixteenBytes*>(from)[k];
      std::memcpy(reinterpret_cast<char*>(&pack) + k * sizeof bytes, &bytes, sizeof bytes);
    }
  } else {
    for (int v = 0; v < V; ++v) pack.at[v] = from[v];
  }
  return pack;
}
template <int V, class T>
BOXCAM_HD void store(T* to, const Pack<T, V>& pack) {
  if constexpr (sizeof pack % sizeof(SixteenBytes) == 0) {
    for (size_t k = 0; k < sizeof pack / sizeof(SixteenBytes); ++k) {
      SixteenBytes bytes;
      std::memcpy(&bytes, reinterpret_cast<const char*>(&pack) + k * sizeof bytes, sizeof bytes);
      reinterpret_cast<SixteenBytes*>(to)[k] = bytes;
    }
  } else {
    for (int v = 0; v < V; ++v) to[v] = pack.at[v];
  }
}

/// Calls f with how many neighbours along an axis of `extent` elements T a thread can take, as a constant: 16 bytes
/// where they divide the axis and the tensors begin at multiples of 16 bytes, else 1.
template <class T, class F>
void with_pack(int64_t extent, std::initializer_list<const Tensor*> tensors, F&& f) {
  constexpr int wide = static_cast<int>(sizeof(SixteenBytes) / sizeof(T));
  bool fits = extent % wide == 0;
  for (const Tensor* t : tensors)
    fits = fits && (!t->defined() || reinterpret_cast<uintptr_t>(t->raw_data()) % sizeof(SixteenBytes) == 0);
  if (fits)
    f(std::integral_constant<int, wide>{});
  else
    f(std::integral_constant<int, 1>{});
}

struct Quotient {
  int64_t quotient, remainder;
};
/// n / d and n % d, of non-negative numbers. Devices divide 64-bit numbers slowly.
BOXCAM_HD inline Quotient divide(int64_t n, int64_t d) {
  if (((n | d) >> 32) == 0) {
    const uint32_t small = static_cast<uint32_t>(n), by = static_cast<uint32_t>(d), q = small / by;
    return {q, small - q * by};
  }
  return {n / d, n % d};
}

/// Sets *at and returns what was there, as one step.
BOXCAM_HD inline int32_t exchange(int32_t* at, int32_t value) {
#ifdef __CUDA_ARCH__
  return atomicExch(at, value);
#else
  return std::atomic_ref<int32_t>(*at).exchange(value, std::memory_order_relaxed);
#endif
}

/// The first trouble a kernel met that has no other way to be told: an index out of range. Zero: none. Whoever copies
/// values to the host looks (synchronize in memory.cu).
struct IndexReport {
  uint64_t packed = 0;
  int32_t index() const { return static_cast<int32_t>(packed); }
  int64_t size() const { return static_cast<int64_t>(packed >> 32); }
};
/// Which of several wrong indices is reported is not determined. `size` is at most 2^32 - 1, as an i32 index implies.
BOXCAM_HD inline void report_index(IndexReport* report, int32_t index, int64_t size) {
  const uint64_t packed = static_cast<uint64_t>(size) << 32 | static_cast<uint32_t>(index);
#ifdef __CUDA_ARCH__
  *static_cast<volatile uint64_t*>(&report->packed) = packed;
#else
  std::atomic_ref<uint64_t>(report->packed).store(packed, std::memory_order_relaxed);
#endif
}

}  // namespace boxcam::cuda
