// Explainers of the network's input: the gradient of the explained score with respect to the pixels, in one form or
// another. M has the image's height and width, and taps play no part.
#pragma once

#include "xai/explainers.h"

namespace boxcam {

/// sum over colours of |dy/dx|, x the normalised input (Simonyan, Vedaldi and Zisserman, 2014, take the largest).
Tensor input_gradient(const Subject& s);

inline constexpr int kIntegrationSteps = 50;  ///< Captum's
/// Sundararajan, Taly and Yan, ICML 2017: sum over colours of x times the mean of dy/dx on the straight way from 0 (the
/// data set's mean colour) to x, by Gauss-Legendre quadrature. Signed; it sums to y(x) - y(0).
Tensor integrated_gradients(const Subject& s);

/// Smilkov et al., 2017: sum over colours of |mean of dy/dx| over 25 noisy copies of x, with normal noise of 0.15 of
/// the image's range. The noise is a function of copy and pixel alone: the same for every image.
Tensor smooth_grad(const Subject& s);

/// Srinivas and Fleuret, NeurIPS 2019: |x dy/dx| summed over colours, plus |b dy/db| summed over channels for every
/// bias b that batch norm adds in every cell; each of them brought to [0, 1] over the image's cells and channels before
/// it is resized and summed. Without the absolute values and scales all of them sum to y, but for the head's bias.
Tensor full_grad(const Subject& s);

/// The two halves of full_grad before absolute values: x dy/dx [N, H, W, 3], and b dy/db [N, h, w, K] of every bias.
std::vector<Tensor> full_gradients(const Subject& s);

/// Nodes in (0, 1) and weights, which sum to 1, of Gauss-Legendre quadrature.
struct Quadrature {
  std::vector<double> nodes, weights;
};
Quadrature gauss_legendre(int points);

}  // namespace boxcam
