// ROAD's noisy linear imputation (Rong et al., ICML 2022), without its noise: every missing pixel becomes the weighted
// mean of its eight neighbours, known and missing ones alike.
#pragma once

#include <span>

#include "engine/tensor.h"

namespace boxcam {

/// Where conjugate gradients stop: |residual| <= this times |right-hand side|. With it the pixels of 224 px pictures
/// are right to about a thousandth, a tenth of the noise that ROAD adds to them.
inline constexpr double kImputationTolerance = 1e-5;

/// x [N, H, W, C] on the CPU, f32 or f64, with the pixels marked in `missing` (N H W entries) replaced by the solution
/// of
///
///   (1 - sum_outside w) x_i - sum_missing w x_j = sum_known w x_j,   w = 1/6 beside, 1/12 diagonally,
///
/// the sums over i's neighbours outside the image, missing and known; the others stay bit for bit. Each image is solved
/// alone. Throws Error where shapes do not fit and where an image has no known pixel: then no solution is the solution.
Tensor impute(const Tensor& x, std::span<const char> missing, double tolerance = kImputationTolerance);

}  // namespace boxcam
