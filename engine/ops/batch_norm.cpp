#include "engine/ops/common.h"

namespace boxcam {

namespace {

const std::vector<int> kAllButChannels = {0, 1, 2};

void check_batch_norm(const char* op, const Tensor& x, const Tensor& gamma, const Tensor& beta,
                      const Tensor& residual) {
  check_parameter(op, x, gamma);
  check_parameter(op, x, beta);
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
  const Tensor exact = cast(x, gamma.dtype());
  const Tensor centred = sub(exact, mean(exact, kAllButChannels, true));
  const Tensor variance = mean(mul(centred, centred), kAllButChannels, true);
  return cast(add(mul(div(centred, sqrt(add_scalar(variance, eps))), gamma), beta), x.dtype());
}

BatchStatistics measure(const Tensor& x) {
  BatchStatistics s{parameter_output({x.dim(3)}, x), parameter_output({x.dim(3)}, x)};
  kernels(x).batch_norm_statistics(x, s.mean, s.variance);
  return s;
}

/// What a pass in training keeps beside its input.
struct Saved {
  Tensor mean, invstd;
};

Saved save(const Tensor& x, double eps, BatchStatistics* statistics) {
  const BatchStatistics s = measure(x);
  if (statistics) *statistics = s;
  return {s.mean, inverse_deviation(s.variance, eps)};
}

Tensor normalised(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Saved& saved, bool with_relu,
                  const Tensor& residual) {
  Tensor y = output(x.shape(), x);
  kernels(x).batch_norm({x, gamma, beta, saved.mean, saved.invstd, residual, with_relu}, y);
  return y;
}

/// Gradients of {x, gamma, beta}, the first inputs in r, and of the residual, for the gradient g + more_g of y.
std::vector<Tensor> batch_norm_rule(const RuleArgs& r, const Saved& saved, double eps, bool with_relu, const Tensor& y,
                                    const Tensor& residual, const Tensor& g, const Tensor& more_g) {
  const Tensor &x = r.inputs[0], &gamma = r.inputs[1], &beta = r.inputs[2];
  if (grad_enabled()) {
    const Tensor gated = with_relu ? relu_grad(g, y) : g;
    std::vector<Tensor> result = batch_norm_train_grad(x, gamma, gated, eps);
    result.push_back(gated);
    return result;
  }
  std::vector<Tensor> result = {output(x.shape(), x), output(gamma.shape(), gamma), output(gamma.shape(), gamma),
                                residual.defined() && r.wanted[3] ? output(x.shape(), x) : Tensor{}};
  kernels(x).batch_norm_grad({x, gamma, beta, saved.mean, saved.invstd, residual, with_relu}, y, g, more_g, result[0],
                             result[1], result[2], result[3]);
  return result;
}

/// y = x * scale + shift, + residual, ReLU; scale and shift are [C].
Tensor scale_shift(const Tensor& x, const Tensor& scale, const Tensor& shift, const Tensor& residual, bool with_relu) {
  Tensor y = output(x.shape(), x);
  kernels(x).scale_shift(x, scale, shift, residual, with_relu, y);
  return record("scale_shift", y, {x, scale, shift, residual}, [with_relu](const RuleArgs& r) {
    const Tensor gated = with_relu ? relu_grad(r.grads[0], r.outputs[0]) : r.grads[0];
    const Tensor &input = r.inputs[0], &factor = r.inputs[1], g = cast(gated, factor.dtype());
    return std::vector{r.wanted[0] ? cast(mul(g, factor), input.dtype()) : Tensor{},
                       r.wanted[1] ? sum_to(mul(g, cast(input, factor.dtype())), factor.shape()) : Tensor{},
                       r.wanted[2] ? sum_to(g, factor.shape()) : Tensor{}, r.wanted[3] ? gated : Tensor{}};
  });
}

}  // namespace

Tensor batch_norm_train(const Tensor& x, const Tensor& gamma, const Tensor& beta, double eps, bool with_relu,
                        const Tensor& residual, BatchStatistics* statistics) {
  check_batch_norm("batch_norm_train", x, gamma, beta, residual);
  const Saved saved = save(x, eps, statistics);
  const Tensor y = normalised(x, gamma, beta, saved, with_relu, residual);
  const Rule rule = [eps, with_relu, saved](const RuleArgs& r) {
    return batch_norm_rule(r, saved, eps, with_relu, r.outputs[0], r.inputs[3], r.grads[0], r.more_grads[0]);
  };
  return record("batch_norm_train", y, {x, gamma, beta, residual}, rule, {.adds_gradients = true});
}

Tensor batch_norm_train_conv2d(const Tensor& x, const Tensor& gamma, const Tensor& beta, double eps, const Tensor& w,
                               const Conv2dSpec& spec, BatchStatistics* statistics) {
  check_batch_norm("batch_norm_train_conv2d", x, gamma, beta, {});
  const Saved saved = save(x, eps, statistics);
  const Tensor z = [&] {
    NoGrad no_grad;
    return conv2d(normalised(x, gamma, beta, saved, true, {}), w, spec);
  }();
  return record("batch_norm_train_conv2d", z, {x, gamma, beta, w}, [eps, saved, spec](const RuleArgs& r) {
    const Tensor &in = r.inputs[0], &scale = r.inputs[1], &shift = r.inputs[2], &weight = r.inputs[3], &g = r.grads[0];
    std::vector<Tensor> result(4);
    Tensor y;  // between the two, made again
    if (grad_enabled()) y = batch_norm_train(in, scale, shift, eps, true);
    if (r.wanted[3])
      result[3] =
          conv2d_weight_grad(y.defined() ? y : normalised(in, scale, shift, saved, true, {}), g, weight.shape(), spec);
    if (r.wanted[0] || r.wanted[1] || r.wanted[2]) {
      const Tensor gy = conv2d_input_grad(g, weight, in.shape(), spec);
      const std::vector<Tensor> below = batch_norm_rule(r, saved, eps, true, y, {}, gy, {});
      std::copy_n(below.begin(), 3, result.begin());
    }
    return result;
  });
}

std::vector<Tensor> batch_norm_train_grad(const Tensor& x, const Tensor& gamma, const Tensor& g, double eps) {
  check_batch_norm("batch_norm_train_grad", x, gamma, gamma, g);
  const BatchStatistics s = measure(x);
  std::vector<Tensor> result = {output(x.shape(), x), output(gamma.shape(), gamma), output(gamma.shape(), gamma)};
  Tensor no_residual;
  kernels(x).batch_norm_grad({x, gamma, gamma, s.mean, inverse_deviation(s.variance, eps), {}, false}, {}, g, {},
                             result[0], result[1], result[2], no_residual);
  return record_composite("batch_norm_train_grad", result, {x, gamma, g}, [eps](const std::vector<Tensor>& in) {
    Tensor input = in[0], scale = in[1];
    Tensor shift = Tensor::zeros(scale.shape(), scale.dtype(), scale.device()).set_requires_grad();
    if (!input.requires_grad()) input.set_requires_grad();
    if (!scale.requires_grad()) scale.set_requires_grad();
    return grad({batch_norm_formula(input, scale, shift, eps)}, {input, scale, shift},
                {.seeds = {in[2]}, .create_graph = true});
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
