// From the signed map M of an explainer to a CAM in [0, 1], with the arithmetic of pytorch-grad-cam.
#pragma once

#include <vector>

#include "engine/ops.h"

namespace boxcam {

/// pytorch-grad-cam's: what keeps a map of zeros from being divided by zero.
inline constexpr double kCamEpsilon = 1e-7;

/// Whether the minimum and maximum of the normalisation are differentiated or taken as constants.
enum class CamNormalizer { differentiated, constant };

/// From M to the CAM, by release of pytorch-grad-cam. Over several taps the maps are averaged where it says "mean".
enum class CamProfile {
  pgc_1_4,    ///< ReLU, min-max, resize, mean, min-max (1.3.5 to 1.4)
  pgc_1_3_1,  ///< min-max of the signed map, resize, mean, min-max (1.3.1 and 1.3.2): no map is empty
  paper,      ///< ReLU, resize, min-max, mean: the paper's ReLU and one normalisation
};

/// From the M of each tap, [N, h, w], to the CAM [N, H, W], as the profile says.
Tensor normalize_cam(const std::vector<Tensor>& raw, int64_t height, int64_t width, CamProfile profile,
                     CamNormalizer normalizer);

/// Min-max of each map of [N, h, w]: u = x - min x, u / (kCamEpsilon + max u); a map of zeros stays one
/// (pytorch-grad-cam's scale_cam_image). Its derivative is unbounded on a flat map.
Tensor scale_cam(const Tensor& maps, CamNormalizer normalizer);

}  // namespace boxcam
