#include "xai/explainers.h"

#include <algorithm>
#include <cmath>

#include "engine/base/random.h"
#include "engine/base/text.h"
#include "xai/cam.h"
#include "xai/eigen_cam.h"
#include "xai/input_explainers.h"
#include "xai/masking_explainers.h"

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

/// pytorch-grad-cam's GradCAMElementWise, sum_k relu(g_k A_k), as a weight of each cell: g where g A is positive.
Tensor element_wise(const Evidence& e) {
  const Tensor g = e.gradient(), product = g.detach() * e.A().detach();
  return g * greater(product, Tensor::scalar(0, g.dtype(), g.device()));
}

/// The classes next to an image's own, by how little their logits differ from its logit, and by number among equals:
/// i32 [N, up to 3].
Tensor nearest_classes(const Tensor& logits, const Tensor& labels) {
  constexpr int64_t kCompared = 3;
  const int64_t N = logits.dim(0), Q = logits.dim(1), count = std::min(kCompared, Q - 1);
  const std::vector<double> y = logits.detach().to_vector(), own = labels.to_vector();
  std::vector<int32_t> nearest;
  for (int64_t n = 0; n < N; ++n) {
    const auto c = static_cast<int32_t>(own[n]);
    std::vector<int32_t> others;
    for (int32_t q = 0; q < Q; ++q)
      if (q != c) others.push_back(q);
    const auto distance = [&](int32_t q) { return std::abs(y[n * Q + q] - y[n * Q + c]); };
    std::stable_sort(others.begin(), others.end(), [&](int32_t a, int32_t b) { return distance(a) < distance(b); });
    nearest.insert(nearest.end(), others.begin(), others.begin() + count);
  }
  return Tensor::from({N, count}, nearest).to(logits.device());
}

/// Zhang et al., CVPR 2025, as in pytorch-grad-cam: y_c minus each of the three nearest logits, weighted by their
/// probabilities. A shift common to all logits changes nothing.
Tensor finer_score(const Tensor& logits, const Tensor& labels) {
  check(logits.dim(1) > 1, "finer-cam compares classes: expected at least two, found logits ", logits.shape());
  const Tensor others = nearest_classes(logits, labels);
  const Tensor own = take_at(logits, reshape(labels, {labels.dim(0), 1})), p = take_at(softmax(logits), others);
  return sum(p * (own - take_at(logits, others)), {1}) / (sum(p, {1}) + 1e-9);
}

/// The sanity baseline: what a map looks like whose weights know nothing of the network. The weights are a function of
/// the channel alone, so that an image's map does not depend on what lies beside it in a batch.
Tensor random_weights(const Evidence& e) {
  const Tensor A = e.A();
  Random random(0, stream_of("random explainer"));
  std::vector<double> weights(static_cast<size_t>(A.dim(3)));
  for (double& w : weights) w = random.uniform(-1, 1);
  const Tensor one = Tensor::from({1, 1, 1, A.dim(3)}, weights).to(A.dtype()).to(A.device());
  return broadcast_to(one, {A.dim(0), 1, 1, A.dim(3)});
}

constexpr const char* kOwnPasses = "its map comes from passes of its own, which training does not record";
constexpr const char* kSingularVector =
    "a singular vector has no derivative where the two largest singular values are equal";

}  // namespace

const std::vector<Explainer>& explainers() {
  static const std::vector<Explainer> list = {
      {"grad-cam", "sum_k mean(g_k) A_k", grad_cam},
      {"grad-cam++", "sum_k sum(g^3 / (2 g^2 + g^3 sum A + 1e-6)) A_k with g = relu(g_k)", grad_cam_plus_plus},
      {"layer-cam", "sum_k relu(g_k) A_k", layer_cam},
      {"hires-cam", "sum_k g_k A_k", hires_cam},
      {"xgrad-cam", "sum_k (sum(g_k A_k) / sum A_k) A_k", xgrad_cam},
      {.name = "eigen-cam",
       .formula = "the first principal component of A over the cells",
       .map = eigen_cam,
       .needs = Needs::nothing,
       .cannot_teach = kSingularVector},
      {.name = "eigen-grad-cam", .formula = "the same of g A", .map = eigen_grad_cam, .cannot_teach = kSingularVector},
      {.name = "score-cam",
       .formula = "sum_k softmax_k(score of the image masked by A_k) A_k",
       .weigh = score_cam,
       .needs = Needs::model,
       .cannot_teach = kOwnPasses},
      {.name = "ablation-cam",
       .formula = "sum_k ((y - y without A_k) / |y|) A_k",
       .weigh = ablation_cam,
       .needs = Needs::model,
       .cannot_teach = kOwnPasses},
      {.name = "finer-cam",
       .formula = "grad-cam of the class against the three nearest ones",
       .weigh = grad_cam,
       .score = finer_score},
      {"element-wise", "sum_k relu(g_k A_k)", element_wise},
      {.name = "full-grad",
       .formula = "|x dy/dx| plus |b dy/db| of every bias b, each from 0 to 1",
       .of_input = full_grad,
       .cannot_teach = kOwnPasses},
      {.name = "input-gradient",
       .formula = "sum over colours of |dy/dx|",
       .of_input = input_gradient,
       .cannot_teach = kOwnPasses},
      {.name = "integrated-gradients",
       .formula = "x times the mean of dy/dx between 0 and x",
       .of_input = integrated_gradients,
       .cannot_teach = kOwnPasses},
      {.name = "smooth-grad",
       .formula = "sum over colours of |mean of dy/dx around x|",
       .of_input = smooth_grad,
       .cannot_teach = kOwnPasses},
      {.name = "random",
       .formula = "sum_k w_k A_k with w_k drawn from -1 to 1",
       .weigh = random_weights,
       .needs = Needs::nothing,
       .cannot_teach = "its weights are drawn, and know nothing of the network"},
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
