// Losses that compare a CAM C in [0, 1] with box masks B: one function for each, and a table of them by name.
#pragma once

#include <string>
#include <vector>

#include "engine/ops.h"
#include "xai/cam.h"

namespace boxcam {

/// A loss of every image: [N] from a CAM and a mask, both [N, H, W].
using CamLossFunction = Tensor (*)(const Tensor& C, const Tensor& B);

Tensor box_loss(const Tensor& C, const Tensor& B);  ///< mean_ij C (1 - B): the thesis (Aiskovich 2023)
/// sum_out C / (1e-7 + sum C), which is 1 - sum_in C / sum C, and 0 for an empty CAM (Rao et al., ICCV 2023); an image
/// without a box, where it would be 1 whatever the CAM, gets its box_loss.
Tensor energy_loss(const Tensor& C, const Tensor& B);
Tensor rrr_loss(const Tensor& C, const Tensor& B);  ///< sum_out C^2 (Ross et al. 2017; Rao's RRR*)
Tensor l1_loss(const Tensor& C, const Tensor& B);   ///< mean_ij |C - B| (GRADIA, 2022)
/// mean_in BCE(C, 1) = mean_in -ln(C + 1e-7) (HAICS, 2021); 0 for an image without a box.
Tensor ppce_loss(const Tensor& C, const Tensor& B);
/// mean_ij (F - C)^2, F = 1 in a frame of a seventh of the side around the picture, else 0, whatever the boxes are: no
/// method, but a demonstration of what a CAM can be trained to show (location fooling of Heo et al., NeurIPS 2019).
Tensor fool_frame_loss(const Tensor& C, const Tensor& B);

/// What a kernel makes in one pass over the activations: M [N, h, w], the CAM [N, H, W] of profile pgc_1_4, and the
/// loss of every image [N].
struct FusedCam {
  Tensor raw, cam, losses;
};
/// From A [N, h, w, K], a weight for each channel [N, K] and masks [N, H, W].
using FusedCamLoss = FusedCam (*)(const Tensor& A, const Tensor& alpha, const Tensor& B, CamNormalizer normalizer);

struct CamLoss {
  const char* name;
  const char* formula;
  CamLossFunction of_images;
  FusedCamLoss fused = nullptr;  ///< the same numbers and derivatives, in one pass with the CAM; null: there is none
};
/// `box`, the default, first.
const std::vector<CamLoss>& cam_losses();

/// The mean of `each` [N] over the images marked in `counted` (one entry for each image; empty: all): a scalar, zero
/// where none is marked.
Tensor mean_over_images(const Tensor& each, const std::vector<char>& counted = {});

/// P = mean_{n,i,j} C_nij (1 - B_nij): the thesis' penalty, box_loss over the images counted.
Tensor box_penalty(const Tensor& C, const Tensor& B, const std::vector<char>& counted = {});

}  // namespace boxcam
