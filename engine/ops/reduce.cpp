#include <algorithm>

#include "engine/graph_access.h"
#include "engine/ops/common.h"

namespace boxcam {

namespace {

/// Sums the axes [first, first + count) away.
Tensor sum_run(const Tensor& x, int first, int count) {
  int64_t outer = 1, length = 1, inner = 1;
  std::vector<int64_t> dims;
  for (int i = 0; i < x.ndim(); ++i) {
    const int64_t d = x.dim(i);
    if (i < first)
      outer *= d;
    else if (i < first + count)
      length *= d;
    else
      inner *= d;
    if (i < first || i >= first + count) dims.push_back(d);
  }
  Tensor y = output(Shape(std::move(dims)), x);
  kernels(x).sum(x, outer, length, inner, y);
  return y;
}

std::vector<char> reduced_axes(const char* op, const Tensor& x, const std::vector<int>& axes) {
  std::vector<char> reduced(x.ndim(), 0);
  for (const int axis : axes) {
    const int a = axis < 0 ? axis + x.ndim() : axis;
    check(a >= 0 && a < x.ndim(), op, ": the axis ", axis, " does not exist in the shape ", x.shape());
    reduced[a] = 1;
  }
  return reduced;
}

Tensor arg(const char* op, const Tensor& x, bool minimum) {
  check_floating(op, x);
  check_ndim(op, x, 2, "[N, M]");
  check(x.dim(1) > 0, op, ": the shape ", x.shape(), " has empty rows");
  Tensor index = Tensor::empty({x.dim(0), 1}, DType::i32, x.device());
  kernels(x).argmax(x, minimum, index);
  return index;
}

}  // namespace

Tensor sum(const Tensor& x, const std::vector<int>& axes, bool keepdims) {
  check_floating("sum", x);
  const std::vector<char> reduced = reduced_axes("sum", x, axes);
  Tensor y = x.detach();
  std::vector<int64_t> kept, dims;
  for (int end = x.ndim(); end > 0;) {  // runs of neighbouring axes, from the last to the first
    if (!reduced[end - 1]) {
      --end;
      continue;
    }
    int begin = end;
    while (begin > 0 && reduced[begin - 1]) --begin;
    y = sum_run(y, begin, end - begin);
    end = begin;
  }
  for (int i = 0; i < x.ndim(); ++i) {
    dims.push_back(reduced[i] ? 1 : x.dim(i));
    if (!reduced[i]) kept.push_back(x.dim(i));
  }
  const Shape with_ones(std::move(dims));
  y = GraphAccess::alias(y, keepdims ? with_ones : Shape(std::move(kept)));
  return record("sum", y, {x}, [with_ones](const RuleArgs& r) {
    return std::vector{broadcast_to(reshape(r.grads[0], with_ones), r.inputs[0].shape())};
  });
}

Tensor sum(const Tensor& x) {
  std::vector<int> axes(x.ndim());
  for (int i = 0; i < x.ndim(); ++i) axes[i] = i;
  return sum(x, axes);
}

Tensor mean(const Tensor& x, const std::vector<int>& axes, bool keepdims) {
  const std::vector<char> reduced = reduced_axes("mean", x, axes);
  int64_t count = 1;
  for (int i = 0; i < x.ndim(); ++i)
    if (reduced[i]) count *= x.dim(i);
  return mul_scalar(sum(x, axes, keepdims), 1.0 / static_cast<double>(count));
}

Tensor mean(const Tensor& x) { return mul_scalar(sum(x), 1.0 / static_cast<double>(x.numel())); }

Tensor broadcast_to(const Tensor& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  check_floating("broadcast_to", x);
  for (int i = 1; i <= x.ndim(); ++i)
    check(i <= shape.ndim() && (x.dim(-i) == 1 || x.dim(-i) == shape[-i]), "broadcast_to: the shape ", x.shape(),
          " does not broadcast to ", shape);
  Tensor y = output(shape, x);
  const Tensor zero = Tensor::scalar(0, x.dtype(), x.device());
  kernels(x).binary(BinaryOp::add, x, zero, y);
  return record("broadcast_to", y, {x},
                [](const RuleArgs& r) { return std::vector{sum_to(r.grads[0], r.inputs[0].shape())}; });
}

Tensor sum_to(const Tensor& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  check(shape.ndim() <= x.ndim(), "sum_to: the shape ", x.shape(), " does not reduce to ", shape);
  std::vector<int> axes;
  for (int i = 1; i <= x.ndim(); ++i) {
    const int64_t wanted = i <= shape.ndim() ? shape[-i] : 1;
    check(wanted == 1 || wanted == x.dim(-i), "sum_to: the shape ", x.shape(), " does not reduce to ", shape);
    if (i > shape.ndim() || (wanted == 1 && x.dim(-i) != 1)) axes.push_back(x.ndim() - i);
  }
  return reshape(sum(x, axes), shape);
}

Tensor argmax(const Tensor& x) { return arg("argmax", x, false); }
Tensor argmin(const Tensor& x) { return arg("argmin", x, true); }

}  // namespace boxcam
