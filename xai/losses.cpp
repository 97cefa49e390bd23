#include "xai/losses.h"

#include <algorithm>

#include "xai/boxes.h"
#include "xai/cam_box.h"

namespace boxcam {

namespace {

void check_maps(const char* loss, const Tensor& C, const Tensor& B) {
  check(C.ndim() == 3 && C.shape() == B.shape(), loss, ": expected a CAM and a mask of one shape [N, H, W], found ",
        C.shape(), " and ", B.shape());
}

Tensor outside(const Tensor& B) { return -B + 1.0; }

/// [N], a constant: 1 for an image with a box, else 0.
Tensor boxed(const Tensor& B) {
  const Tensor area = sum(B, {1, 2});
  return greater(area, Tensor::zeros(area.shape(), area.dtype(), area.device()));
}

}  // namespace

Tensor box_loss(const Tensor& C, const Tensor& B) {
  check_maps("box", C, B);
  return mean(C * outside(B), {1, 2});
}

Tensor energy_loss(const Tensor& C, const Tensor& B) {
  check_maps("energy", C, B);
  const Tensor share = sum(C * outside(B), {1, 2}) / (sum(C, {1, 2}) + kCamEpsilon), has_box = boxed(B);
  return has_box * share + (-has_box + 1.0) * box_loss(C, B);
}

Tensor rrr_loss(const Tensor& C, const Tensor& B) {
  check_maps("rrr", C, B);
  return sum(C * C * outside(B), {1, 2});
}

Tensor l1_loss(const Tensor& C, const Tensor& B) {
  check_maps("l1", C, B);
  return mean(abs(C - B), {1, 2});
}

Tensor ppce_loss(const Tensor& C, const Tensor& B) {
  check_maps("ppce", C, B);
  const Tensor area = sum(B, {1, 2});
  return sum(B * -log(C + kCamEpsilon), {1, 2}) / (area + (-boxed(B) + 1.0));  // 0 / 1 where there is no box
}

Tensor fool_frame_loss(const Tensor& C, const Tensor& B) {
  check_maps("fool-frame", C, B);
  const double height = static_cast<double>(C.dim(1)), width = static_cast<double>(C.dim(2));
  const Box inner{width / 7, height / 7, width - width / 7, height - height / 7};
  const Tensor difference = outside(box_masks({{inner}}, C.dim(1), C.dim(2), 0, C.dtype(), C.device())) - C;
  return mean(difference * difference, {1, 2});
}

const std::vector<CamLoss>& cam_losses() {
  static const std::vector<CamLoss> losses = {
      {"box", "mean C (1 - B)", box_loss, cam_box},
      {"energy", "sum_out C / sum C; C of an image without a box as in box", energy_loss},
      {"rrr", "sum_out C^2", rrr_loss},
      {"l1", "mean |C - B|", l1_loss},
      {"ppce", "mean_in -ln C", ppce_loss},
      {"fool-frame", "mean (F - C)^2, F the picture's frame (to fool with, whatever the boxes)", fool_frame_loss},
  };
  return losses;
}

Tensor mean_over_images(const Tensor& each, const std::vector<char>& counted) {
  if (counted.empty()) return mean(each);
  check(static_cast<int64_t>(counted.size()) == each.dim(0), "mean_over_images: ", each.dim(0), " images, but ",
        counted.size(), " marks");
  const double count = static_cast<double>(std::count(counted.begin(), counted.end(), 1));
  std::vector<double> weights;
  for (const char c : counted) weights.push_back(c ? 1 / count : 0);
  return sum(each * Tensor::from(each.shape(), weights).to(each.dtype()).to(each.device()));
}

Tensor box_penalty(const Tensor& C, const Tensor& B, const std::vector<char>& counted) {
  return mean_over_images(box_loss(C, B), counted);
}

}  // namespace boxcam
