#include "xai/grad_cam.h"

namespace boxcam {

namespace {

constexpr double kEpsilon = 1e-7;  // of pytorch-grad-cam's scale_cam_image

void check_cam_input(const char* op, const Tensor& labels, const Tensor& tap) {
  check(tap.ndim() == 4 && labels.ndim() == 1 && tap.dim(0) == labels.dim(0), op,
        ": expected a tap [N, h, w, K] and labels [N], found ", tap.shape(), " and ", labels.shape());
}

/// x - min x, then divided by (epsilon + its maximum), for each map of [N, h, w].
Tensor min_max(const Tensor& maps, CamNormalizer normalizer) {
  const Tensor x = reshape(maps, {maps.dim(0), maps.dim(1) * maps.dim(2)});
  const auto extreme = [&](const Tensor& of, const Tensor& index) {
    const Tensor value = take_at(of, index);
    return normalizer == CamNormalizer::constant ? value.detach() : value;
  };
  const Tensor u = x - extreme(x, argmin(x));
  return reshape(u / (extreme(u, argmax(u)) + kEpsilon), maps.shape());
}

/// M = sum_k alpha_k A_k and the CAM made of it.
GradCam assemble(const Tensor& alpha, const Tensor& tap, int64_t height, int64_t width, CamNormalizer normalizer) {
  const int64_t n = tap.dim(0), channels = tap.dim(3);
  const Tensor raw = sum(tap * reshape(alpha, {n, 1, 1, channels}), {3});
  return {alpha, raw, normalize_cam(raw, height, width, normalizer)};
}

}  // namespace

Tensor target_weights(const Tensor& labels, int64_t classes, CamTarget target, DType dtype) {
  const Tensor weights = one_hot(labels, classes, dtype);
  return target == CamTarget::centered ? weights - 1.0 / static_cast<double>(classes) : weights;
}

GradCam grad_cam(const Tensor& logits, const Tensor& labels, const Tensor& tap, int64_t height, int64_t width,
                 const GradCamOptions& options) {
  check_cam_input("grad_cam", labels, tap);
  check(tap.requires_grad() && logits.requires_grad(),
        "grad_cam: the forward pass was not recorded, so there is no gradient from the logits to the tap");
  const Tensor weights = target_weights(labels, logits.dim(1), options.target, logits.dtype());
  const Tensor score = sum(logits * weights);
  const Tensor gradient = grad({score}, {tap}, {}, options.create_graph)[0];
  GradMode mode(options.create_graph);
  return assemble(mean(gradient, {1, 2}), tap, height, width, options.normalizer);
}

GradCam grad_cam_linear_head(const Tensor& head_weight, const Tensor& labels, const Tensor& tap, int64_t height,
                             int64_t width, const GradCamOptions& options) {
  check_cam_input("grad_cam_linear_head", labels, tap);
  check(head_weight.ndim() == 2 && head_weight.dim(1) == tap.dim(3), "grad_cam_linear_head: the head ",
        head_weight.shape(), " does not fit the tap ", tap.shape());
  GradMode mode(options.create_graph);
  const Tensor weights = target_weights(labels, head_weight.dim(0), options.target, head_weight.dtype());
  const Tensor alpha = matmul(weights, head_weight) / static_cast<double>(tap.dim(1) * tap.dim(2));
  return assemble(alpha, tap, height, width, options.normalizer);
}

Tensor normalize_cam(const Tensor& raw, int64_t height, int64_t width, CamNormalizer normalizer) {
  return min_max(bilinear_resize(min_max(relu(raw), normalizer), height, width), normalizer);
}

}  // namespace boxcam
