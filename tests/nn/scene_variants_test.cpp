// What a variant of a scene keeps and what it takes away, pixel by pixel, against the scene that it is made of.
#include "nn/data/scenes/variants.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <map>
#include <numeric>
#include <set>
#include <string>

#include "engine/base/check.h"
#include "nn/data/scenes/scenes.h"

namespace boxcam {
namespace {

constexpr uint64_t kSeed = 21;
constexpr int kSize = 48;

Sample scene(int64_t index, SceneVariant variant, bool camera = true, bool objects = true) {
  SceneOptions options;
  options.image_size = kSize;
  options.variant = variant;
  options.camera = camera;
  options.objects = objects;
  return draw_scene(kSeed, ScenesSplit::test_in, index, options);
}

std::vector<int64_t> with_objects(int64_t count) {
  std::vector<int64_t> indices;
  for (int64_t i = 0; static_cast<int64_t>(indices.size()) < count; ++i)
    if (scene(i, SceneVariant::whole).label != 3) indices.push_back(i);
  return indices;
}

bool touches(const std::vector<Box>& boxes, int y, int x) {
  for (const Box& b : boxes)
    if (x + 1 > b.x_min && x < b.x_max && y + 1 > b.y_min && y < b.y_max) return true;
  return false;
}

int difference(const Image& a, const Image& b, int y, int x) {
  int most = 0;
  for (int c = 0; c < 3; ++c) most = std::max(most, std::abs(a.at(y, x)[c] - b.at(y, x)[c]));
  return most;
}

int brightest(const Image& image, int y, int x) {
  return std::max({image.at(y, x)[0], image.at(y, x)[1], image.at(y, x)[2]});
}

template <class See>
void each_pixel(See see) {
  for (int y = 0; y < kSize; ++y)
    for (int x = 0; x < kSize; ++x) see(y, x);
}

TEST(SceneVariants, ForegroundAndRestMakeTheWholePicture) {
  for (const int64_t i : with_objects(20)) {
    const Sample whole = scene(i, SceneVariant::whole), front = scene(i, SceneVariant::only_fg),
                 rest = scene(i, SceneVariant::no_fg);
    const Sample plain = scene(i, SceneVariant::whole, false), bare = scene(i, SceneVariant::whole, false, false);
    int kept = 0;
    each_pixel([&](int y, int x) {
      for (int c = 0; c < 3; ++c)  // each is rounded
        ASSERT_NEAR(front.image.at(y, x)[c] + rest.image.at(y, x)[c], whole.image.at(y, x)[c], 1);
      // What the objects changed of their ground is what is kept.
      if (!touches(whole.boxes, y, x)) {
        ASSERT_EQ(brightest(front.image, y, x), 0);
      }
      if (difference(plain.image, bare.image, y, x) > 2) {
        ASSERT_GT(difference(rest.image, whole.image, y, x), 0);
      }
      kept += brightest(front.image, y, x) > 0;
    });
    EXPECT_GT(kept, 10);
    EXPECT_EQ(front.boxes.size(), whole.boxes.size());
    EXPECT_TRUE(rest.boxes.empty());
    EXPECT_EQ(front.label, whole.label);
    EXPECT_EQ(front.id, whole.id);
  }
}

TEST(SceneVariants, OnlyTheGroundOutsideOfTheBoxesIsShown) {
  for (const int64_t i : with_objects(20)) {
    const Sample whole = scene(i, SceneVariant::whole), black = scene(i, SceneVariant::only_bg_b),
                 tiled = scene(i, SceneVariant::only_bg_t);
    EXPECT_TRUE(black.boxes.empty() && tiled.boxes.empty());
    std::set<std::array<int, 3>> ground;  // the colours of whatever no box touches
    const auto colour = [](const Image& image, int y, int x) {
      const uint8_t* p = image.at(y, x);
      return std::array<int, 3>{p[0], p[1], p[2]};
    };
    each_pixel([&](int y, int x) {
      if (!touches(whole.boxes, y, x)) ground.insert(colour(whole.image, y, x));
    });
    each_pixel([&](int y, int x) {
      if (touches(whole.boxes, y, x)) {
        ASSERT_EQ(brightest(black.image, y, x), 0);
        ASSERT_TRUE(ground.contains(colour(tiled.image, y, x)));
      } else {
        ASSERT_EQ(difference(black.image, whole.image, y, x), 0);
        ASSERT_EQ(difference(tiled.image, whole.image, y, x), 0);
      }
    });
  }
}

// The objects are the same where they cover a pixel whole; the ground is another.
TEST(SceneVariants, MixedPicturesKeepTheObjectsAndChangeTheGround) {
  for (const int64_t i : with_objects(12))
    for (const SceneVariant variant : {SceneVariant::mixed_same, SceneVariant::mixed_rand, SceneVariant::mixed_next}) {
      const Sample whole = scene(i, SceneVariant::whole), mixed = scene(i, variant);
      const Sample front = scene(i, SceneVariant::only_fg);
      int same = 0, other = 0;
      each_pixel([&](int y, int x) {
        if (difference(front.image, whole.image, y, x) == 0) {
          // Of the ground no more is left than rounding hid of the object.
          ASSERT_LE(difference(mixed.image, whole.image, y, x), 1 + 128 / std::max(1, brightest(whole.image, y, x)));
          ++same;
        } else if (!touches(whole.boxes, y, x)) {
          other += difference(mixed.image, whole.image, y, x) > 0;
        }
      });
      EXPECT_GT(same, 10);
      EXPECT_GT(other, kSize * kSize / 4);
      ASSERT_EQ(mixed.boxes.size(), whole.boxes.size());
      EXPECT_EQ(mixed.boxes[0].x_min, whole.boxes[0].x_min);
    }
}

// In context a class has one ground: which one a mixed picture gets follows from the class that lends it.
TEST(SceneVariants, TheGroundIsOfTheSameOfAnyOrOfTheNextClass) {
  const std::vector<std::string> grounds = {"sky", "sea", "road"};
  std::map<int64_t, int64_t> random;  // by how many classes further
  constexpr int64_t n = 600;
  for (const int64_t i : with_objects(n)) {
    const auto further = [&](SceneVariant variant) {
      SceneOptions options;
      options.image_size = 32;
      options.variant = variant;
      const Sample sample = draw_scene(kSeed, ScenesSplit::test_in, i, options);
      const auto found = std::find(grounds.begin(), grounds.end(), sample.source);
      return (found - grounds.begin() - sample.label + 3) % 3;
    };
    ASSERT_EQ(further(SceneVariant::mixed_same), 0);
    ASSERT_EQ(further(SceneVariant::mixed_next), 1);
    ++random[further(SceneVariant::mixed_rand)];
  }
  for (int64_t k = 0; k < 3; ++k) EXPECT_NEAR(random[k], n / 3., 4.5 * std::sqrt(n * 2 / 9.)) << k;
}

TEST(SceneVariants, AreOfThePicturesWithObjects) {
  SceneOptions options;
  options.image_size = 32;
  options.variant = SceneVariant::mixed_rand;
  const Scenes whole(kSeed, 40, ScenesSplit::test_in), mixed(kSeed, 40, ScenesSplit::test_in, options);
  std::vector<std::string> ids, expected;
  for (int64_t i = 0; i < mixed.size(); ++i) {
    ids.push_back(mixed.load(i).id);
    EXPECT_EQ(mixed.label(i), mixed.load(i).label);
    EXPECT_NE(mixed.label(i), 3);
  }
  for (int64_t i = 0; i < whole.size(); ++i)
    if (whole.label(i) != 3) expected.push_back(std::to_string(i));
  EXPECT_EQ(ids, expected);
  EXPECT_THROW(mixed.load(mixed.size()), Error);
  EXPECT_NE(mixed.describe().find("in context, mixed-rand"), std::string::npos);
  for (int64_t i = 0; i < whole.size(); ++i)
    if (whole.label(i) == 3) {
      EXPECT_THROW(draw_scene(kSeed, ScenesSplit::test_in, i, options), Error);
    }
}

TEST(SceneVariants, LargestClearRectangleIsThatOfASearch) {
  const int height = 9, width = 11;
  const std::vector<std::vector<Box>> cases = {{},
                                               {{3.2, 2.5, 6, 5.1}},
                                               {{0, 0, 4, 4}, {7.5, 5.5, 11, 9}},
                                               {{1, 1, 2, 8}, {4, 0, 5, 7}, {7, 2, 8, 9}},
                                               {{0, 0, 11, 9}}};
  for (const auto& boxes : cases) {
    int most = 0;
    for (int top = 0; top < height; ++top)
      for (int left = 0; left < width; ++left)
        for (int bottom = top + 1; bottom <= height; ++bottom)
          for (int right = left + 1; right <= width; ++right) {
            bool clear = true;
            for (int y = top; y < bottom; ++y)
              for (int x = left; x < right; ++x) clear = clear && !touches(boxes, y, x);
            if (clear) most = std::max(most, (bottom - top) * (right - left));
          }
    const PixelRectangle found = largest_clear_rectangle(height, width, boxes);
    EXPECT_EQ(found.area(), most);
    for (int y = found.top; y < found.bottom; ++y)
      for (int x = found.left; x < found.right; ++x) EXPECT_FALSE(touches(boxes, y, x));
  }
}

// A tile of 2 x 4 pixels to the right of a box of 3 columns: columns 3 to 4 are repeated over 0 to 2.
TEST(SceneVariants, TilesContinueTheGroundInStep) {
  Image image(4, 5);
  for (int y = 0; y < 4; ++y)
    for (int x = 0; x < 5; ++x)
      for (int c = 0; c < 3; ++c) image.at(y, x)[c] = static_cast<uint8_t>(10 * y + x + 1);
  tile_boxes(image, {{0, 0, 3, 4}});
  for (int y = 0; y < 4; ++y)
    for (int x = 0; x < 5; ++x) EXPECT_EQ(image.at(y, x)[1], 10 * y + (x % 2 == 1 ? 3 : 4) + 1) << y << " " << x;
  tile_boxes(image, {{0, 0, 5, 4}});
  EXPECT_EQ(std::accumulate(image.pixels.begin(), image.pixels.end(), 0), 0) << "no ground is left to repeat";
}

}  // namespace
}  // namespace boxcam
