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
  BOXCAM_HD bfloat16(float value) : bits(rounded(value)) {}
  /// Without a temporary object, which would keep loops over arrays from being vectorised.
  BOXCAM_HD bfloat16& operator=(float value) {
    bits = rounded(value);
    return *this;
  }
  BOXCAM_HD operator float() const {
    const uint32_t word = static_cast<uint32_t>(bits) << 16;
#ifdef __CUDA_ARCH__
    return __uint_as_float(word);
#else
    return std::bit_cast<float>(word);
#endif
  }

 private:
  /// To nearest, ties to even; a NaN stays one. On integers alone, which compilers turn into vector code.
  static BOXCAM_HD uint16_t rounded(float value) {
#ifdef __CUDA_ARCH__
    const uint32_t word = __float_as_uint(value);
#else
    const uint32_t word = std::bit_cast<uint32_t>(value);
#endif
    const uint32_t nearest = word + 0x7fffu + ((word >> 16) & 1u), quiet = word | 0x400000u;
    const bool is_nan = (word & 0x7fffffffu) > 0x7f800000u;
    return static_cast<uint16_t>((is_nan ? quiet : nearest) >> 16);
  }
};

/// The type that arithmetic on T is done in, and that parameters beside activations of type T have.
template <class T>
using Arithmetic = std::conditional_t<std::is_same_v<T, bfloat16>, float, T>;

}  // namespace boxcam
