#include "xai/explainers.h"

#include "engine/base/text.h"
#include "xai/cam.h"

namespace boxcam {

Tensor Evidence::gradient() const {
  const Tensor g = cast(gradient_, dtype_);
  return g.shape() == activations_.shape() ? g : broadcast_to(g, activations_.shape());
}

Tensor Evidence::mean_gradient() const {
  const Tensor g = cast(gradient_, dtype_);
  return g.dim(1) == 1 && g.dim(2) == 1 ? g : mean(g, {1, 2}, true);
}

namespace {

/// Selvaraju et al., ICCV 2017.
Tensor grad_cam(const Evidence& e) { return e.mean_gradient(); }

/// Chattopadhyay et al., WACV 2018, as pytorch-grad-cam computes it: the sum over cells of relu(g) a, with
/// a = g^2 / (2 g^2 + g^3 sum A + 1e-6). Where g is not positive its term is 0 whatever a is, so a is made of relu(g),
/// and so no denominator is 0 behind a ReLU. Where sum A is negative the paper has no reading: a denominator that is
/// not positive gives 0 here (pytorch-grad-cam: a weight of either sign and any size).
Tensor grad_cam_plus_plus(const Evidence& e) {
  const Tensor g = relu(e.gradient()), g2 = g * g, g3 = g2 * g;
  const Tensor below = g2 * 2.0 + sum(e.A(), {1, 2}, true) * g3 + 1e-6;
  const Tensor zero = Tensor::scalar(0, below.dtype(), below.device()), usable = greater(below, zero);
  return sum(usable * g3 / (usable * below + (-usable + 1.0)), {1, 2}, true);
}

/// Jiang et al., IEEE TIP 2021.
Tensor layer_cam(const Evidence& e) { return relu(e.gradient()); }

/// Draelos and Carin, 2020. Behind pooling and a linear head it is Grad-CAM.
Tensor hires_cam(const Evidence& e) { return e.gradient(); }

/// Fu et al., BMVC 2020: the gradient's mean weighted by the activations.
Tensor xgrad_cam(const Evidence& e) {
  const Tensor A = e.A();
  return sum(e.gradient() * A, {1, 2}, true) / (sum(A, {1, 2}, true) + kCamEpsilon);
}

}  // namespace

const std::vector<Explainer>& explainers() {
  static const std::vector<Explainer> list = {
      {"grad-cam", "sum_k mean(g_k) A_k", grad_cam},
      {"grad-cam++", "sum_k sum(g^3 / (2 g^2 + g^3 sum A + 1e-6)) A_k with g = relu(g_k)", grad_cam_plus_plus},
      {"layer-cam", "sum_k relu(g_k) A_k", layer_cam},
      {"hires-cam", "sum_k g_k A_k", hires_cam},
      {"xgrad-cam", "sum_k (sum(g_k A_k) / sum A_k) A_k", xgrad_cam},
  };
  return list;
}

const Explainer& explainer(const std::string& name) {
  std::vector<std::string> names;
  for (const Explainer& e : explainers()) {
    if (e.name == name) return e;
    names.push_back(e.name);
  }
  fail("unknown explainer '", name, "'", did_you_mean(name, names));
}

}  // namespace boxcam
