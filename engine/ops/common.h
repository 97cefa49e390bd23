// Checks and small helpers shared by the op rooms.
#pragma once

#include "engine/backend/kernels.h"
#include "engine/dtype.h"
#include "engine/ops.h"

namespace boxcam {

inline const Kernels& kernels(const Tensor& t) { return kernels(t.device()); }

/// An output with the dtype and device of `like`.
inline Tensor output(const Shape& shape, const Tensor& like) {
  return Tensor::empty(shape, like.dtype(), like.device());
}

/// The dtype of parameters and statistics beside activations of a dtype.
inline DType parameter_dtype(DType activations) { return activations == DType::bf16 ? DType::f32 : activations; }
inline Tensor parameter_output(const Shape& shape, const Tensor& activations) {
  return Tensor::empty(shape, parameter_dtype(activations.dtype()), activations.device());
}

inline void check_floating(const char* op, const Tensor& x) {
  check(x.defined(), op, ": an input is undefined");
  check(x.dtype() == DType::f32 || x.dtype() == DType::f64, op, ": expected f32 or f64, found ", x.dtype(), x.shape());
}

/// Of activations, which may be bf16 too.
inline void check_activation(const char* op, const Tensor& x) {
  if (x.defined() && x.dtype() == DType::bf16) return;
  check_floating(op, x);
}

inline void check_same_kind(const char* op, const Tensor& a, const Tensor& b) {
  check_activation(op, a);
  check_activation(op, b);
  check(a.dtype() == b.dtype(), op, ": the dtypes differ: ", a.dtype(), a.shape(), " and ", b.dtype(), b.shape());
  check(a.device() == b.device(), op, ": the devices differ: ", name(a.device()), " and ", name(b.device()));
}

/// Of activations and a parameter that belongs to them.
inline void check_parameter(const char* op, const Tensor& x, const Tensor& parameter) {
  check_activation(op, x);
  check_floating(op, parameter);
  check(parameter.dtype() == parameter_dtype(x.dtype()), op, ": activations ", x.dtype(), x.shape(),
        " need parameters of ", parameter_dtype(x.dtype()), ", found ", parameter.dtype(), parameter.shape());
  check(x.device() == parameter.device(), op, ": the devices differ: ", name(x.device()), " and ",
        name(parameter.device()));
}

inline void check_ndim(const char* op, const Tensor& x, int ndim, const char* meaning) {
  check(x.ndim() == ndim, op, ": expected ", meaning, ", found the shape ", x.shape());
}

inline void check_index(const char* op, const Tensor& index) {
  check(index.defined() && index.dtype() == DType::i32, op, ": expected an i32 index");
}

/// Indices are data, not parameters: a wrong label must end in a sentence, not in foreign memory. On a device they are
/// not read here, which would stop the step until they are on the host: there the kernels look, touch nothing out of
/// range, and the sentence comes with the next values that are copied to the host.
inline void check_index_range(const char* op, const Tensor& index, int64_t size) {
  if (index.device() != Device::cpu) return;
  const int32_t* values = index.data<int32_t>();
  for (int64_t i = 0; i < index.numel(); ++i)
    check(values[i] >= 0 && values[i] < size, op, ": the index ", values[i], " does not lie in [0, ", size, ")");
}

}  // namespace boxcam
