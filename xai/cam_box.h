// Grad-CAM and the box penalty in one pass over the activations.
#pragma once

#include "xai/losses.h"

namespace boxcam {

/// From A [N, h, w, K], alpha [N, K] and a constant mask [N, H, W]. The same numbers, and the same derivatives to any
/// order, as the ops one after the other; the first derivative of `losses` costs one more pass, which writes that of A.
FusedCam cam_box(const Tensor& A, const Tensor& alpha, const Tensor& mask, CamNormalizer normalizer);

}  // namespace boxcam
