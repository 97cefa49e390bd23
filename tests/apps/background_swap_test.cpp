// --background-swap: who gets whose ground, what stays, and that it is a function of (seed, step, place) alone.
#include "apps/common/background_swap.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "nn/data/composite.h"
#include "tests/programs.h"

namespace boxcam {
namespace {

constexpr int kSize = 64;
constexpr int64_t kNone = 3;
constexpr size_t kPicture = 3 * kSize * kSize;

struct Shown {
  std::vector<Box> boxes;
  int32_t label;
};

/// Pictures of one colour each, 10, 20, 30, ..., whose boxes hold that colour plus 5.
Batch batch_of(const std::vector<Shown>& pictures) {
  Batch batch;
  batch.size = static_cast<int64_t>(pictures.size());
  batch.image_size = kSize;
  for (size_t n = 0; n < pictures.size(); ++n) {
    std::vector<uint8_t> bytes(kPicture, static_cast<uint8_t>(10 * (n + 1)));
    for (const Box& box : pictures[n].boxes)
      for (int y = int(box.y_min); y < int(box.y_max); ++y)
        for (int x = int(box.x_min); x < int(box.x_max); ++x)
          for (int c = 0; c < 3; ++c) bytes[(size_t(y) * kSize + x) * 3 + c] += 5;
    batch.images.insert(batch.images.end(), bytes.begin(), bytes.end());
    batch.boxes.push_back(pictures[n].boxes);
    batch.labels.push_back(pictures[n].label);
    batch.indices.push_back(static_cast<int64_t>(n));
    batch.ids.push_back(str(n));
    batch.sources.emplace_back();
  }
  return batch;
}

const Box kLeft{8, 8, 24, 40}, kRight{40, 16, 60, 60}, kAll{0, 0, 64, 62};

uint8_t pixel(const Batch& batch, size_t n, int y, int x) {
  return batch.images[n * kPicture + (size_t(y) * kSize + x) * 3];
}
constexpr int kInLeft[] = {20, 16}, kInRight[] = {30, 50}, kOutside[] = {62, 2};  // y, x

std::vector<char> swapped(Batch& batch, double share = 1, int64_t step = 0, bool inverse = false, uint64_t seed = 0,
                          SwapShape shape = SwapShape::varied) {
  const BoxLists boxes = batch.boxes;
  return swap_backgrounds(batch, {boxes, 0, inverse}, {.share = share, .shape = shape}, kNone, seed, step);
}

TEST(BackgroundSwap, ABoxedPictureKeepsItsBoxOverTheGroundOfANonePicture) {
  std::set<int> grounds;
  for (int64_t step = 0; step < 30; ++step) {
    Batch batch = batch_of({{{kLeft}, 0}, {{}, kNone}, {{kRight}, 1}, {{}, kNone}});
    EXPECT_EQ(swapped(batch, 1, step), (std::vector<char>{1, 1, 1, 1}));
    EXPECT_EQ(pixel(batch, 0, kInLeft[0], kInLeft[1]), 15);
    EXPECT_EQ(pixel(batch, 2, kInRight[0], kInRight[1]), 35);
    for (const size_t n : {0, 2}) {
      const int ground = pixel(batch, n, kOutside[0], kOutside[1]);
      EXPECT_TRUE(ground == 20 || ground == 40) << ground;  // nobody else's, and not its own
      grounds.insert(ground);
    }
    // "none" pictures get the ground of the other one, and keep a rectangle of their own with the seam of a box.
    EXPECT_EQ(pixel(batch, 1, kOutside[0], kOutside[1]), 40);
    EXPECT_EQ(pixel(batch, 3, kOutside[0], kOutside[1]), 20);
    const bool left = pixel(batch, 1, kInLeft[0], kInLeft[1]) == 20;
    EXPECT_EQ(pixel(batch, 1, kInRight[0], kInRight[1]), left ? 40 : 20);
    EXPECT_EQ(batch.labels, (std::vector<int32_t>{0, kNone, 1, kNone}));
  }
  EXPECT_EQ(grounds.size(), 2u);
}

TEST(BackgroundSwap, IsTheCompositeOfSoftMasksOfTheShapesInTurn) {
  const Batch before = batch_of({{{kLeft}, 0}, {{}, kNone}});
  std::vector<std::vector<uint8_t>> expected(3, std::vector<uint8_t>(kPicture));
  for (int shape = 0; shape < 3; ++shape)
    composite(soft_mask({kLeft}, kSize, 0, MaskShape(shape)), &before.images[0], &before.images[kPicture],
              expected[shape].data());
  std::vector<int> seen(3);
  for (int64_t step = 0; step < 60; ++step) {
    Batch batch = before, boxes = before;
    swapped(batch, 1, step);
    const std::vector<uint8_t> first(batch.images.begin(), batch.images.begin() + kPicture);
    const auto found = std::find(expected.begin(), expected.end(), first);
    ASSERT_NE(found, expected.end());
    ++seen[found - expected.begin()];
    swapped(boxes, 1, step, false, 0, SwapShape::box);
    EXPECT_TRUE(std::equal(expected[0].begin(), expected[0].end(), boxes.images.begin()));
  }
  for (const int times : seen) EXPECT_NEAR(times, 20, 15);  // four standard deviations
}

TEST(BackgroundSwap, WithoutANonePictureThePartnersObjectIsFilled) {
  Batch batch = batch_of({{{kLeft}, 0}, {{kRight}, 1}});
  EXPECT_EQ(swapped(batch), (std::vector<char>{1, 1}));
  EXPECT_EQ(pixel(batch, 0, kInLeft[0], kInLeft[1]), 15);
  EXPECT_EQ(pixel(batch, 0, kOutside[0], kOutside[1]), 20);
  EXPECT_EQ(pixel(batch, 0, kInRight[0], kInRight[1]), 20);  // not 25
  // A lone "none" picture cannot be its own ground: that of a filled one stands in.
  Batch lone = batch_of({{{kLeft}, 0}, {{}, kNone}});
  EXPECT_EQ(swapped(lone), (std::vector<char>{1, 1}));
  EXPECT_EQ(pixel(lone, 1, kOutside[0], kOutside[1]), 10);
  EXPECT_EQ(pixel(lone, 1, kInLeft[0], kInLeft[1]), 20);
}

TEST(BackgroundSwap, InverseKeepsTheGroundAndReplacesTheObject) {
  Batch batch = batch_of({{{kLeft}, 0}, {{}, kNone}});
  swapped(batch, 1, 0, true);
  EXPECT_EQ(pixel(batch, 0, kInLeft[0], kInLeft[1]), 20);
  EXPECT_EQ(pixel(batch, 0, kOutside[0], kOutside[1]), 10);
}

TEST(BackgroundSwap, WhatStaysAsItIs) {
  const auto unchanged = [](std::vector<Shown> pictures) {
    Batch batch = batch_of(pictures);
    const Batch before = batch;
    for (const char mark : swapped(batch)) EXPECT_FALSE(mark);
    return batch.images == before.images;
  };
  EXPECT_TRUE(unchanged({{{kLeft}, 0}}));              // alone
  EXPECT_TRUE(unchanged({{{}, kNone}, {{}, kNone}}));  // no shape to paste
  EXPECT_TRUE(unchanged({{{kAll}, 0}, {{kAll}, 1}}));  // over 90 % of the picture, and no ground to lend
  EXPECT_TRUE(unchanged({{{}, 0}, {{kLeft}, 1}}));     // another class without a box may show its object
  Batch batch = batch_of({{{kAll}, 0}, {{}, kNone}, {{kLeft}, 1}});
  EXPECT_EQ(swapped(batch), (std::vector<char>{0, 1, 1}));
  Batch no_none = batch_of({{{kLeft}, 0}, {{}, kNone}});
  const BoxLists boxes = no_none.boxes;
  EXPECT_EQ(swap_backgrounds(no_none, {boxes}, {.share = 1}, -1, 0, 0), (std::vector<char>{0, 0}));
}

TEST(BackgroundSwap, IsAFunctionOfSeedStepAndPlaceAndSwapsTheShareAskedFor) {
  std::vector<Shown> many;
  for (int n = 0; n < 20; ++n) many.push_back({n % 4 == 3 ? std::vector<Box>{} : std::vector<Box>{kLeft}, n % 4});
  int count = 0;
  bool steps_differ = false, seeds_differ = false;
  for (int64_t step = 0; step < 100; ++step) {
    Batch a = batch_of(many), b = a, c = a, d = a;
    for (const char mark : swapped(a, 0.3, step)) count += mark;
    swapped(b, 0.3, step), swapped(c, 0.3, step + 1), swapped(d, 0.3, step, false, 1);
    EXPECT_TRUE(a.images == b.images);
    steps_differ = steps_differ || a.images != c.images;
    seeds_differ = seeds_differ || a.images != d.images;
  }
  EXPECT_NEAR(count / 2000.0, 0.3, 0.04);  // four standard deviations
  EXPECT_TRUE(steps_differ && seeds_differ);
}

// ---- --context-only -------------------------------------------------------------------------------------------------

std::vector<char> hidden(Batch& batch, ContextFill fill, int64_t step = 0, bool inverse = false) {
  const BoxLists boxes = batch.boxes;
  return hide_objects(batch, {boxes, 0, inverse}, fill, kNone, 0, step);
}

TEST(ContextOnly, FillsTheObjectAndARectangleOfANonePicture) {
  for (const ContextFill fill : {ContextFill::blur, ContextFill::surroundings, ContextFill::mean}) {
    Batch batch = batch_of({{{kLeft}, 0}, {{}, kNone}, {{}, 0}, {{kAll}, 1}});
    const Batch before = batch;
    EXPECT_EQ(hidden(batch, fill), (std::vector<char>{1, 1, 0, 0}));  // the last two show an object and no context
    EXPECT_EQ(pixel(batch, 0, kOutside[0], kOutside[1]), 10);
    const int inside = pixel(batch, 0, kInLeft[0], kInLeft[1]);
    if (fill == ContextFill::blur)
      EXPECT_TRUE(inside > 11 && inside <= 15) << inside;  // the object's colours, with some of the ground's
    else
      EXPECT_EQ(inside, 10);
    // A picture of one colour is filled with it: only a picture with structure shows that something was done.
    EXPECT_TRUE(std::equal(batch.images.begin() + kPicture, batch.images.end(), before.images.begin() + kPicture));
  }
  Batch ramp = batch_of({{{kLeft}, 0}, {{}, kNone}});
  for (size_t i = 0; i < kPicture; ++i) ramp.images[kPicture + i] = static_cast<uint8_t>((i / 3) % kSize * 2);
  const Batch before = ramp;
  hidden(ramp, ContextFill::mean);
  EXPECT_NE(pixel(ramp, 1, kInLeft[0], kInLeft[1]), pixel(before, 1, kInLeft[0], kInLeft[1]));
  EXPECT_EQ(pixel(ramp, 1, kOutside[0], kOutside[1]), pixel(before, 1, kOutside[0], kOutside[1]));
}

TEST(ContextOnly, InverseHidesTheGroundAndABatchWithoutObjectsStays) {
  Batch batch = batch_of({{{kLeft}, 0}});
  EXPECT_EQ(hidden(batch, ContextFill::mean, 0, true), (std::vector<char>{1}));
  EXPECT_EQ(pixel(batch, 0, kInLeft[0], kInLeft[1]), 15);
  EXPECT_NEAR(pixel(batch, 0, kOutside[0], kOutside[1]), 15, 1);  // the mean of the object, and of its ramp
  Batch none = batch_of({{{}, kNone}, {{}, kNone}});
  EXPECT_EQ(hidden(none, ContextFill::mean), (std::vector<char>{0, 0}));
}

}  // namespace
}  // namespace boxcam
