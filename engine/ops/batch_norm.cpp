#include "engine/ops/common.h"

namespace boxcam {

namespace {

const std::vector<int> kAllButChannels = {0, 1, 2};

void check_batch_norm(const char* op, const Tensor& x, const Tensor& gamma, const Tensor& beta,
                      const Tensor& residual) {
  check_same_kind(op, x, gamma);
  check_same_kind(op, x, beta);
  check_ndim(op, x, 4, "activations [N, H, W, C]");
  check(gamma.shape() == Shape{x.dim(3)} && beta.shape() == Shape{x.dim(3)}, op, ": expected gamma and beta [",
        x.dim(3), "] for x ", x.shape(), ", found ", gamma.shape(), " and ", beta.shape());
  if (residual.defined()) {
    check_same_kind(op, x, residual);
    check(residual.shape() == x.shape(), op, ": the residual ", residual.shape(), " does not fit x ", x.shape());
  }
}

Tensor inverse_deviation(const Tensor& variance, double eps) {
  return div(Tensor::scalar(1, variance.dtype(), variance.device()), sqrt(add_scalar(variance, eps)));
}

/// The formula, in public ops, with the statistics computed from x: what every derivative is taken of.
Tensor batch_norm_formula(const Tensor& x, const Tensor& gamma, const Tensor& beta, double eps) {
  const Tensor centred = sub(x, mean(x, kAllButChannels, true));
  const Tensor variance = mean(mul(centred, centred), kAllButChannels, true);
  return add(mul(div(centred, sqrt(add_scalar(variance, eps))), gamma), beta);
}

BatchStatistics measure(const Tensor& x) {
  BatchStatistics s{output({x.dim(3)}, x), output({x.dim(3)}, x)};
  kernels(x).batch_norm_statistics(x, s.mean, s.variance);
  return s;
}

/// y = x * scale + shift, + residual, ReLU; scale and shift are [C].
Tensor scale_shift(const Tensor& x, const Tensor& scale, const Tensor& shift, const Tensor& residual, bool with_relu) {
  Tensor y = output(x.shape(), x);
  kernels(x).scale_shift(x, scale, shift, residual, with_relu, y);
  return record("scale_shift", y, {x, scale, shift, residual}, [with_relu](const RuleArgs& r) {
    const Tensor g = with_relu ? relu_grad(r.grads[0], r.outputs[0]) : r.grads[0];
    const Tensor &input = r.inputs[0], &factor = r.inputs[1];
    return std::vector{r.wanted[0] ? mul(g, factor) : Tensor{},
                       r.wanted[1] ? sum_to(mul(g, input), factor.shape()) : Tensor{},
                       r.wanted[2] ? sum_to(g, factor.shape()) : Tensor{}, r.wanted[3] ? g : Tensor{}};
  });
}

}  // namespace

Tensor batch_norm_train(const Tensor& x, const Tensor& gamma, const Tensor& beta, double eps, bool with_relu,
                        const Tensor& residual, BatchStatistics* statistics) {
  check_batch_norm("batch_norm_train", x, gamma, beta, residual);
  const BatchStatistics s = measure(x);
  if (statistics) *statistics = s;
  const Tensor invstd = inverse_deviation(s.variance, eps);
  Tensor y = output(x.shape(), x);
  kernels(x).batch_norm({x, gamma, beta, s.mean, invstd, residual, with_relu}, y);
  return record(
      "batch_norm_train", y, {x, gamma, beta, residual},
      [eps, with_relu, batch_mean = s.mean, invstd](const RuleArgs& r) {
        const Tensor &in = r.inputs[0], &scale = r.inputs[1], &shift = r.inputs[2], &g = r.grads[0];
        if (grad_enabled()) {
          const Tensor gated = with_relu ? relu_grad(g, r.outputs[0]) : g;
          std::vector<Tensor> result = batch_norm_train_grad(in, scale, gated, eps);
          result.push_back(gated);
          return result;
        }
        std::vector<Tensor> result = {output(in.shape(), in), output(scale.shape(), scale),
                                      output(scale.shape(), scale),
                                      r.wanted[3] ? output(in.shape(), in) : Tensor{}};
        kernels(in).batch_norm_grad({in, scale, shift, batch_mean, invstd, {}, with_relu}, r.outputs[0], g, result[0],
                                    result[1], result[2], result[3]);
        return result;
      });
}

std::vector<Tensor> batch_norm_train_grad(const Tensor& x, const Tensor& gamma, const Tensor& g, double eps) {
  check_batch_norm("batch_norm_train_grad", x, gamma, gamma, g);
  const BatchStatistics s = measure(x);
  std::vector<Tensor> result = {output(x.shape(), x), output(gamma.shape(), gamma), output(gamma.shape(), gamma)};
  Tensor no_residual;
  kernels(x).batch_norm_grad({x, gamma, gamma, s.mean, inverse_deviation(s.variance, eps), {}, false}, {}, g, result[0],
                             result[1], result[2], no_residual);
  return record_composite("batch_norm_train_grad", result, {x, gamma, g}, [eps](const std::vector<Tensor>& in) {
    Tensor input = in[0], scale = in[1];
    Tensor shift = Tensor::zeros(scale.shape(), scale.dtype(), scale.device()).set_requires_grad();
    if (!input.requires_grad()) input.set_requires_grad();
    if (!scale.requires_grad()) scale.set_requires_grad();
    return grad({batch_norm_formula(input, scale, shift, eps)}, {input, scale, shift}, {in[2]}, true);
  });
}

Tensor batch_norm_eval(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& running_mean,
                       const Tensor& running_var, double eps, bool with_relu, const Tensor& residual) {
  check_batch_norm("batch_norm_eval", x, gamma, beta, residual);
  check_batch_norm("batch_norm_eval", x, running_mean, running_var, {});
  const Tensor scale = mul(gamma, inverse_deviation(running_var, eps));
  const Tensor shift = sub(beta, mul(running_mean, scale));
  return scale_shift(x, scale, shift, residual, with_relu);
}

}  // namespace boxcam
