// bfloat16: the upper half of an f32, with its range and 8 significant bits. A type for storing activations; all
// arithmetic is done in f32.
#pragma once

#include <bit>
#include <cstdint>
#include <type_traits>

#ifdef __CUDACC__
#define BOXCAM_HD __host__ __device__  // in code that the host and a device compile
#else
#define BOXCAM_HD
#endif

namespace boxcam {

struct bfloat16 {
  uint16_t bits;

  bfloat16() = default;
  /// Rounds to nearest, ties to even; a NaN stays one.
  BOXCAM_HD bfloat16(float value) {
    const uint32_t word = std::bit_cast<uint32_t>(value);
    const uint32_t rounded = (word + 0x7fffu + ((word >> 16) & 1u)) >> 16;
    bits = static_cast<uint16_t>(value != value ? (word >> 16) | 0x40u : rounded);
  }
  BOXCAM_HD operator float() const { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }
};

/// The type that arithmetic on T is done in, and that parameters beside activations of type T have.
template <class T>
using Arithmetic = std::conditional_t<std::is_same_v<T, bfloat16>, float, T>;

}  // namespace boxcam
