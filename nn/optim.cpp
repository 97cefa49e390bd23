#include "nn/optim.h"

#include <cmath>
#include <numbers>

#include "engine/backend/kernels.h"
#include "engine/ops.h"

namespace boxcam {

Optimizer::Optimizer(std::vector<NamedTensor> parameters, const OptimizerOptions& options)
    : options_(options), parameters_(std::move(parameters)) {
  for (const NamedTensor& p : parameters_) {
    const Tensor& t = p.tensor;
    first_.push_back(Tensor::zeros(t.shape(), t.dtype(), t.device()));
    if (options_.kind == OptimizerOptions::Kind::adamw)
      second_.push_back(Tensor::zeros(t.shape(), t.dtype(), t.device()));
  }
}

void Optimizer::step(const std::vector<Tensor>& gradients, double learning_rate) {
  check(gradients.size() == parameters_.size(), "the optimiser has ", parameters_.size(), " parameters, found ",
        gradients.size(), " gradients");
  for (size_t i = 0; i < gradients.size(); ++i) {
    const Tensor &p = parameters_[i].tensor, &g = gradients[i];
    check(g.shape() == p.shape() && g.dtype() == p.dtype(), "the gradient of ", parameters_[i].name, " is ", g.dtype(),
          g.shape(), ", expected ", p.dtype(), p.shape());
  }
  const bool first = steps_++ == 0;
  if (parameters_.empty()) return;
  std::vector<Tensor> tensors;
  for (const NamedTensor& p : parameters_) tensors.push_back(p.tensor);
  const ParameterUpdates updates{tensors, gradients, first_, second_};
  const Kernels& k = kernels(tensors.front().device());
  if (options_.kind == OptimizerOptions::Kind::sgd)
    k.sgd_step(updates, {learning_rate, options_.momentum, options_.weight_decay, options_.nesterov, first});
  else
    k.adamw_step(updates, {learning_rate, options_.beta1, options_.beta2, options_.eps, options_.weight_decay, steps_});
}

std::vector<NamedTensor> Optimizer::state() const {
  std::vector<NamedTensor> list;
  const bool sgd = options_.kind == OptimizerOptions::Kind::sgd;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    list.push_back({(sgd ? "momentum." : "first_moment.") + parameters_[i].name, first_[i], NamedTensor::Role::buffer});
    if (!sgd) list.push_back({"second_moment." + parameters_[i].name, second_[i], NamedTensor::Role::buffer});
  }
  return list;
}

double clip_grad_norm(std::vector<Tensor>& gradients, double max_norm) {
  NoGrad no_grad;
  Tensor total;  // added up where the gradients are: only the norm comes to the host
  for (const Tensor& g : gradients) {
    const Tensor squares = sum(g * g).to(DType::f64);
    total = total.defined() ? total + squares : squares;
  }
  const double norm = total.defined() ? std::sqrt(total.item()) : 0;
  if (norm > max_norm)
    for (Tensor& g : gradients) g = g * (max_norm / (norm + 1e-6));  // the epsilon of torch's clip_grad_norm_
  return norm;
}

double Schedule::at(int64_t step, int64_t total_steps) const {
  const double total = static_cast<double>(total_steps), now = static_cast<double>(step);
  const double ramp = std::floor(warmup * total);
  if (now < ramp) return learning_rate * (now + 1) / ramp;
  const double progress = (now - ramp) / std::max(total - ramp, 1.0);
  switch (kind) {
    case Kind::cosine: return learning_rate * 0.5 * (1 + std::cos(std::numbers::pi * progress));
    case Kind::step: return learning_rate * (progress < 0.5 ? 1 : progress < 0.75 ? 0.1 : 0.01);
    case Kind::constant: break;
  }
  return learning_rate;
}

}  // namespace boxcam
