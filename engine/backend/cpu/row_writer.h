// Rows on their way to memory.
#pragma once

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "engine/bfloat16.h"

namespace boxcam::cpu {

constexpr int64_t kChunk = 256;  // elements of a row that a loop computes at a time: they stay in the first-level cache

/// Calls f(begin, count) on the chunks of a row.
template <class F>
void for_each_chunk(int64_t width, F&& f) {
  for (int64_t begin = 0; begin < width; begin += kChunk) f(begin, std::min(kChunk, width - begin));
}

/// How a loop writes a tensor of `bytes` in all: plainly, or, when that is more than the caches hold, past the caches.
/// A plain store would first read the line that it overwrites, and would push out of the cache what somebody still
/// wants. One writer for each thread.
template <class T>
class RowWriter {
 public:
  RowWriter(size_t bytes, int64_t width)
      : past_caches_(bytes > kCaches && static_cast<size_t>(width) * sizeof(T) % kUnit == 0) {}
  ~RowWriter() {
    if (past_caches_) finish();
  }
  RowWriter(const RowWriter&) = delete;
  RowWriter& operator=(const RowWriter&) = delete;

  /// Computes at most kChunk values that belong at `destination`: compute(pointer to write them to).
  template <class F>
  void write(T* destination, int64_t count, F&& compute) {
    if (!past_caches_) return compute(destination);
    compute(static_cast<T*>(chunk_));
    store(destination, chunk_, count * sizeof(T));
  }

 private:
  static constexpr size_t kCaches = size_t{20} << 20;
#ifdef __SSE2__
  static constexpr size_t kUnit = sizeof(__m128i);
  static void store(void* to, const void* from, size_t bytes) {
    for (size_t i = 0; i < bytes / kUnit; ++i)
      _mm_stream_si128(static_cast<__m128i*>(to) + i, _mm_load_si128(static_cast<const __m128i*>(from) + i));
  }
  static void finish() { _mm_sfence(); }
#else
  static constexpr size_t kUnit = SIZE_MAX;  // never past the caches
  static void store(void* to, const void* from, size_t bytes) { std::memcpy(to, from, bytes); }
  static void finish() {}
#endif
  bool past_caches_;
  alignas(64) T chunk_[kChunk];
};

}  // namespace boxcam::cpu
