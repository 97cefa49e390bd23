// What autograd and the ops may do to a tensor's inside, and nobody else.
#pragma once

#include <memory>

#include "engine/memory.h"
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

}  // namespace boxcam
