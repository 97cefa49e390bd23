// The types of a tensor's elements, and how code is written once for all of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <utility>

#include "engine/base/check.h"
#include "engine/bfloat16.h"

namespace boxcam {

enum class DType { f32, f64, bf16, i32, u8 };  ///< bf16: activations only, see ops.h

size_t item_size(DType dtype);
const char* name(DType dtype);
std::ostream& operator<<(std::ostream& out, DType dtype);

template <class T>
constexpr DType dtype_of();
template <>
constexpr DType dtype_of<float>() {
  return DType::f32;
}
template <>
constexpr DType dtype_of<double>() {
  return DType::f64;
}
template <>
constexpr DType dtype_of<bfloat16>() {
  return DType::bf16;
}
template <>
constexpr DType dtype_of<int32_t>() {
  return DType::i32;
}
template <>
constexpr DType dtype_of<uint8_t>() {
  return DType::u8;
}

/// Calls f with a zero of the dtype's C++ type: visit_dtype(t.dtype(), [&](auto zero) { using T = decltype(zero); }).
template <class F>
void visit_dtype(DType dtype, F&& f) {
  switch (dtype) {
    case DType::f32: return f(float{});
    case DType::f64: return f(double{});
    case DType::bf16: return f(bfloat16{});
    case DType::i32: return f(int32_t{});
    case DType::u8: return f(uint8_t{});
  }
}

/// The same for the floating point types that are computed in; throws Error for the others.
template <class F>
void visit_floating(DType dtype, F&& f) {
  switch (dtype) {
    case DType::f32: return f(float{});
    case DType::f64: return f(double{});
    default: fail("expected a floating point tensor (f32 or f64), found ", dtype);
  }
}

/// The same for the types that activations may have: f32, f64 and bf16.
template <class F>
void visit_activation(DType dtype, F&& f) {
  if (dtype == DType::bf16) return f(bfloat16{});
  visit_floating(dtype, std::forward<F>(f));
}

}  // namespace boxcam
