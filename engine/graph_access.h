// What autograd and the ops may do to a tensor's inside, and nobody else.
#pragma once

#include <memory>

#include "engine/device.h"
#include "engine/tensor.h"

namespace boxcam {

struct Tensor::Impl {
  Shape shape;
  DType dtype = DType::f32;
  Device device = Device::cpu;
  std::shared_ptr<Storage> storage;
  bool requires_grad = false;
  std::shared_ptr<Node> node;
  int output_index = 0;
};

struct GraphAccess {
  static Tensor alias(const Tensor& x, const Shape& shape);  ///< same memory, other shape, no history
  static void attach(Tensor& t, std::shared_ptr<Node> node, int output_index);
  static bool sole_owner(const Tensor& t);
  static bool sole_user_of_memory(const Tensor& t);  ///< a sole owner, and no view of the memory
};

/// Calls f with a zero of the dtype's C++ type.
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

/// The same for the floating point types that are computed in.
template <class F>
void visit_floating(DType dtype, F&& f) {
  switch (dtype) {
    case DType::f32: return f(float{});
    case DType::f64: return f(double{});
    default: fail("expected a floating point tensor (f32 or f64), found ", dtype);
  }
}

/// The same for the types that activations may have.
template <class F>
void visit_activation(DType dtype, F&& f) {
  if (dtype == DType::bf16) return f(bfloat16{});
  visit_floating(dtype, std::forward<F>(f));
}

}  // namespace boxcam
