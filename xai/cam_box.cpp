#include "xai/cam_box.h"

#include "engine/backend/kernels.h"

namespace boxcam {

FusedCam cam_box(const Tensor& A, const Tensor& alpha, const Tensor& mask, CamNormalizer normalizer) {
  check(A.ndim() == 4 && alpha.shape() == Shape{A.dim(0), A.dim(3)} && mask.ndim() == 3 && mask.dim(0) == A.dim(0),
        "cam_box: expected A [N, h, w, K], alpha [N, K] and a mask [N, H, W], found ", A.shape(), ", ", alpha.shape(),
        " and ", mask.shape());
  check(A.dtype() == alpha.dtype() && A.dtype() == mask.dtype() && A.device() == mask.device(), "cam_box: A is ",
        A.dtype(), " on ", name(A.device()), ", alpha ", alpha.dtype(), ", the mask ", mask.dtype(), " on ",
        name(mask.device()));
  const auto like = [&](const Shape& shape) { return Tensor::empty(shape, A.dtype(), A.device()); };
  const int64_t n = A.dim(0), height = mask.dim(1), width = mask.dim(2);
  Tensor raw = like({n, A.dim(1), A.dim(2)}), cam = like(mask.shape()), losses = like({n});
  Tensor raw_grad = like(raw.shape()), alpha_grad = like(alpha.shape());
  const bool constant = normalizer == CamNormalizer::constant;
  kernels(A.device()).cam_box({A, alpha, mask, constant}, {raw, cam, losses, raw_grad, alpha_grad});

  const auto formula = [mask, height, width, normalizer](const std::vector<Tensor>& in) {
    const Tensor M = sum(in[0] * reshape(in[1], {in[0].dim(0), 1, 1, in[0].dim(3)}), {3});
    const Tensor C = normalize_cam({M}, height, width, CamProfile::pgc_1_4, normalizer);
    return std::vector{M, C, box_loss(C, mask)};
  };
  // The kernel knows the derivatives of the losses alone, not those of M and C.
  const auto first_order = [raw_grad, alpha_grad](const RuleArgs& r) {
    if (r.grads[0].defined() || r.grads[1].defined()) return std::vector<Tensor>{};
    const Tensor &activations = r.inputs[0], &weights = r.inputs[1], &g = r.grads[2];
    std::vector<Tensor> result(2);
    if (r.wanted[0]) {
      result[0] = Tensor::empty(activations.shape(), activations.dtype(), activations.device());
      kernels(g.device()).cam_box_grad(g, raw_grad, weights, result[0]);
    }
    if (r.wanted[1]) result[1] = alpha_grad * reshape(g, {g.dim(0), 1});
    return result;
  };
  const auto outputs = record_composite("cam_box", {raw, cam, losses}, {A, alpha}, formula, first_order);
  return {outputs[0], outputs[1], outputs[2]};
}

}  // namespace boxcam
