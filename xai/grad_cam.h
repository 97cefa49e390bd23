// Grad-CAM (Selvaraju et al., ICCV 2017) as a differentiable op, with the arithmetic of pytorch-grad-cam.
#pragma once

#include <vector>

#include "engine/ops.h"

namespace boxcam {

/// Which score is explained: the raw logit y_c (the thesis, pytorch-grad-cam), or y_c minus the mean of all logits.
/// Cross-entropy does not see a shift common to all classes, so the raw logit's map can be made negative everywhere
/// (an empty CAM) without changing one prediction; the centred score has no such freedom.
enum class CamTarget { logit, centered };

/// Whether the minimum and maximum of the normalisation are differentiated or taken as constants.
enum class CamNormalizer { differentiated, constant };

/// From M to the CAM, by release of pytorch-grad-cam. Over several taps the maps are averaged where it says "mean".
enum class CamProfile {
  pgc_1_4,    ///< ReLU, min-max, resize, mean, min-max (1.3.5 to 1.4)
  pgc_1_3_1,  ///< min-max of the signed map, resize, mean, min-max (1.3.1 and 1.3.2): no map is empty
  paper,      ///< ReLU, resize, min-max, mean: the paper's ReLU and one normalisation
};

/// Through what a CAM, M = sum_k alpha_k A_k, can be differentiated afterwards.
enum class CamGradient {
  none,         ///< nothing: it is data
  activations,  ///< A; alpha is a constant
  weights,      ///< alpha; A is a constant
  full,         ///< both: the whole expression
};

struct GradCamOptions {
  CamTarget target = CamTarget::logit;
  CamNormalizer normalizer = CamNormalizer::differentiated;
  CamProfile profile = CamProfile::pgc_1_4;
  CamGradient gradient = CamGradient::none;
};

/// A Grad-CAM and its intermediates, under the names of the paper; alpha and raw have one entry for each tap.
struct GradCam {
  std::vector<Tensor> alpha;  ///< [N, K]: mean over the map of d score / d activation
  std::vector<Tensor> raw;    ///< [N, h, w]: M = sum_k alpha_k A_k, signed
  Tensor cam;                 ///< [N, H, W] in [0, 1]; all zero where no M is positive (but for pgc_1_3_1)
  Tensor box_losses;          ///< [N]: box_loss(cam, mask), where a mask was given
};

/// [N, classes]: row n turns logits into the explained score: one-hot of the label, minus 1/classes if centred.
Tensor target_weights(const Tensor& labels, int64_t classes, CamTarget target, DType dtype);

/// The scalar that Grad-CAM differentiates: the explained scores of logits [N, classes], summed over the batch (as
/// pytorch-grad-cam does).
Tensor explained_score(const Tensor& logits, const Tensor& labels, CamTarget target);

/// Grad-CAM of class labels[n] at any taps, through `grad`. logits [N, classes] must depend on every tap [N, h, w, K];
/// labels i32 [N]; the CAM is resized to height x width. Because the scores are summed over the batch before they are
/// differentiated, samples mix where batch norm in train mode follows a tap. With a box mask [N, height, width] each
/// image's box_loss is computed in the same pass (one tap and pgc_1_4: fused, see xai/cam_box.h).
GradCam grad_cam(const Tensor& logits, const Tensor& labels, const std::vector<Tensor>& taps, int64_t height,
                 int64_t width, const GradCamOptions& options = {}, const Tensor& mask = {});

/// The closed form for a tap that goes straight into global average pooling and a linear head with weight
/// [classes, K]: alpha_nk = weight_ck / (h w). The same numbers, without a backward pass.
GradCam grad_cam_linear_head(const Tensor& head_weight, const Tensor& labels, const Tensor& tap, int64_t height,
                             int64_t width, const GradCamOptions& options = {}, const Tensor& mask = {});

/// From the M of each tap, [N, h, w], to the CAM [N, H, W], as the profile says.
Tensor normalize_cam(const std::vector<Tensor>& raw, int64_t height, int64_t width, CamProfile profile,
                     CamNormalizer normalizer);

/// Min-max of each map of [N, h, w]: u = x - min x, u / (1e-7 + max u); a map of zeros stays one (pytorch-grad-cam's
/// scale_cam_image). Its derivative is unbounded on a flat map.
Tensor scale_cam(const Tensor& maps, CamNormalizer normalizer);

}  // namespace boxcam
