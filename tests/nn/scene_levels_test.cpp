// The second set of classes, and the hard level: what they change of the scenes, and what no set and no level may tell.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <map>
#include <set>
#include <string>

#include "nn/data/scenes/scenes.h"

namespace boxcam {
namespace {

SceneOptions options_of(SceneSet set, SceneLevel level = SceneLevel::plain, double correlation = 1) {
  SceneOptions options;
  options.image_size = 32;
  options.set = set;
  options.level = level;
  options.context_correlation = correlation;
  return options;
}

double area(const Box& b) { return (b.x_max - b.x_min) * (b.y_max - b.y_min); }

/// From the centre, in shares of the half side.
double eccentricity(const Box& b, int size) {
  return std::max(std::abs(b.x_min + b.x_max - size), std::abs(b.y_min + b.y_max - size)) / size;
}

TEST(SceneSets, NearClassesHaveTheirOwnGrounds) {
  const SceneOptions options = options_of(SceneSet::car_motorbike_person);
  const std::array<std::string, 3> usual = {"road", "track", "park"};
  std::set<std::string> none;
  std::set<std::pair<int64_t, std::string>> wrong;
  for (int64_t i = 0; i < 200; ++i) {
    const Sample in = draw_scene(3, ScenesSplit::test_in, i, options),
                 out = draw_scene(3, ScenesSplit::test_out, i, options);
    if (in.label == 3) {
      none.insert(in.source);
    } else {
      EXPECT_EQ(in.source, usual[static_cast<size_t>(in.label)]);
    }
    if (out.label < 3) wrong.emplace(out.label, out.source);
  }
  EXPECT_EQ(none, (std::set<std::string>{"road", "track", "park"}));
  EXPECT_EQ(wrong.size(), 6u);
  for (size_t label = 0; label < 3; ++label) EXPECT_FALSE(wrong.contains({static_cast<int64_t>(label), usual[label]}));
  const Scenes scenes(3, 5, ScenesSplit::train, options);
  EXPECT_EQ(scenes.classes(), (std::vector<std::string>{"car", "motorbike", "person", "none"}));
  EXPECT_NE(scenes.describe().find(", car, motorbike, person, seed 3"), std::string::npos) << scenes.describe();
}

// Whatever an object is, its variants fill the box that the layout gave them.
TEST(SceneSets, BoxesAreTheBoundsOfWhatWasDrawn) {
  SceneOptions options = options_of(SceneSet::car_motorbike_person), bare = options;
  options.image_size = bare.image_size = 96;
  options.camera = bare.camera = bare.objects = false;
  for (int64_t i = 0; i < 60; ++i) {
    const Sample with = draw_scene(6, ScenesSplit::train, i, options),
                 without = draw_scene(6, ScenesSplit::train, i, bare);
    std::vector<Box> found(with.boxes.size(), Box{1e9, 1e9, -1e9, -1e9});
    for (int y = 0; y < 96; ++y)
      for (int x = 0; x < 96; ++x) {
        if (std::equal(with.image.at(y, x), with.image.at(y, x) + 3, without.image.at(y, x))) continue;
        size_t inside = 0;
        while (inside < found.size() && (x + 1 <= with.boxes[inside].x_min || x >= with.boxes[inside].x_max ||
                                         y + 1 <= with.boxes[inside].y_min || y >= with.boxes[inside].y_max))
          ++inside;
        ASSERT_LT(inside, found.size()) << "image " << i << ": pixel (" << x << ", " << y << ")";
        Box& box = found[inside];
        box = {std::min(box.x_min, double(x)), std::min(box.y_min, double(y)), std::max(box.x_max, x + 1.0),
               std::max(box.y_max, y + 1.0)};
      }
    for (size_t k = 0; k < found.size(); ++k) {
      EXPECT_NEAR(found[k].x_min, with.boxes[k].x_min, 2) << "image " << i;
      EXPECT_NEAR(found[k].y_min, with.boxes[k].y_min, 2) << "image " << i;
      EXPECT_NEAR(found[k].x_max, with.boxes[k].x_max, 2) << "image " << i;
      EXPECT_NEAR(found[k].y_max, with.boxes[k].y_max, 2) << "image " << i;
    }
  }
}

struct Sums {
  double images = 0, boxes = 0, area = 0, area_squared = 0, x = 0, y = 0, aspect = 0;
};

// Number, size, proportions and place of the boxes must not tell the class. They may depend on the ground (things stand
// below the horizon), so each ground is taken by itself, at a correlation that gives it every class.
TEST(SceneSets, LayoutDoesNotTellTheClass) {
  for (const SceneOptions& options : {options_of(SceneSet::plane_ship_car, SceneLevel::plain, 1. / 3),
                                      options_of(SceneSet::car_motorbike_person, SceneLevel::plain, 1. / 3),
                                      options_of(SceneSet::plane_ship_car, SceneLevel::hard, 1. / 3)}) {
    std::map<std::string, std::array<Sums, 3>> by_ground;
    for (int64_t i = 0; i < 6000; ++i) {
      const Sample sample = draw_scene(10, ScenesSplit::train, i, options);
      if (sample.label == 3) continue;
      Sums& s = by_ground[sample.source][static_cast<size_t>(sample.label)];
      ++s.images;
      for (const Box& box : sample.boxes) {
        const double share = area(box) / (32 * 32);
        ++s.boxes;
        s.area += share, s.area_squared += share * share;
        s.x += (box.x_min + box.x_max) / 64;
        s.y += (box.y_min + box.y_max) / 64;
        s.aspect += (box.x_max - box.x_min) / (box.y_max - box.y_min);
      }
    }
    ASSERT_EQ(by_ground.size(), 3u);
    for (const auto& [ground, sums] : by_ground)
      for (size_t a = 0; a < 3; ++a) {
        const Sums &s = sums[a], &o = sums[(a + 1) % 3];
        ASSERT_GT(s.images, 300);
        const double variance = s.area_squared / s.boxes - std::pow(s.area / s.boxes, 2);
        EXPECT_NEAR(s.area / s.boxes, o.area / o.boxes, 4.5 * std::sqrt(variance * (1 / s.boxes + 1 / o.boxes)));
        EXPECT_NEAR(s.boxes / s.images, o.boxes / o.images, .2);
        EXPECT_NEAR(s.x / s.boxes, o.x / o.boxes, .04);
        EXPECT_NEAR(s.y / s.boxes, o.y / o.boxes, .04);
        EXPECT_NEAR(s.aspect / s.boxes, o.aspect / o.boxes, .06);
      }
  }
}

TEST(HardScenes, ObjectsAreSmallAndNearTheCentreInTrainingAlone) {
  std::map<ScenesSplit, double> mean;
  for (const ScenesSplit split :
       {ScenesSplit::train, ScenesSplit::validation, ScenesSplit::test_in, ScenesSplit::test_out}) {
    double sum = 0, boxes = 0;
    for (int64_t i = 0; i < 600; ++i)
      for (const Box& box : draw_scene(8, split, i, options_of(SceneSet::plane_ship_car, SceneLevel::hard)).boxes) {
        EXPECT_GE(area(box) / (32 * 32), .012 - 1e-9);
        EXPECT_LE(area(box) / (32 * 32), .06 + 1e-9);
        sum += eccentricity(box, 32), ++boxes;
      }
    mean[split] = sum / boxes;
  }
  EXPECT_NEAR(mean[ScenesSplit::train], mean[ScenesSplit::validation], .04);
  EXPECT_NEAR(mean[ScenesSplit::test_in], mean[ScenesSplit::test_out], .04);
  EXPECT_LT(mean[ScenesSplit::train] + .1, mean[ScenesSplit::test_in]);
}

// Of the pixels that an object covers in the plain picture some are hidden, but not most; pictures of "none" have
// things of the same kind.
TEST(HardScenes, ObjectsAreHiddenInPart) {
  SceneOptions options = options_of(SceneSet::plane_ship_car, SceneLevel::hard), bare = options;
  options.image_size = bare.image_size = 96;
  options.camera = bare.camera = bare.objects = false;
  SceneOptions front = options;
  front.variant = SceneVariant::only_fg;
  double shown = 0, changed = 0;
  for (int64_t i = 0; i < 80; ++i) {
    const Sample whole = draw_scene(5, ScenesSplit::train, i, options);
    if (whole.label == 3) continue;
    const Sample ground = draw_scene(5, ScenesSplit::train, i, bare), fg = draw_scene(5, ScenesSplit::train, i, front);
    for (int y = 0; y < 96; ++y)
      for (int x = 0; x < 96; ++x) {
        const bool other = !std::equal(whole.image.at(y, x), whole.image.at(y, x) + 3, ground.image.at(y, x));
        const uint8_t* p = fg.image.at(y, x);
        changed += other;
        shown += p[0] + p[1] + p[2] > 0;
      }
  }
  EXPECT_GT(shown / changed, .3);
  EXPECT_LT(shown / changed, .8);
}

TEST(HardScenes, NoneHasTheClutterToo) {
  SceneOptions hard = options_of(SceneSet::plane_ship_car, SceneLevel::hard), plain = hard;
  plain.level = SceneLevel::plain;
  hard.camera = plain.camera = false;
  double least = 1;
  for (int64_t i = 0; i < 60; ++i) {
    const Sample with = draw_scene(4, ScenesSplit::train, i, hard),
                 without = draw_scene(4, ScenesSplit::train, i, plain);
    ASSERT_EQ(with.label, without.label);
    if (with.label != 3) continue;
    double differs = 0;
    for (size_t p = 0; p < with.image.pixels.size(); ++p) differs += with.image.pixels[p] != without.image.pixels[p];
    least = std::min(least, differs / static_cast<double>(with.image.pixels.size()));
  }
  EXPECT_GT(least, .01);
}

TEST(HardScenes, SayThatTheyAre) {
  const SceneOptions options = options_of(SceneSet::plane_ship_car, SceneLevel::hard);
  EXPECT_EQ(Scenes(4, 20, ScenesSplit::train, options).describe(),
            "scenes: 20 procedural images of 32x32 (train, context correlation 1, hard, seed 4)");
}

}  // namespace
}  // namespace boxcam
