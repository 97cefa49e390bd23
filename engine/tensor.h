// Tensor: a shared handle to contiguous, row-major memory and to the graph node that made it.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/base/check.h"
#include "engine/dtype.h"
#include "engine/memory.h"

namespace boxcam {

/// The extents of a tensor, outermost first. A scalar has none.
class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<int64_t> dims) : dims_(dims) {}
  explicit Shape(std::vector<int64_t> dims) : dims_(std::move(dims)) {}

  int ndim() const { return static_cast<int>(dims_.size()); }
  /// Negative axes count from the end. Throws Error for an axis that does not exist.
  int64_t operator[](int axis) const { return dims_[position(axis)]; }
  int64_t& operator[](int axis) { return dims_[position(axis)]; }
  int64_t numel() const;
  const std::vector<int64_t>& dims() const { return dims_; }
  bool operator==(const Shape&) const = default;

 private:
  size_t position(int axis) const {
    const int from_begin = axis < 0 ? axis + ndim() : axis;
    if (from_begin < 0 || from_begin >= ndim()) [[unlikely]]
      refuse(axis);
    return static_cast<size_t>(from_begin);
  }
  [[noreturn]] void refuse(int axis) const;

  std::vector<int64_t> dims_;
};

std::ostream& operator<<(std::ostream& out, const Shape& shape);  ///< "[16, 7, 7, 2048]"

struct Node;  // engine/autograd.h

/// A handle: copies share memory. Data is never overwritten once a tensor is made, with one exception, the
/// optimiser and `copy_from`, which update parameters and buffers once nothing more will be differentiated through
/// them.
class Tensor {
 public:
  Tensor() = default;  ///< undefined: no shape, no memory; what asks for them throws Error

  static Tensor empty(const Shape& shape, DType dtype = DType::f32, Device device = Device::cpu);
  static Tensor zeros(const Shape& shape, DType dtype = DType::f32, Device device = Device::cpu);
  static Tensor full(const Shape& shape, double value, DType dtype = DType::f32, Device device = Device::cpu);
  static Tensor scalar(double value, DType dtype = DType::f32, Device device = Device::cpu) {
    return full({}, value, dtype, device);
  }
  /// Copies host values; T in {float, double, int32_t, uint8_t} gives the dtype.
  template <class T>
  static Tensor from(const Shape& shape, std::span<const T> values, Device device = Device::cpu);
  template <class T>
  static Tensor from(const Shape& shape, const std::vector<T>& values, Device device = Device::cpu) {
    return from<T>(shape, std::span<const T>(values), device);
  }

  bool defined() const { return impl_ != nullptr; }
  const Shape& shape() const;
  int64_t dim(int axis) const { return shape()[axis]; }  ///< negative axes count from the end
  int ndim() const { return shape().ndim(); }
  int64_t numel() const { return shape().numel(); }
  size_t bytes() const { return static_cast<size_t>(numel()) * item_size(dtype()); }
  DType dtype() const;
  Device device() const;

  /// The memory itself, for tensors on the CPU; throws elsewhere. T must be the dtype's type.
  template <class T>
  T* data() {
    return static_cast<T*>(raw(dtype_of<T>()));
  }
  template <class T>
  const T* data() const {
    return static_cast<const T*>(const_cast<Tensor*>(this)->raw(dtype_of<T>()));
  }
  void* raw_data();  ///< an address on the tensor's device
  const void* raw_data() const { return const_cast<Tensor*>(this)->raw_data(); }

  double item() const;                    ///< the value of a one-element tensor, on the host
  std::vector<double> to_vector() const;  ///< all values, on the host, as doubles
  Tensor to(DType dtype) const;           ///< converted copy, between any two; no gradient (the op `cast` has one)
  Tensor to(Device device) const;         ///< copy on another device; no gradient
  Tensor clone() const;                   ///< deep copy; no gradient
  void copy_from(const Tensor& source);   ///< overwrites the memory; same shape and dtype, any device
  /// Moves the memory of a leaf to another device, for all handles of this tensor (but not for what `detach` made of
  /// it).
  void move_to(Device device);

  /// Leaves that gradients are asked for. Results of ops inherit it from their inputs.
  bool requires_grad() const;
  Tensor& set_requires_grad(bool value = true);   ///< leaves only
  Tensor detach() const;                          ///< same memory, no history
  const std::shared_ptr<Node>& node() const;      ///< null for leaves
  int output_index() const;                       ///< which of the node's outputs this is
  const void* id() const { return impl_.get(); }  ///< identity of the handle's target

 private:
  friend struct GraphAccess;
  struct Impl;
  void* raw(DType dtype);
  std::shared_ptr<Impl> impl_;
};

/// As NumPy prints, with dtype, shape and, if it is not the CPU, device; the values come to the host. Numbers have six
/// digits. Of more than 1000 elements it shows the first and last three along each axis.
///
///   tensor([[  1, 2.5],
///           [ -3, nan]], f32 [2, 2])
///
/// An undefined one is "tensor(undefined)".
std::ostream& operator<<(std::ostream& out, const Tensor& t);

}  // namespace boxcam
