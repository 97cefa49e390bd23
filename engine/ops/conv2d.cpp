#include "engine/graph_access.h"
#include "engine/in_place.h"
#include "engine/ops/common.h"

namespace boxcam {

namespace {

Shape conv_output_shape(const char* op, const Shape& x, const Shape& w, const Conv2dSpec& s) {
  check(x.ndim() == 4 && w.ndim() == 4, op, ": expected x [N, H, W, I] and w [O, R, S, I / groups], found ", x, " and ",
        w);
  check(s.stride > 0 && s.dilation > 0 && s.padding >= 0 && s.groups > 0, op, ": impossible parameters: stride ",
        s.stride, ", padding ", s.padding, ", dilation ", s.dilation, ", groups ", s.groups);
  check(x[3] == w[3] * s.groups && w[0] % s.groups == 0, op, ": the channels do not fit: x ", x, ", w ", w, ", groups ",
        s.groups);
  Shape y{x[0], 0, 0, w[0]};
  for (int i = 1; i <= 2; ++i) {
    const int64_t room = x[i] + 2 * s.padding - s.dilation * (w[i] - 1) - 1;
    check(room >= 0, op, ": the window does not fit into the padded input: x ", x, ", w ", w, ", padding ", s.padding,
          ", dilation ", s.dilation);
    y[i] = room / s.stride + 1;
  }
  return y;
}

Shape checked_conv2d_bias(const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dSpec& spec,
                          const Tensor& residual) {
  check_parameter("conv2d_bias", x, w);
  check_parameter("conv2d_bias", x, bias);
  const Shape shape = conv_output_shape("conv2d_bias", x.shape(), w.shape(), spec);
  check(bias.shape() == Shape{w.dim(0)}, "conv2d_bias: expected a bias [", w.dim(0), "] for the weight ", w.shape(),
        ", found ", bias.shape());
  if (residual.defined()) {
    check_same_kind("conv2d_bias", x, residual);
    check(residual.shape() == shape, "conv2d_bias: the residual ", residual.shape(), " does not fit the output ",
          shape);
  }
  return shape;
}

/// The result of conv2d_bias after its checks, in y.
Tensor fused_conv2d_bias(Tensor y, const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dSpec& spec,
                         bool with_relu, const Tensor& residual) {
  kernels(x).conv2d_bias(x, w, spec, bias, residual, with_relu, y);
  std::vector<Tensor> inputs = {x, w, bias};
  if (residual.defined()) inputs.push_back(residual);
  return record_composite("conv2d_bias", {y}, inputs, [spec, with_relu](const std::vector<Tensor>& in) {
    Tensor sum = add(conv2d(in[0], in[1], spec), cast(in[2], in[0].dtype()));
    if (in.size() == 4) sum = add(sum, in[3]);
    return std::vector{with_relu ? relu(sum) : sum};
  })[0];
}

}  // namespace

// The three are one family: each is linear in both of its tensors, and the derivatives are its siblings.

Tensor conv2d(const Tensor& x, const Tensor& w, const Conv2dSpec& spec) {
  check_parameter("conv2d", x, w);
  Tensor y = output(conv_output_shape("conv2d", x.shape(), w.shape(), spec), x);
  kernels(x).conv2d(x, w, spec, y);
  return record("conv2d", y, {x, w}, [spec](const RuleArgs& r) {
    const Tensor &input = r.inputs[0], &weight = r.inputs[1], &g = r.grads[0];
    return std::vector{r.wanted[0] ? conv2d_input_grad(g, weight, input.shape(), spec) : Tensor{},
                       r.wanted[1] ? conv2d_weight_grad(input, g, weight.shape(), spec) : Tensor{}};
  });
}

Tensor conv2d_bias(const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dSpec& spec, bool with_relu,
                   const Tensor& residual) {
  Tensor y = output(checked_conv2d_bias(x, w, bias, spec, residual), x);
  return fused_conv2d_bias(y, x, w, bias, spec, with_relu, residual);
}

Tensor conv2d_bias_into(Tensor residual, const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dSpec& spec,
                        bool with_relu) {
  const Shape shape = checked_conv2d_bias(x, w, bias, spec, residual);
  const bool in_place = residual.defined() && !grad_enabled() && GraphAccess::sole_user_of_memory(residual);
  Tensor y = in_place ? GraphAccess::alias(residual, shape) : output(shape, x);
  return fused_conv2d_bias(y, x, w, bias, spec, with_relu, residual);
}

Tensor conv2d_input_grad(const Tensor& g, const Tensor& w, const Shape& x_shape, const Conv2dSpec& spec) {
  check_parameter("conv2d_input_grad", g, w);
  check(g.shape() == conv_output_shape("conv2d_input_grad", x_shape, w.shape(), spec),
        "conv2d_input_grad: the gradient ", g.shape(), " does not belong to the input ", x_shape, " and the weight ",
        w.shape());
  Tensor gx = output(x_shape, g);
  kernels(g).conv2d_input_grad(g, w, spec, gx);
  return record("conv2d_input_grad", gx, {g, w}, [spec](const RuleArgs& r) {
    const Tensor &gy = r.inputs[0], &weight = r.inputs[1], &v = r.grads[0];
    return std::vector{r.wanted[0] ? conv2d(v, weight, spec) : Tensor{},
                       r.wanted[1] ? conv2d_weight_grad(v, gy, weight.shape(), spec) : Tensor{}};
  });
}

Tensor conv2d_weight_grad(const Tensor& x, const Tensor& g, const Shape& w_shape, const Conv2dSpec& spec) {
  check_same_kind("conv2d_weight_grad", x, g);
  check(g.shape() == conv_output_shape("conv2d_weight_grad", x.shape(), w_shape, spec),
        "conv2d_weight_grad: the gradient ", g.shape(), " does not belong to the input ", x.shape(), " and the weight ",
        w_shape);
  Tensor gw = parameter_output(w_shape, x);
  kernels(x).conv2d_weight_grad(x, g, spec, gw);
  return record("conv2d_weight_grad", gw, {x, g}, [spec](const RuleArgs& r) {
    const Tensor &input = r.inputs[0], &gy = r.inputs[1], &v = r.grads[0];
    return std::vector{r.wanted[0] ? conv2d_input_grad(gy, v, input.shape(), spec) : Tensor{},
                       r.wanted[1] ? conv2d(input, v, spec) : Tensor{}};
  });
}

}  // namespace boxcam
