#include "engine/tensor.h"

#include <algorithm>

#include "engine/autograd.h"
#include "engine/backend/backend.h"
#include "engine/graph_access.h"

namespace boxcam {

int64_t Shape::numel() const {
  int64_t count = 1;
  for (const int64_t d : dims_) count *= d;
  return count;
}

void Shape::refuse(int axis) const { fail("the axis ", axis, " does not exist in the shape ", *this); }

std::ostream& operator<<(std::ostream& out, const Shape& shape) {
  out << "[";
  for (int i = 0; i < shape.ndim(); ++i) out << (i ? ", " : "") << shape[i];
  return out << "]";
}

Tensor Tensor::empty(const Shape& shape, DType dtype, Device device) {
  for (const int64_t d : shape.dims()) check(d >= 0, "Tensor::empty: the shape ", shape, " has a negative extent");
  Tensor t;
  t.impl_ = std::make_shared<Impl>();
  t.impl_->shape = shape;
  t.impl_->dtype = dtype;
  t.impl_->device = device;
  t.impl_->storage = std::make_shared<Storage>(t.bytes(), device);
  return t;
}

Tensor Tensor::zeros(const Shape& shape, DType dtype, Device device) {
  Tensor t = empty(shape, dtype, device);
  backend(device).memory.set_zero(t.raw_data(), t.bytes());
  return t;
}

Tensor Tensor::full(const Shape& shape, double value, DType dtype, Device device) {
  Tensor t = empty(shape, dtype, device);
  backend(device).memory.fill(t, value);
  return t;
}

template <class T>
Tensor Tensor::from(const Shape& shape, std::span<const T> values, Device device) {
  check(shape.numel() == static_cast<int64_t>(values.size()), "Tensor::from: ", values.size(),
        " values do not fill the shape ", shape);
  Tensor t = empty(shape, dtype_of<T>(), device);
  backend(device).memory.upload(t.raw_data(), values.data(), t.bytes());
  return t;
}
template Tensor Tensor::from(const Shape&, std::span<const float>, Device);
template Tensor Tensor::from(const Shape&, std::span<const double>, Device);
template Tensor Tensor::from(const Shape&, std::span<const int32_t>, Device);
template Tensor Tensor::from(const Shape&, std::span<const uint8_t>, Device);

const Shape& Tensor::shape() const {
  check(defined(), "an undefined tensor has no shape");
  return impl_->shape;
}
DType Tensor::dtype() const {
  check(defined(), "an undefined tensor has no dtype");
  return impl_->dtype;
}
Device Tensor::device() const {
  check(defined(), "an undefined tensor has no device");
  return impl_->device;
}

void* Tensor::raw_data() {
  check(defined(), "an undefined tensor has no memory");
  return impl_->storage->data();
}

void* Tensor::raw(DType wanted) {
  check(dtype() == wanted, "tensor data of dtype ", dtype(), " read as ", wanted);
  check(device() == Device::cpu, "tensor data on the device ", name(device()), " read on the host, at shape ", shape());
  return raw_data();
}

double Tensor::item() const {
  check(numel() == 1, "item(): expected a tensor of one element, found the shape ", shape());
  return to_vector()[0];
}

std::vector<double> Tensor::to_vector() const {
  if (device() != Device::cpu) return to(Device::cpu).to_vector();
  std::vector<double> values(numel());
  visit_dtype(dtype(), [&](auto zero) {
    const auto* source = data<decltype(zero)>();
    std::copy(source, source + numel(), values.begin());
  });
  return values;
}

Tensor Tensor::to(DType wanted) const {
  if (dtype() == wanted) return detach();
  Tensor result = empty(shape(), wanted, device());
  kernels(device()).cast(*this, result);
  return result;
}

Tensor Tensor::to(Device wanted) const {
  if (device() == wanted) return detach();
  Tensor result = empty(shape(), dtype(), wanted);
  result.copy_from(*this);
  return result;
}

Tensor Tensor::clone() const {
  Tensor result = empty(shape(), dtype(), device());
  result.copy_from(*this);
  return result;
}

void Tensor::copy_from(const Tensor& source) {
  check(shape() == source.shape() && dtype() == source.dtype(), "copy_from: expected ", dtype(), shape(), ", found ",
        source.dtype(), source.shape());
  const bool from_host = source.device() == Device::cpu;
  const DeviceMemory& memory = backend(from_host ? device() : source.device()).memory;
  const auto copy_bytes = from_host ? memory.upload : device() == Device::cpu ? memory.download : memory.copy;
  copy_bytes(raw_data(), source.raw_data(), bytes());
}

void Tensor::move_to(Device wanted) {
  check(!node(), "move_to: only a leaf can be moved, not the result of ", node() ? node()->name : "");
  if (device() == wanted) return;
  const Tensor moved = to(wanted);
  impl_->device = wanted;
  impl_->storage = moved.impl_->storage;
}

bool Tensor::requires_grad() const { return defined() && (impl_->requires_grad || impl_->node); }

Tensor& Tensor::set_requires_grad(bool value) {
  check(defined(), "set_requires_grad: the tensor is undefined");
  check(!node(), "set_requires_grad: only a leaf can be told to require a gradient, not the result of ",
        node() ? node()->name : "");
  impl_->requires_grad = value;
  return *this;
}

Tensor Tensor::detach() const {
  check(defined(), "detach: the tensor is undefined");
  Tensor t;
  t.impl_ = std::make_shared<Impl>(Impl{impl_->shape, impl_->dtype, impl_->device, impl_->storage, false, nullptr, 0});
  return t;
}

const std::shared_ptr<Node>& Tensor::node() const {
  static const std::shared_ptr<Node> none;
  return defined() ? impl_->node : none;
}

int Tensor::output_index() const {
  check(defined(), "an undefined tensor is no output");
  return impl_->output_index;
}

Tensor GraphAccess::alias(const Tensor& x, const Shape& shape) {
  Tensor t = x.detach();
  t.impl_->shape = shape;
  return t;
}

void GraphAccess::attach(Tensor& t, std::shared_ptr<Node> node, int output_index) {
  // A kernel's output may be handed out twice (an op that returns its input): give this history its own handle.
  if (t.impl_->node || t.impl_->requires_grad) t = t.detach();
  t.impl_->node = std::move(node);
  t.impl_->output_index = output_index;
}

bool GraphAccess::sole_owner(const Tensor& t) { return t.impl_ && t.impl_.use_count() == 1; }
bool GraphAccess::sole_user_of_memory(const Tensor& t) { return sole_owner(t) && t.impl_->storage.use_count() == 1; }

}  // namespace boxcam
