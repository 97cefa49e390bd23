// Explainers that take something away and ask the model what is left of the score: no gradient, but a pass for each
// channel.
#pragma once

#include "xai/explainers.h"

namespace boxcam {

/// Score-CAM (Wang et al., CVPR workshops 2020) as in pytorch-grad-cam: channel k, resized to the image (corners on
/// corners) and scaled to [0, 1], masks the network's input; the weights are the softmax over the channels of the
/// scores. A pass for each channel of each image, but one for all that are flat, whose masks are 0.
Tensor score_cam(const Evidence& e);

/// Ablation-CAM (Ramaswamy, "Ablation-CAM", WACV 2020): w_k = (y - y_k) / |y|, y_k the score with channel k ablated.
/// Passes begin at the tap; behind global average pooling and a linear head there are none. The paper divides by y,
/// which turns the map over where the score is negative; where it is 0 the drop itself is the weight. Throws Error for
/// Ablation::mean behind pooling, where the mean of a channel is all that counts of it.
Tensor ablation_cam(const Evidence& e);

/// [k, H, W]: k channels of one image's activations [h, w, k], bilinearly resized with the corner cells on the corner
/// pixels, each scaled to [0, 1]: (u - min) / (max - min + 1e-8).
Tensor channel_masks(const Tensor& channels, int64_t height, int64_t width);

}  // namespace boxcam
