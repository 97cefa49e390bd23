#include "xai/input_explainers.h"

#include <cmath>
#include <numbers>

#include "engine/base/random.h"
#include "xai/cam.h"

namespace boxcam {

namespace {

/// dy/dx of every image at `x`, data.
Tensor gradient_at(const Subject& s, const Tensor& x) {
  const GradMode recorded(true);
  Tensor leaf = x.detach();
  leaf.set_requires_grad();
  const Tensor logits = s.model.forward(leaf, ForwardOptions::observing()).logits;
  return grad_and_release({sum(logits * s.rows)}, {leaf})[0];
}

/// [N, 1, 1, 1]: the range of each image's values.
Tensor range_of(const Tensor& x) {
  const Tensor flat = reshape(x, {x.dim(0), x.numel() / x.dim(0)});
  return reshape(take_at(flat, argmax(flat)) - take_at(flat, argmin(flat)), {x.dim(0), 1, 1, 1});
}

/// [N, h, w]: maps [N, h, w, K] that were brought to [0, 1] over cells and channels of each image, summed over K.
Tensor scaled_sum(const Tensor& maps) {
  const Tensor flat = reshape(maps, {maps.dim(0), maps.numel() / maps.dim(0)});
  const Tensor low = reshape(take_at(flat, argmin(flat)), {maps.dim(0), 1, 1});
  const Tensor range = reshape(range_of(maps), {maps.dim(0), 1, 1});
  return (sum(maps, {3}) - low * static_cast<double>(maps.dim(3))) / (range + kCamEpsilon);
}

}  // namespace

Tensor input_gradient(const Subject& s) { return sum(abs(gradient_at(s, s.x)), {3}); }

Quadrature gauss_legendre(int points) {
  check(points > 0, "gauss_legendre: expected at least one point, found ", points);
  Quadrature q;
  for (int i = points; i >= 1; --i) {  // nodes from low to high
    double t = std::cos(std::numbers::pi * (i - 0.25) / (points + 0.5)), slope = 1;
    for (int step = 0; step < 20; ++step) {  // Newton, on the Legendre polynomial by its three-term recurrence
      double before = 1, value = t;
      for (int n = 2; n <= points; ++n) {
        const double next = ((2 * n - 1) * t * value - (n - 1) * before) / n;
        before = value, value = next;
      }
      slope = points * (t * value - before) / (t * t - 1);
      const double change = value / slope;
      t -= change;
      if (std::abs(change) < 1e-16) break;
    }
    q.nodes.push_back((1 + t) / 2);
    q.weights.push_back(1 / ((1 - t * t) * slope * slope));
  }
  return q;
}

Tensor integrated_gradients(const Subject& s) {
  const Quadrature q = gauss_legendre(kIntegrationSteps);
  Tensor total;
  for (size_t i = 0; i < q.nodes.size(); ++i) {
    const Tensor part = gradient_at(s, s.x * q.nodes[i]) * q.weights[i];
    total = total.defined() ? total + part : part;
  }
  return sum(s.x * total, {3});
}

Tensor smooth_grad(const Subject& s) {
  constexpr int kCopies = 25;
  constexpr double kNoise = 0.15;
  const Shape one{1, s.x.dim(1), s.x.dim(2), s.x.dim(3)};
  const Tensor deviation = range_of(s.x) * kNoise;
  Random random(0, stream_of("smooth-grad"));
  std::vector<double> noise(static_cast<size_t>(one.numel()));
  Tensor total;
  for (int copy = 0; copy < kCopies; ++copy) {
    for (double& value : noise) value = random.normal();
    const Tensor noisy = s.x + deviation * Tensor::from(one, noise).to(s.x.dtype()).to(s.x.device());
    const Tensor part = gradient_at(s, noisy) / static_cast<double>(kCopies);
    total = total.defined() ? total + part : part;
  }
  return sum(abs(total), {3});
}

std::vector<Tensor> full_gradients(const Subject& s) {
  const GradMode recorded(true);
  Tensor leaf = s.x.detach();
  leaf.set_requires_grad();
  std::vector<CellBias> biases;
  const Tensor logits = s.model.forward_with_biases(leaf, biases);
  std::vector<Tensor> inputs = {leaf};
  for (const CellBias& b : biases) inputs.push_back(b.output);
  const std::vector<Tensor> gradients = grad({sum(logits * s.rows)}, inputs);
  const NoGrad no_grad;
  std::vector<Tensor> parts = {leaf.detach() * gradients[0]};
  for (size_t i = 0; i < biases.size(); ++i) {
    const Tensor& g = gradients[i + 1];
    const Tensor behind = biases[i].rectified ? relu_grad(g, biases[i].output.detach()) : g;
    parts.push_back(cast(behind, s.rows.dtype()) * biases[i].bias);
  }
  return parts;
}

Tensor full_grad(const Subject& s) {
  Tensor total;
  for (const Tensor& part : full_gradients(s)) {
    const Tensor map = bilinear_resize(scaled_sum(abs(part)), s.x.dim(1), s.x.dim(2));
    total = total.defined() ? total + map : map;
  }
  return total;
}

}  // namespace boxcam
