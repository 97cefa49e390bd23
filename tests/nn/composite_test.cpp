// Pictures made of two: masks with soft edges, compositing, filling.
#include "nn/data/composite.h"

#include <gtest/gtest.h>

#include <cmath>

namespace boxcam {
namespace {

constexpr int kSize = 192;  // the ramp is a pixel wide

double at(const SoftMask& mask, int y, int x) { return mask[static_cast<size_t>(y) * kSize + x]; }

TEST(SoftMask, IsOneInTheBoxAndFallsToZeroAtItsEdge) {
  const SoftMask mask = soft_mask({{10, 20, 30, 40}}, kSize, 0);
  EXPECT_EQ(at(mask, 25, 9), 0);
  EXPECT_DOUBLE_EQ(at(mask, 25, 10), 0.5);  // half a pixel inside
  EXPECT_EQ(at(mask, 25, 11), 1);
  EXPECT_EQ(at(mask, 21, 28), 1);
  EXPECT_DOUBLE_EQ(at(mask, 20, 10), 0.5);  // the larger of both distances
  EXPECT_DOUBLE_EQ(at(mask, 39, 20), 0.5);
  EXPECT_EQ(at(mask, 40, 20), 0);
  EXPECT_EQ(at(mask, 60, 60), 0);
}

TEST(SoftMask, TakesTheMarginAndTheLargerOfSeveralBoxes) {
  const SoftMask mask = soft_mask({{10, 20, 30, 40}, {33, 20, 40, 30}}, kSize, 1);
  EXPECT_EQ(at(mask, 25, 8), 0);
  EXPECT_DOUBLE_EQ(at(mask, 25, 9), 0.5);
  EXPECT_DOUBLE_EQ(at(mask, 25, 30), 0.5);
  EXPECT_EQ(at(mask, 25, 31), 0);
  EXPECT_DOUBLE_EQ(at(mask, 25, 32), 0.5);  // of the other box
  EXPECT_EQ(at(soft_mask({{10, 20, 32, 40}, {30, 20, 50, 40}}, kSize, 0), 25, 31), 1);
}

TEST(SoftMask, HasNoRampAlongThePicturesEdgeAndLeavesSomethingOfAThinBox) {
  EXPECT_EQ(share_of(soft_mask({{0, 0, kSize, kSize}}, kSize, 5)), 1);
  EXPECT_EQ(share_of(soft_mask({{0, 0, kSize, kSize}}, kSize, 0)), 1);
  EXPECT_EQ(share_of(soft_mask({}, kSize, 5)), 0);
  EXPECT_NEAR(share_of(soft_mask({{0, 0, kSize / 2, kSize}}, kSize, 0)), 0.5 - 0.5 / kSize, 1e-12);
  EXPECT_EQ(at(soft_mask({{50, 20, 51, 40}}, kSize, 0), 30, 50), 1);  // from 50.25 to 50.75
}

TEST(SoftMask, OfAnEllipseHoldsWhatIsInItAndFallsFromItsEdge) {
  const Box box{10, 20, 50, 40};
  const SoftMask ellipse = soft_mask({box}, kSize, 0, MaskShape::ellipse);
  const SoftMask rounded = soft_mask({box}, kSize, 0, MaskShape::rounded), whole = soft_mask({box}, kSize, 0);
  EXPECT_EQ(at(ellipse, 30, 13), 1);
  EXPECT_EQ(at(ellipse, 22, 30), 1);
  EXPECT_EQ(at(ellipse, 21, 12), 0);            // a corner
  EXPECT_NEAR(at(ellipse, 39, 30), 0.5, 0.01);  // on the short axis the distance is that to the box
  // As many pixels as the area, a pixel from the edges: pi a b, and of e = 4 it is 3.708 a b.
  EXPECT_NEAR(std::count(ellipse.begin(), ellipse.end(), 1), std::acos(-1) * 19 * 9, 10);
  EXPECT_NEAR(std::count(rounded.begin(), rounded.end(), 1), 3.708 * 19 * 9, 10);
  for (size_t i = 0; i < whole.size(); ++i) {
    ASSERT_LE(ellipse[i], rounded[i]) << i;
    ASSERT_LE(rounded[i], whole[i]) << i;
  }
}

std::vector<uint8_t> picture(int value) { return std::vector<uint8_t>(3 * kSize * kSize, static_cast<uint8_t>(value)); }

TEST(Composite, MixesByTheMask) {
  const SoftMask mask = soft_mask({{10, 20, 30, 40}}, kSize, 0);
  std::vector<uint8_t> out = picture(7);
  composite(mask, picture(200).data(), picture(101).data(), out.data());
  for (size_t i = 0; i < out.size(); ++i)
    ASSERT_EQ(out[i], std::floor(mask[i / 3] * 200 + (1 - mask[i / 3]) * 101 + 0.5)) << i;
  std::vector<uint8_t> in_place = picture(200);
  composite(mask, in_place.data(), picture(101).data(), in_place.data());
  EXPECT_EQ(in_place, out);
}

TEST(Composite, FillsWithTheMeanOfTheRest) {
  const SoftMask mask = soft_mask({{0, 0, kSize / 2, kSize}}, kSize, 1);
  std::vector<uint8_t> halves = picture(10);
  for (int y = 0; y < kSize; ++y)
    for (int x = 0; x < 3 * kSize / 2; ++x) halves[static_cast<size_t>(y) * kSize * 3 + x] = 250;
  EXPECT_EQ(filled_with_mean(mask, halves.data()), picture(10));
  const auto whole = filled_with_mean(soft_mask({{0, 0, kSize, kSize}}, kSize, 0), halves.data());
  EXPECT_EQ(whole, picture(130));
}

/// Brightness rises from left to right; an object of 255 lies in the middle.
std::vector<uint8_t> slope_with_object() {
  std::vector<uint8_t> bytes = picture(0);
  for (int y = 0; y < kSize; ++y)
    for (int x = 0; x < kSize; ++x)
      for (int c = 0; c < 3; ++c) {
        const bool object = x >= 20 && x < 44 && y >= 20 && y < 44;
        bytes[(static_cast<size_t>(y) * kSize + x) * 3 + c] = static_cast<uint8_t>(object ? 255 : x);
      }
  return bytes;
}
const std::vector<Box> kMiddle = {{20, 20, 44, 44}};
int grey(const std::vector<uint8_t>& bytes, int y, int x) { return bytes[(static_cast<size_t>(y) * kSize + x) * 3]; }

TEST(Composite, FillsFromAroundWithoutATraceOfTheObject) {
  const SoftMask mask = soft_mask(kMiddle, kSize, 2);  // so that the ramp does not weigh the object in
  const auto out = filled_from_around(mask, slope_with_object().data(), kSize);
  for (int y = 20; y < 44; ++y)
    for (int x = 20; x < 44; ++x) EXPECT_NEAR(grey(out, y, x), x, 12) << y << " " << x;  // the slope goes on
  EXPECT_LT(grey(out, 32, 22), grey(out, 32, 42));
  EXPECT_EQ(grey(out, 5, 60), 60);
  EXPECT_EQ(filled_from_around(mask, picture(77).data(), kSize), picture(77));
  EXPECT_EQ(filled_from_around(soft_mask({{0, 0, kSize, kSize}}, kSize, 0), picture(77).data(), kSize), picture(77));
}

TEST(Composite, BlurKeepsColoursAndLosesShapes) {
  const SoftMask mask = soft_mask(kMiddle, kSize, 0);
  EXPECT_EQ(filled_with_blur(mask, picture(77).data(), kSize), picture(77));
  std::vector<uint8_t> stripes = picture(100);  // of one pixel, within the box
  for (int y = 20; y < 44; ++y)
    for (int x = 20; x < 44; x += 2)
      for (int c = 0; c < 3; ++c) stripes[(static_cast<size_t>(y) * kSize + x) * 3 + c] = 200;
  const auto out = filled_with_blur(mask, stripes.data(), kSize);
  for (int x = 27; x < 37; ++x) EXPECT_NEAR(grey(out, 32, x), grey(out, 32, x + 1), 2);  // of 100 before
  EXPECT_GT(grey(out, 32, 32), 115);
  EXPECT_EQ(grey(out, 5, 5), 100);
}

}  // namespace
}  // namespace boxcam
