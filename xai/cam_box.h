// Grad-CAM and the box penalty in one pass over the activations.
#pragma once

#include "xai/grad_cam.h"

namespace boxcam {

struct CamBox {
  Tensor raw;     ///< [N, h, w]: M = sum_k alpha_k A_k
  Tensor cam;     ///< [N, H, W]: normalize_cam(M), profile pgc_1_4
  Tensor losses;  ///< [N]: box_loss(cam, mask)
};

/// From A [N, h, w, K], alpha [N, K] and a constant mask [N, H, W]. The same numbers, and the same derivatives to any
/// order, as the ops one after the other; the first derivative of `losses` costs one more pass, which writes that of A.
CamBox cam_box(const Tensor& A, const Tensor& alpha, const Tensor& mask, CamNormalizer normalizer);

}  // namespace boxcam
