// Losses on a CAM and box masks.
#pragma once

#include <vector>

#include "engine/ops.h"

namespace boxcam {

/// The share of each image's pixels' CAM that falls outside its boxes: mean_ij C_ij (1 - B_ij). [N] from two [N, H, W].
Tensor penalty_per_image(const Tensor& cam, const Tensor& mask);

/// P = mean_{n,i,j} C_nij (1 - B_nij): the thesis' penalty (Aiskovich 2023), a scalar. With `counted` (one entry per
/// image) the mean is over the images marked there; zero when none is.
Tensor box_penalty(const Tensor& cam, const Tensor& mask, const std::vector<char>& counted = {});

}  // namespace boxcam
