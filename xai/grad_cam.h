// Grad-CAM (Selvaraju et al., ICCV 2017) as a differentiable op, with the arithmetic of pytorch-grad-cam 1.4.
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

struct GradCamOptions {
  CamTarget target = CamTarget::logit;
  CamNormalizer normalizer = CamNormalizer::differentiated;
  /// Whether the CAM can be differentiated with respect to what the scores depend on (the box penalty needs it).
  bool create_graph = false;
};

/// A Grad-CAM and its intermediates, under the names of the paper.
struct GradCam {
  Tensor alpha;  ///< [N, K]: mean over the map of d score / d activation
  Tensor raw;    ///< [N, h, w]: M = sum_k alpha_k A_k, signed
  Tensor cam;    ///< [N, H, W] in [0, 1]; all zero where M is nowhere positive
};

/// [N, classes]: row n turns logits into the explained score: one-hot of the label, minus 1/classes if centred.
Tensor target_weights(const Tensor& labels, int64_t classes, CamTarget target, DType dtype);

/// Grad-CAM of class labels[n] at any tap, through `grad`. logits [N, classes] must depend on tap [N, h, w, K]; labels
/// i32 [N]; the CAM is resized to height x width. As in pytorch-grad-cam the scores are summed over the batch before
/// they are differentiated, which mixes samples where batch norm in train mode follows the tap.
GradCam grad_cam(const Tensor& logits, const Tensor& labels, const Tensor& tap, int64_t height, int64_t width,
                 const GradCamOptions& options = {});

/// The closed form for a tap that goes straight into global average pooling and a linear head with weight
/// [classes, K]: alpha_nk = weight_ck / (h w). The same numbers, without a backward pass.
GradCam grad_cam_linear_head(const Tensor& head_weight, const Tensor& labels, const Tensor& tap, int64_t height,
                             int64_t width, const GradCamOptions& options = {});

/// From M [N, h, w] to the CAM [N, H, W], profile pgc-1.4: ReLU; u = x - min x, u / (1e-7 + max u) per image; bilinear
/// resize; the same min-max again at full resolution.
Tensor normalize_cam(const Tensor& raw, int64_t height, int64_t width, CamNormalizer normalizer);

}  // namespace boxcam
