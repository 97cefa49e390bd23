#include <algorithm>

#include "engine/ops/common.h"

namespace boxcam {

namespace {

Shape broadcast_shape(const char* op, const Shape& a, const Shape& b) {
  std::vector<int64_t> dims(std::max(a.ndim(), b.ndim()));
  for (int i = 1; i <= static_cast<int>(dims.size()); ++i) {
    const int64_t p = i <= a.ndim() ? a[-i] : 1, q = i <= b.ndim() ? b[-i] : 1;
    check(p == q || p == 1 || q == 1, op, ": the shapes ", a, " and ", b, " do not broadcast");
    dims[dims.size() - i] = p == 1 ? q : p;
  }
  return Shape(std::move(dims));
}

Tensor binary(const char* op_name, BinaryOp op, const Tensor& a, const Tensor& b) {
  check_same_kind(op_name, a, b);
  Tensor y = output(broadcast_shape(op_name, a.shape(), b.shape()), a);
  kernels(a).binary(op, a, b, y);
  return y;
}

Tensor unary(const char* op_name, UnaryOp op, const Tensor& x) {
  check_activation(op_name, x);
  Tensor y = output(x.shape(), x);
  kernels(x).unary(op, x, y);
  return y;
}

Tensor affine(const char* op_name, const Tensor& x, double scale, double shift) {
  check_activation(op_name, x);
  Tensor y = output(x.shape(), x);
  kernels(x).affine(x, scale, shift, y);
  return y;
}

/// The gradient of what was broadcast from `shape`. bf16 is summed in f32, and rounded once.
Tensor summed(const Tensor& g, const Shape& shape) {
  if (g.dtype() != DType::bf16 || g.shape() == shape) return sum_to(g, shape);
  return cast(sum_to(cast(g, DType::f32), shape), DType::bf16);
}

}  // namespace

Tensor add(const Tensor& a, const Tensor& b) {
  return record("add", binary("add", BinaryOp::add, a, b), {a, b}, [](const RuleArgs& r) {
    const Tensor& g = r.grads[0];
    return std::vector{summed(g, r.inputs[0].shape()), summed(g, r.inputs[1].shape())};
  });
}

Tensor sub(const Tensor& a, const Tensor& b) {
  return record("sub", binary("sub", BinaryOp::sub, a, b), {a, b}, [](const RuleArgs& r) {
    const Tensor& g = r.grads[0];
    return std::vector{summed(g, r.inputs[0].shape()), r.wanted[1] ? summed(-g, r.inputs[1].shape()) : Tensor{}};
  });
}

Tensor mul(const Tensor& a, const Tensor& b) {
  return record("mul", binary("mul", BinaryOp::mul, a, b), {a, b}, [](const RuleArgs& r) {
    const Tensor &g = r.grads[0], &x = r.inputs[0], &y = r.inputs[1];
    return std::vector{r.wanted[0] ? summed(mul(g, y), x.shape()) : Tensor{},
                       r.wanted[1] ? summed(mul(g, x), y.shape()) : Tensor{}};
  });
}

Tensor div(const Tensor& a, const Tensor& b) {
  return record("div", binary("div", BinaryOp::div, a, b), {a, b}, [](const RuleArgs& r) {
    const Tensor &x = r.inputs[0], &y = r.inputs[1], quotient = div(r.grads[0], y);
    return std::vector{r.wanted[0] ? summed(quotient, x.shape()) : Tensor{},
                       r.wanted[1] ? summed(-mul(quotient, div(x, y)), y.shape()) : Tensor{}};
  });
}

Tensor add_scalar(const Tensor& a, double s) {
  return record("add_scalar", affine("add_scalar", a, 1, s), {a},
                [](const RuleArgs& r) { return std::vector{r.grads[0]}; });
}

Tensor mul_scalar(const Tensor& a, double s) {
  return record("mul_scalar", affine("mul_scalar", a, s, 0), {a},
                [s](const RuleArgs& r) { return std::vector{mul_scalar(r.grads[0], s)}; });
}

Tensor exp(const Tensor& x) {
  return record("exp", unary("exp", UnaryOp::exp, x), {x},
                [](const RuleArgs& r) { return std::vector{mul(r.grads[0], r.outputs[0])}; });
}

Tensor log(const Tensor& x) {
  return record("log", unary("log", UnaryOp::log, x), {x},
                [](const RuleArgs& r) { return std::vector{div(r.grads[0], r.inputs[0])}; });
}

Tensor sqrt(const Tensor& x) {
  return record("sqrt", unary("sqrt", UnaryOp::sqrt, x), {x},
                [](const RuleArgs& r) { return std::vector{div(r.grads[0], mul_scalar(r.outputs[0], 2))}; });
}

Tensor abs(const Tensor& x) {
  return record("abs", unary("abs", UnaryOp::abs, x), {x}, [](const RuleArgs& r) {
    const Tensor &v = r.inputs[0], zero = Tensor::scalar(0, v.dtype(), v.device());
    return std::vector{mul(r.grads[0], sub(greater(v, zero), greater(zero, v)))};
  });
}

Tensor relu(const Tensor& x) {
  return record("relu", unary("relu", UnaryOp::relu, x), {x},
                [](const RuleArgs& r) { return std::vector{relu_grad(r.grads[0], r.outputs[0])}; });
}

Tensor relu_grad(const Tensor& g, const Tensor& y) {
  check(g.shape() == y.shape(), "relu_grad: the shapes ", g.shape(), " and ", y.shape(), " differ");
  // y enters by its sign alone, so its own derivative is zero.
  return record("relu_grad", binary("relu_grad", BinaryOp::relu_grad, g, y), {g, y.detach()}, [](const RuleArgs& r) {
    return std::vector{relu_grad(r.grads[0], r.inputs[1]), Tensor{}};
  });
}

Tensor greater(const Tensor& a, const Tensor& b) { return binary("greater", BinaryOp::greater, a, b); }

Tensor cast(const Tensor& x, DType dtype) {
  check_activation("cast", x);
  check(dtype == DType::f32 || dtype == DType::f64 || dtype == DType::bf16,
        "cast: expected a floating point type to cast to, found ", dtype);
  if (x.dtype() == dtype) return x;
  Tensor y = Tensor::empty(x.shape(), dtype, x.device());
  kernels(x).cast(x, y);
  return record("cast", y, {x}, [from = x.dtype()](const RuleArgs& r) { return std::vector{cast(r.grads[0], from)}; });
}

}  // namespace boxcam
