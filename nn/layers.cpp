#include "nn/layers.h"

#include <cmath>

#include "engine/backend/kernels.h"
#include "engine/base/random.h"
#include "engine/in_place.h"

namespace boxcam {

namespace {

template <class Draw>
Tensor draw_parameter(const Shape& shape, DType dtype, Draw draw) {
  std::vector<double> values(shape.numel());
  for (double& v : values) v = draw();
  return Tensor::from(shape, values).to(dtype).clone().set_requires_grad();
}

}  // namespace

Conv2d Conv2d::make(const std::string& name, int64_t in, int64_t out, int64_t kernel, const Conv2dSpec& spec,
                    DType dtype, uint64_t seed) {
  Random random(seed, stream_of(name + ".weight"));
  const double deviation = std::sqrt(2.0 / static_cast<double>(out * kernel * kernel));
  return {draw_parameter({out, kernel, kernel, in / spec.groups}, dtype, [&] { return deviation * random.normal(); }),
          spec};
}

void Conv2d::visit(const std::string& prefix, const TensorVisitor& visitor) {
  visitor({prefix + ".weight", weight, NamedTensor::Role::parameter, NamedTensor::Layout::convolution}, weight);
}

BatchNorm2d BatchNorm2d::make(int64_t channels, DType dtype) {
  BatchNorm2d bn;
  bn.weight = Tensor::full({channels}, 1, dtype).set_requires_grad();
  bn.bias = Tensor::zeros({channels}, dtype).set_requires_grad();
  bn.running_mean = Tensor::zeros({channels}, dtype);
  bn.running_var = Tensor::full({channels}, 1, dtype);
  bn.num_batches_tracked = Tensor::zeros({}, DType::i32);
  return bn;
}

Tensor BatchNorm2d::operator()(const Tensor& x, const ForwardOptions& options, bool with_relu, const Tensor& residual) {
  if (options.mode == Mode::eval)  // copies: a training pass may move the statistics before this pass is differentiated
    return batch_norm_eval(x, weight, bias, running_mean.clone(), running_var.clone(), eps, with_relu, residual);
  BatchStatistics batch;
  Tensor y = batch_norm_train(x, weight, bias, eps, with_relu, residual, &batch);
  if (options.update_running_statistics) update_running_statistics(batch, x);
  return y;
}

Tensor BatchNorm2d::scale() const { return weight / sqrt(running_var + eps); }
Tensor BatchNorm2d::shift() const { return bias - running_mean * scale(); }

void BatchNorm2d::update_running_statistics(const BatchStatistics& batch, const Tensor& x) {
  const double n = static_cast<double>(x.numel() / x.dim(3));
  check(n > 1, "batch norm in training needs more than one value for each channel, found the input ", x.shape());
  kernels(x.device())
      .running_statistics(batch.mean, batch.variance, momentum, momentum * n / (n - 1), running_mean, running_var);
  num_batches_tracked.data<int32_t>()[0] += 1;  // a counter stays on the host, whatever device the rest is on
}

void BatchNorm2d::visit(const std::string& prefix, const TensorVisitor& visitor) {
  using Role = NamedTensor::Role;
  visitor({prefix + ".weight", weight}, weight);
  visitor({prefix + ".bias", bias}, bias);
  visitor({prefix + ".running_mean", running_mean, Role::buffer}, running_mean);
  visitor({prefix + ".running_var", running_var, Role::buffer}, running_var);
  visitor({prefix + ".num_batches_tracked", num_batches_tracked, Role::counter}, num_batches_tracked);
}

ConvNorm ConvNorm::make(const std::string& name, int64_t in, int64_t out, int64_t kernel, const Conv2dSpec& spec,
                        DType dtype, uint64_t seed) {
  return {Conv2d::make(name, in, out, kernel, spec, dtype, seed), BatchNorm2d::make(out, dtype)};
}

Tensor ConvNorm::folded(const Tensor& x, bool with_relu, Tensor residual) const {
  const Tensor scale = norm.scale();
  return conv2d_bias_into(std::move(residual), x, conv.weight * reshape(scale, {scale.numel(), 1, 1, 1}), norm.shift(),
                          conv.spec, with_relu);
}

Tensor ConvNorm::norm_relu_conv(const Tensor& x, const Conv2d& next, const ForwardOptions& options) {
  BatchStatistics batch;
  Tensor y = batch_norm_train_conv2d(x, norm.weight, norm.bias, norm.eps, next.weight, next.spec, &batch);
  if (options.update_running_statistics) norm.update_running_statistics(batch, x);
  return y;
}

Linear Linear::make(const std::string& name, int64_t in, int64_t out, DType dtype, uint64_t seed) {
  const double bound = 1 / std::sqrt(static_cast<double>(in));
  Random weights(seed, stream_of(name + ".weight")), biases(seed, stream_of(name + ".bias"));
  return {draw_parameter({out, in}, dtype, [&] { return weights.uniform(-bound, bound); }),
          draw_parameter({out}, dtype, [&] { return biases.uniform(-bound, bound); })};
}

void Linear::visit(const std::string& prefix, const TensorVisitor& visitor, bool head) {
  using Role = NamedTensor::Role;
  using Layout = NamedTensor::Layout;
  visitor({prefix + ".weight", weight, Role::parameter, Layout::plain, head}, weight);
  visitor({prefix + ".bias", bias, Role::parameter, Layout::plain, head}, bias);
}

}  // namespace boxcam
