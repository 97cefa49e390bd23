// Losses on a CAM and boxes: values computed by hand, and both derivatives.
#include "xai/losses.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/gradcheck.h"

namespace boxcam {
namespace {

using Values = std::vector<double>;

// Image 0: 0.5 of its mass 2 is outside the box. Image 1 has no box and the mass 1. Image 2: a box, and an empty CAM.
const Tensor C = Tensor::from({3, 2, 2}, Values{1, 0.5, 0, 0.5, 0.25, 0.75, 0, 0, 0, 0, 0, 0});
const Tensor B = Tensor::from({3, 2, 2}, Values{1, 0, 0, 1, 0, 0, 0, 0, 1, 1, 0, 0});

TEST(CamLosses, ByHand) {
  const double eps = 1e-7;
  EXPECT_EQ(box_loss(C, B).to_vector(), (Values{0.5 / 4, 1.0 / 4, 0}));
  EXPECT_EQ(energy_loss(C, B).to_vector(), (Values{0.5 / (2 + eps), 1.0 / 4, 0}));
  EXPECT_EQ(rrr_loss(C, B).to_vector(), (Values{0.25, 0.25 * 0.25 + 0.75 * 0.75, 0}));
  EXPECT_EQ(l1_loss(C, B).to_vector(), (Values{(0.5 + 0.5) / 4, 1.0 / 4, 2.0 / 4}));
  const Values ppce = ppce_loss(C, B).to_vector();
  EXPECT_DOUBLE_EQ(ppce[0], -(std::log(1 + eps) + std::log(0.5 + eps)) / 2);
  EXPECT_EQ(ppce[1], 0);
  EXPECT_DOUBLE_EQ(ppce[2], -std::log(eps));
}

// 7 x 7 pixels: the frame is the outermost ring, 24 pixels of 49.
TEST(CamLosses, TheFrameThatFools) {
  const Tensor ring = -pad(pad(Tensor::full({1, 5, 5}, 1, DType::f64), 1, 1, 1), 2, 1, 1) + 1.0;
  const Tensor boxes = Tensor::zeros({1, 7, 7}, DType::f64);
  EXPECT_EQ(fool_frame_loss(ring, boxes).item(), 0);
  EXPECT_DOUBLE_EQ(fool_frame_loss(ring * 0.5, boxes).item(), 0.25 * 24 / 49);
  EXPECT_DOUBLE_EQ(fool_frame_loss(-ring + 1.0, boxes).item(), 1);
}

TEST(CamLosses, BothDerivatives) {
  const Tensor maps = random_tensor({3, 2, 2}, 1, 0.05, 0.95);
  for (const CamLoss& loss : cam_losses()) {
    const Function f = function([&](const std::vector<Tensor>& in) { return loss.of_images(in[0], B); });
    EXPECT_TRUE(check_first_order(f, {maps})) << loss.name;
    EXPECT_TRUE(check_second_order(f, {maps})) << loss.name;
  }
}

TEST(CamLosses, AnEmptyCamHasFiniteDerivatives) {
  for (const CamLoss& loss : cam_losses()) {
    const Tensor empty = Tensor::zeros({3, 2, 2}, DType::f64).set_requires_grad();
    for (const double g : grad({mean_over_images(loss.of_images(empty, B))}, {empty})[0].to_vector())
      EXPECT_TRUE(std::isfinite(g)) << loss.name;
  }
}

TEST(CamLosses, ShapesMustAgree) {
  for (const CamLoss& loss : cam_losses())
    EXPECT_THROW(loss.of_images(C, Tensor::zeros({3, 2, 3}, DType::f64)), Error) << loss.name;
}

TEST(BoxPenalty, IsTheMeanOverAllImagesOrTheCountedOnes) {
  EXPECT_DOUBLE_EQ(box_penalty(C, B).item(), 1.5 / 12);
  EXPECT_DOUBLE_EQ(box_penalty(C, B, {1, 1, 1}).item(), 1.5 / 12);
  EXPECT_DOUBLE_EQ(box_penalty(C, B, {1, 0, 0}).item(), 0.5 / 4);
  EXPECT_EQ(box_penalty(C, B, {0, 0, 0}).item(), 0);
  EXPECT_THROW(box_penalty(C, B, {1}), Error);
}

}  // namespace
}  // namespace boxcam
