#include "xai/grad_cam.h"

#include "xai/cam_box.h"
#include "xai/losses.h"

namespace boxcam {

namespace {

constexpr double kEpsilon = 1e-7;  // of pytorch-grad-cam's scale_cam_image

void check_cam_input(const char* op, const Tensor& labels, const Tensor& tap) {
  check(tap.ndim() == 4 && labels.ndim() == 1 && tap.dim(0) == labels.dim(0), op,
        ": expected a tap [N, h, w, K] and labels [N], found ", tap.shape(), " and ", labels.shape());
}

bool through_weights(CamGradient g) { return g == CamGradient::weights || g == CamGradient::full; }
bool through_activations(CamGradient g) { return g == CamGradient::activations || g == CamGradient::full; }

/// M = sum_k alpha_k A_k of each tap and the CAM made of them, differentiable through what the options say.
GradCam assemble(std::vector<Tensor> alpha, const std::vector<Tensor>& taps, int64_t height, int64_t width,
                 const GradCamOptions& o, const Tensor& mask) {
  GradCam result;
  const bool fused = mask.defined() && taps.size() == 1 && o.profile == CamProfile::pgc_1_4;
  for (size_t i = 0; i < taps.size(); ++i) {
    if (!through_weights(o.gradient)) alpha[i] = alpha[i].detach();
    const Tensor A = cast(through_activations(o.gradient) ? taps[i] : taps[i].detach(), alpha[i].dtype());
    if (fused) {
      CamBox all = cam_box(A, alpha[i], mask, o.normalizer);
      return {std::move(alpha), {all.raw}, all.cam, all.losses};
    }
    result.raw.push_back(sum(A * reshape(alpha[i], {A.dim(0), 1, 1, A.dim(3)}), {3}));
  }
  result.alpha = std::move(alpha);
  result.cam = normalize_cam(result.raw, height, width, o.profile, o.normalizer);
  if (mask.defined()) result.box_losses = box_loss(result.cam, mask);
  return result;
}

}  // namespace

Tensor target_weights(const Tensor& labels, int64_t classes, CamTarget target, DType dtype) {
  const Tensor weights = one_hot(labels, classes, dtype);
  return target == CamTarget::centered ? weights - 1.0 / static_cast<double>(classes) : weights;
}

Tensor explained_score(const Tensor& logits, const Tensor& labels, CamTarget target) {
  return sum(logits * target_weights(labels, logits.dim(1), target, logits.dtype()));
}

GradCam grad_cam(const Tensor& logits, const Tensor& labels, const std::vector<Tensor>& taps, int64_t height,
                 int64_t width, const GradCamOptions& options, const Tensor& mask) {
  check(!taps.empty(), "grad_cam: expected at least one tap");
  for (const Tensor& tap : taps) {
    check_cam_input("grad_cam", labels, tap);
    check(tap.requires_grad() && logits.requires_grad(),
          "grad_cam: the forward pass was not recorded, so there is no gradient from the logits to the tap");
  }
  const GradMode recorded(true);  // the score's path to the taps is needed even for a CAM that is data
  const Tensor score = explained_score(logits, labels, options.target);
  const std::vector<Tensor> gradients = grad({score}, taps, {.create_graph = through_weights(options.gradient)});
  const GradMode mode(options.gradient != CamGradient::none);
  std::vector<Tensor> alpha;
  for (const Tensor& gradient : gradients) alpha.push_back(mean(cast(gradient, logits.dtype()), {1, 2}));
  return assemble(std::move(alpha), taps, height, width, options, mask);
}

GradCam grad_cam_linear_head(const Tensor& head_weight, const Tensor& labels, const Tensor& tap, int64_t height,
                             int64_t width, const GradCamOptions& options, const Tensor& mask) {
  check_cam_input("grad_cam_linear_head", labels, tap);
  check(head_weight.ndim() == 2 && head_weight.dim(1) == tap.dim(3), "grad_cam_linear_head: the head ",
        head_weight.shape(), " does not fit the tap ", tap.shape());
  const GradMode mode(options.gradient != CamGradient::none);
  const Tensor weights = target_weights(labels, head_weight.dim(0), options.target, head_weight.dtype());
  const Tensor alpha = matmul(weights, head_weight) / static_cast<double>(tap.dim(1) * tap.dim(2));
  return assemble({alpha}, {tap}, height, width, options, mask);
}

Tensor scale_cam(const Tensor& maps, CamNormalizer normalizer) {
  const Tensor x = reshape(maps, {maps.dim(0), maps.dim(1) * maps.dim(2)});
  const auto extreme = [&](const Tensor& of, const Tensor& index) {
    const Tensor value = take_at(of, index);
    return normalizer == CamNormalizer::constant ? value.detach() : value;
  };
  const Tensor u = x - extreme(x, argmin(x));
  return reshape(u / (extreme(u, argmax(u)) + kEpsilon), maps.shape());
}

Tensor normalize_cam(const std::vector<Tensor>& raw, int64_t height, int64_t width, CamProfile profile,
                     CamNormalizer normalizer) {
  const auto scale = [&](const Tensor& maps) { return scale_cam(maps, normalizer); };
  const auto resize = [&](const Tensor& maps) { return bilinear_resize(maps, height, width); };
  Tensor total;
  for (const Tensor& M : raw) {
    const Tensor each = profile == CamProfile::pgc_1_4     ? resize(scale(relu(M)))
                        : profile == CamProfile::pgc_1_3_1 ? resize(scale(M))
                                                           : scale(resize(relu(M)));
    total = total.defined() ? total + each : each;
  }
  const Tensor average = raw.size() == 1 ? total : total / static_cast<double>(raw.size());
  return profile == CamProfile::paper ? average : scale(average);
}

}  // namespace boxcam
