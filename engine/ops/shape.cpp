#include <algorithm>

#include "engine/graph_access.h"
#include "engine/ops/common.h"

namespace boxcam {

namespace {

/// x seen as [outer, length, inner] around one axis.
struct AxisView {
  int64_t outer = 1, length = 1, inner = 1;
};
AxisView view(const Shape& shape, int axis) {
  AxisView v;
  v.length = shape[axis];
  for (int i = 0; i < shape.ndim(); ++i) (i < axis ? v.outer : v.inner) *= i == axis ? 1 : shape[i];
  return v;
}

int checked_axis(const char* op, const Tensor& x, int axis) {
  const int a = axis < 0 ? axis + x.ndim() : axis;
  check(a >= 0 && a < x.ndim(), op, ": the axis ", axis, " does not exist in the shape ", x.shape());
  return a;
}

}  // namespace

Tensor reshape(const Tensor& x, const Shape& shape) {
  check(x.numel() == shape.numel() && std::ranges::all_of(shape.dims(), [](int64_t d) { return d >= 0; }),
        "reshape: the shape ", x.shape(), " does not fill ", shape);
  return record("reshape", GraphAccess::alias(x, shape), {x},
                [](const RuleArgs& r) { return std::vector{reshape(r.grads[0], r.inputs[0].shape())}; });
}

Tensor take_at(const Tensor& x, const Tensor& index) {
  check_activation("take_at", x);
  check_index("take_at", index);
  check(x.ndim() == 2 && index.ndim() == 2 && x.dim(0) == index.dim(0), "take_at: expected [N, M] and [N, K], found ",
        x.shape(), " and ", index.shape());
  check_index_range("take_at", index, x.dim(1));
  Tensor y = output(index.shape(), x);
  kernels(x).take_at(x, index, y);
  return record("take_at", y, {x},
                [index](const RuleArgs& r) { return std::vector{put_at(r.grads[0], index, r.inputs[0].dim(1))}; });
}

Tensor put_at(const Tensor& g, const Tensor& index, int64_t size) {
  check_activation("put_at", g);
  check_index("put_at", index);
  check(g.ndim() == 2 && g.shape() == index.shape(), "put_at: expected values and index of one shape [N, K], found ",
        g.shape(), " and ", index.shape());
  check_index_range("put_at", index, size);
  Tensor y = output({g.dim(0), size}, g);
  kernels(g).put_at(g, index, y);
  return record("put_at", y, {g}, [index](const RuleArgs& r) { return std::vector{take_at(r.grads[0], index)}; });
}

Tensor slice(const Tensor& x, int axis, int64_t begin, int64_t length) {
  check_floating("slice", x);
  const int a = checked_axis("slice", x, axis);
  check(begin >= 0 && length >= 0 && begin + length <= x.dim(a), "slice: the range ", begin, " to ", begin + length,
        " does not lie in axis ", a, " of the shape ", x.shape());
  Shape shape = x.shape();
  shape[a] = length;
  Tensor y = output(shape, x);
  const AxisView v = view(x.shape(), a);
  kernels(x).copy_range(x, begin, y, 0, v.outer, v.length, length, length, v.inner);
  return record("slice", y, {x}, [a, begin, length](const RuleArgs& r) {
    return std::vector{pad(r.grads[0], a, begin, r.inputs[0].dim(a) - begin - length)};
  });
}

Tensor pad(const Tensor& x, int axis, int64_t before, int64_t after) {
  check_floating("pad", x);
  const int a = checked_axis("pad", x, axis);
  check(before >= 0 && after >= 0, "pad: expected non-negative amounts, found ", before, " and ", after);
  Shape shape = x.shape();
  shape[a] += before + after;
  Tensor y = output(shape, x);
  const AxisView v = view(x.shape(), a);
  kernels(x).copy_range(x, 0, y, before, v.outer, v.length, shape[a], v.length, v.inner);
  return record("pad", y, {x}, [a, before](const RuleArgs& r) {
    return std::vector{slice(r.grads[0], a, before, r.inputs[0].dim(a))};
  });
}

Tensor one_hot(const Tensor& index, int64_t classes, DType dtype) {
  check_index("one_hot", index);
  check_ndim("one_hot", index, 1, "an index [N]");
  check_index_range("one_hot", index, classes);
  const int64_t n = index.dim(0);
  const Tensor ones = Tensor::full({n, 1}, 1.0, dtype, index.device());
  return put_at(ones, reshape(index, {n, 1}), classes);
}

}  // namespace boxcam
