// The procedural scenes: pure functions of (seed, split, index), exact boxes, no hint about the class but its shape.
#include "nn/data/scenes/scenes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "engine/base/check.h"
#include "nn/data/scenes/raster.h"

namespace boxcam {
namespace {

constexpr std::array<ScenesSplit, 4> all_splits{ScenesSplit::train, ScenesSplit::validation, ScenesSplit::test_in,
                                                ScenesSplit::test_out};

SceneOptions small(double correlation = 1) {
  SceneOptions options;
  options.image_size = 32;
  options.context_correlation = correlation;
  return options;
}

int64_t usual_label(const std::string& background) { return background == "sky" ? 0 : (background == "sea" ? 1 : 2); }

double area(const Box& b) { return (b.x_max - b.x_min) * (b.y_max - b.y_min); }

double standard_error(double share, double n) { return std::sqrt(share * (1 - share) / n); }

TEST(Scenes, SameIndexGivesTheSameBytes) {
  for (const ScenesSplit split : all_splits) {
    const Sample a = draw_scene(7, split, 11), b = draw_scene(7, split, 11);
    EXPECT_EQ(a.image.pixels, b.image.pixels);
    EXPECT_EQ(a.label, b.label);
    EXPECT_EQ(a.id, "11");
    EXPECT_EQ(a.boxes.size(), b.boxes.size());
  }
}

TEST(Scenes, IndicesSplitsAndSeedsDiffer) {
  std::set<std::string> pictures;  // as strings: g++ 12 warns falsely about comparing vectors of bytes
  for (const ScenesSplit split : all_splits)
    for (const uint64_t seed : {1, 2})
      for (int64_t i = 0; i < 20; ++i) {
        const std::vector<uint8_t> pixels = draw_scene(seed, split, i, small()).image.pixels;
        pictures.emplace(pixels.begin(), pixels.end());
      }
  EXPECT_EQ(pictures.size(), 4u * 2 * 20);
}

TEST(Scenes, LabelsAreCheapAndTrue) {
  const Scenes scenes(3, 60, ScenesSplit::train, small(.5));
  ASSERT_EQ(scenes.size(), 60);
  for (int64_t i = 0; i < scenes.size(); ++i) {
    const Sample sample = scenes.load(i);
    EXPECT_EQ(scenes.label(i), sample.label);
    EXPECT_EQ(sample.boxes.empty(), sample.label == 3);
  }
  EXPECT_EQ(scenes.classes(), (std::vector<std::string>{"plane", "ship", "car", "none"}));
}

TEST(Scenes, LabelsAreUniformInEverySplit) {
  constexpr int64_t n = 8000;
  for (const ScenesSplit split : all_splits) {
    const Scenes scenes(5, n, split);
    std::array<double, 4> counts{};
    for (int64_t i = 0; i < n; ++i) ++counts[static_cast<size_t>(scenes.label(i))];
    for (const double count : counts) EXPECT_NEAR(count / n, .25, 4.5 * standard_error(.25, n));
  }
}

// The share of planes, ships and cars in their usual context, and the backgrounds of "none".
struct Contexts {
  double objects = 0, usual = 0;
  std::array<double, 3> none{};
};

Contexts count_contexts(ScenesSplit split, double correlation, int64_t n) {
  Contexts contexts;
  for (int64_t i = 0; i < n; ++i) {
    const Sample sample = draw_scene(9, split, i, small(correlation));
    const int64_t usual = usual_label(sample.source);
    if (sample.label == 3) {
      ++contexts.none[static_cast<size_t>(usual)];
    } else {
      ++contexts.objects;
      contexts.usual += sample.label == usual;
    }
  }
  return contexts;
}

TEST(Scenes, TrainAndValidationFollowTheCorrelation) {
  for (const ScenesSplit split : {ScenesSplit::train, ScenesSplit::validation}) {
    const Contexts always = count_contexts(split, 1, 1000), mostly = count_contexts(split, .95, 4000);
    EXPECT_EQ(always.usual, always.objects);
    EXPECT_NEAR(mostly.usual / mostly.objects, .95, 4.5 * standard_error(.95, mostly.objects));
    EXPECT_EQ(count_contexts(split, 0, 500).usual, 0);
  }
}

TEST(Scenes, TestSplitsIgnoreTheCorrelation) {
  for (const double correlation : {0.0, .5, 1.0}) {
    const Contexts in = count_contexts(ScenesSplit::test_in, correlation, 500);
    EXPECT_EQ(in.usual, in.objects);
    EXPECT_EQ(count_contexts(ScenesSplit::test_out, correlation, 500).usual, 0);
  }
}

TEST(Scenes, NoneIsSpreadOverAllBackgrounds) {
  for (const ScenesSplit split : all_splits) {
    const Contexts contexts = count_contexts(split, 1, 3000);
    const double n = contexts.none[0] + contexts.none[1] + contexts.none[2];
    for (const double count : contexts.none) EXPECT_NEAR(count / n, 1. / 3, 4.5 * standard_error(1. / 3, n));
  }
}

TEST(Scenes, BothWrongContextsOccur) {
  std::set<std::pair<int64_t, std::string>> seen;
  for (int64_t i = 0; i < 200; ++i) {
    const Sample sample = draw_scene(2, ScenesSplit::test_out, i, small());
    if (sample.label < 3) seen.insert({sample.label, sample.source});
  }
  EXPECT_EQ(seen.size(), 6u);
}

TEST(Scenes, BoxesLieInsideAndApart) {
  for (const int size : {32, 96, 256}) {
    SceneOptions options;
    options.image_size = size;
    for (int64_t i = 0; i < 150; ++i) {
      const Sample sample = draw_scene(4, ScenesSplit::train, i, options);
      ASSERT_EQ(sample.image.height, size);
      ASSERT_EQ(sample.image.width, size);
      ASSERT_LE(sample.boxes.size(), 3u);
      for (size_t a = 0; a < sample.boxes.size(); ++a) {
        const Box& box = sample.boxes[a];
        EXPECT_GT(box.x_min, 0);
        EXPECT_GT(box.y_min, 0);
        EXPECT_LT(box.x_max, size);
        EXPECT_LT(box.y_max, size);
        EXPECT_GE(area(box) / (size * size), .05 - 1e-9);
        EXPECT_LE(area(box) / (size * size), .35 + 1e-9);
        for (size_t b = 0; b < a; ++b) {
          const Box& other = sample.boxes[b];
          EXPECT_TRUE(box.x_max <= other.x_min || other.x_max <= box.x_min || box.y_max <= other.y_min ||
                      other.y_max <= box.y_min);
        }
      }
    }
  }
}

// Without the camera the objects are all that differs from the bare background: nothing changes outside the boxes, and
// every edge of every box is touched.
TEST(Scenes, BoxesAreTheBoundsOfWhatWasDrawn) {
  for (const int size : {96, 256}) {
    SceneOptions options, bare;
    options.image_size = bare.image_size = size;
    options.camera = bare.camera = false;
    bare.objects = false;
    for (int64_t i = 0; i < 60; ++i) {
      const Sample with = draw_scene(6, ScenesSplit::train, i, options);
      const Sample without = draw_scene(6, ScenesSplit::train, i, bare);
      EXPECT_TRUE(without.boxes.empty());
      EXPECT_EQ(with.label, without.label);
      std::vector<Box> found(with.boxes.size(), Box{1e9, 1e9, -1e9, -1e9});
      for (int y = 0; y < size; ++y)
        for (int x = 0; x < size; ++x) {
          int change = 0;
          for (int c = 0; c < 3; ++c)
            change = std::max(change, std::abs(with.image.at(y, x)[c] - without.image.at(y, x)[c]));
          if (change == 0) continue;
          bool inside = false;
          for (size_t k = 0; k < found.size(); ++k) {
            const Box& box = with.boxes[k];
            if (x + 1 <= box.x_min || x >= box.x_max || y + 1 <= box.y_min || y >= box.y_max) continue;
            inside = true;
            found[k] = {std::min(found[k].x_min, double(x)), std::min(found[k].y_min, double(y)),
                        std::max(found[k].x_max, x + 1.0), std::max(found[k].y_max, y + 1.0)};
          }
          EXPECT_TRUE(inside) << "image " << i << ": pixel (" << x << ", " << y << ") changed outside the boxes";
        }
      for (size_t k = 0; k < found.size(); ++k) {  // a pixel covers up to one unit more, a sharp tip may hide in one
        EXPECT_NEAR(found[k].x_min, with.boxes[k].x_min, 2) << "image " << i;
        EXPECT_NEAR(found[k].y_min, with.boxes[k].y_min, 2) << "image " << i;
        EXPECT_NEAR(found[k].x_max, with.boxes[k].x_max, 2) << "image " << i;
        EXPECT_NEAR(found[k].y_max, with.boxes[k].y_max, 2) << "image " << i;
      }
    }
  }
}

TEST(Scenes, EverySizeShowsTheSameScene) {
  constexpr int small_size = 64, factor = 4;
  SceneOptions coarse, fine;
  coarse.image_size = small_size;
  fine.image_size = small_size * factor;
  coarse.camera = fine.camera = false;
  for (int64_t i = 0; i < 40; ++i) {
    const Sample a = draw_scene(8, ScenesSplit::train, i, coarse), b = draw_scene(8, ScenesSplit::train, i, fine);
    ASSERT_EQ(a.boxes.size(), b.boxes.size());
    for (size_t k = 0; k < a.boxes.size(); ++k) {
      EXPECT_NEAR(a.boxes[k].x_min * factor, b.boxes[k].x_min, 1e-6);
      EXPECT_NEAR(a.boxes[k].y_max * factor, b.boxes[k].y_max, 1e-6);
    }
    double difference = 0;  // between the coarse picture and the shrunk fine one
    for (int y = 0; y < small_size; ++y)
      for (int x = 0; x < small_size; ++x) {
        double sum = 0;
        for (int v = 0; v < factor; ++v)
          for (int u = 0; u < factor; ++u) sum += b.image.at(y * factor + v, x * factor + u)[1];
        difference += std::abs(sum / (factor * factor) - a.image.at(y, x)[1]);
      }
    EXPECT_LT(difference / (small_size * small_size), 5) << "image " << i;
  }
}

TEST(Scenes, ObjectsStandOutAgainstTheirBackground) {
  SceneOptions options, bare;
  options.camera = bare.camera = false;
  bare.objects = false;
  for (const ScenesSplit split : {ScenesSplit::test_in, ScenesSplit::test_out})
    for (int64_t i = 0; i < 100; ++i) {
      const Sample with = draw_scene(12, split, i, options), without = draw_scene(12, split, i, bare);
      for (const Box& box : with.boxes) {
        double changed = 0, pixels = 0;
        for (int y = int(box.y_min); y < int(box.y_max); ++y)
          for (int x = int(box.x_min); x < int(box.x_max); ++x) {
            int change = 0;
            for (int c = 0; c < 3; ++c)
              change = std::max(change, std::abs(with.image.at(y, x)[c] - without.image.at(y, x)[c]));
            changed += change > 40;
            ++pixels;
          }
        EXPECT_GT(changed / pixels, .15) << "split " << int(split) << ", image " << i;
      }
    }
}

TEST(Scenes, EverySizeFrom32To256IsDrawn) {
  SceneOptions options;
  for (options.image_size = 32; options.image_size <= 256; options.image_size += 7)
    EXPECT_EQ(draw_scene(1, ScenesSplit::train, options.image_size, options).image.pixels.size(),
              size_t(options.image_size) * options.image_size * 3);
}

SceneOptions several(double correlation = 1) {
  SceneOptions options = small(correlation);
  options.task = Task::multi_label;
  return options;
}

TEST(ScenesOfSeveralLabels, LabelsAreThoseOfTheBoxesAndTheGroundGoesByOneOfThem) {
  constexpr int64_t kCount = 600;
  for (const ScenesSplit split : {ScenesSplit::test_in, ScenesSplit::test_out}) {
    const Scenes scenes(3, kCount, split, several());
    EXPECT_EQ(scenes.classes(), (std::vector<std::string>{"plane", "ship", "car"}));
    std::array<double, 4> with_objects{}, showing{}, first{};
    for (int64_t i = 0; i < kCount; ++i) {
      const Sample s = scenes.load(i);
      ASSERT_EQ(s.box_classes.size(), s.boxes.size());
      const std::set<int32_t> classes(s.box_classes.begin(), s.box_classes.end());
      EXPECT_EQ(classes.size(), s.boxes.size()) << "each object is of another class";
      EXPECT_EQ(s.shown, std::vector<int32_t>(classes.begin(), classes.end()));
      EXPECT_EQ(s.label, scenes.label(i));
      if (i < 20) {
        EXPECT_EQ(s.shown, scenes.shown(i));
      }
      ++with_objects[s.boxes.size()];
      if (s.boxes.empty()) {
        EXPECT_EQ(s.label, -1);
        continue;
      }
      EXPECT_TRUE(classes.contains(static_cast<int32_t>(s.label)));
      EXPECT_EQ(usual_label(s.source) == s.label, split == ScenesSplit::test_in);
      for (const int32_t label : s.shown) ++showing[static_cast<size_t>(label)];
      ++first[static_cast<size_t>(s.box_classes[0])];
    }
    for (const double count : with_objects) EXPECT_NEAR(count / kCount, .25, 4 * standard_error(.25, kCount));
    for (size_t label = 0; label < 3; ++label) {
      EXPECT_NEAR(showing[label] / kCount, .5, 4 * standard_error(.5, kCount));
      EXPECT_NEAR(first[label] / kCount, .25, 4 * standard_error(.25, kCount));
    }
  }
}

// The classes are drawn apart from everything else: a picture of one object is the one that single labels have.
TEST(ScenesOfSeveralLabels, PicturesOfOneObjectAndOfNoneAreThoseOfOneLabel) {
  int compared = 0;
  for (int64_t i = 0; i < 60; ++i) {
    const Sample one = draw_scene(3, ScenesSplit::train, i, small(.5)),
                 many = draw_scene(3, ScenesSplit::train, i, several(.5));
    EXPECT_EQ(one.source, many.source);
    if (one.boxes.size() != many.boxes.size() || one.boxes.size() > 1) continue;
    EXPECT_EQ(one.image.pixels, many.image.pixels);
    ++compared;
  }
  EXPECT_GE(compared, 15);
}

TEST(ScenesOfSeveralLabels, HaveNoVariants) {
  SceneOptions options = several();
  options.variant = SceneVariant::only_fg;
  EXPECT_THROW(Scenes(1, 5, ScenesSplit::test_in, options), Error);
}

TEST(Scenes, DescribesItself) {
  EXPECT_EQ(Scenes(4, 20, ScenesSplit::train).describe(),
            "scenes: 20 procedural images of 96x96 (train, context correlation 1, seed 4)");
  EXPECT_NE(Scenes(4, 20, ScenesSplit::test_out).describe().find("out of context"), std::string::npos);
}

TEST(Scenes, RejectsBadArguments) {
  SceneOptions options;
  options.image_size = 31;
  EXPECT_THROW(Scenes(1, 1, ScenesSplit::train, options), Error);
  options.image_size = 1025;
  EXPECT_THROW(draw_scene(1, ScenesSplit::train, 0, options), Error);
  for (const double correlation : {-.1, 1.1, std::numeric_limits<double>::quiet_NaN()})
    EXPECT_THROW(Scenes(1, 1, ScenesSplit::train, small(correlation)), Error);
  EXPECT_THROW(Scenes(1, -1, ScenesSplit::train), Error);
  EXPECT_THROW(draw_scene(1, ScenesSplit::train, -1), Error);
  EXPECT_THROW(draw_scene(1, ScenesSplit::train, int64_t{1} << 32), Error);
  const Scenes scenes(1, 5, ScenesSplit::train);
  EXPECT_THROW(scenes.load(5), Error);
  EXPECT_THROW(scenes.label(-1), Error);
}

TEST(Canvas, CoverageIsExact) {
  // Every polygon adds its exact area, wherever it lies against the pixel grid; parts outside are cut off.
  const std::vector<std::pair<Polygon, double>> cases{
      {rectangle(.13, .21, .37, .86), .24 * .65},
      {{{.1, .1}, {.9, .3}, {.2, .7}}, .23},
      {{{.2, .7}, {.9, .3}, {.1, .1}}, .23},                      // the other way round
      {{{.1, .1}, {.9, .1}, {.5, .3}, {.9, .9}, {.1, .9}}, .48},  // concave
      {rectangle(-.5, -.5, .25, 2), .25},
      {rectangle(.75, .5, 3, 1.5), .125},
      {rectangle(1.2, .1, 1.5, .9), 0},
      {rectangle(-3, .1, -1, .9), 0},
      {rectangle(.501, .1, .502, .9), .0008}};
  for (const int size : {8, 33}) {
    Canvas canvas(size);
    for (const auto& [polygon, expected] : cases) {
      canvas.fill(rectangle(0, 0, 1, 1), Colour{0, 0, 0});
      canvas.fill(polygon, Colour{1, 1, 1});
      EXPECT_NEAR(canvas.mean(0, 0, 1, 1).g, expected, 1e-9);
    }
  }
}

// Runs are named after the identities of their data, so options that came later must change neither those nor a
// picture where they are not used. The sums of the bytes leave room for another math library's last bits.
TEST(Scenes, AreWhatTheyWereBeforeThereWereVariants) {
  struct Known {
    ScenesSplit split;
    const char* identity;
    std::array<int64_t, 4> sums;
  };
  const std::array<Known, 4> known{{{ScenesSplit::train,
                                     "09495d60964b77c630c9af882d6b56965e0cb05673aa8f5fb4c05ca4427e20e4",
                                     {3892447, 6213789, 2204151, 2769703}},
                                    {ScenesSplit::validation,
                                     "235a3a814a5d77326709996ad7220cb11cabe59fda6578b3c9face289779b769",
                                     {3281441, 3359879, 3859406, 3321736}},
                                    {ScenesSplit::test_in,
                                     "e887891f2f8b85ca7afb2c01566365158560597a55412147ebfe080b1821fcd2",
                                     {3129650, 3862209, 2987631, 3138131}},
                                    {ScenesSplit::test_out,
                                     "b223466e4ba4d8ecaf190b834df72b3276526a605f0c8e5908f3d64e88eeef24",
                                     {2189387, 3499738, 3143303, 3712265}}}};
  for (const Known& k : known) {
    EXPECT_EQ(Scenes(3, 50, k.split).identity(), k.identity);
    for (size_t i = 0; i < k.sums.size(); ++i) {
      const std::vector<uint8_t> pixels = draw_scene(3, k.split, static_cast<int64_t>(i)).image.pixels;
      EXPECT_NEAR(std::accumulate(pixels.begin(), pixels.end(), int64_t{0}), k.sums[i], 20);
    }
  }
}

TEST(Scenes, IdentityChangesWithEveryOption) {
  const Scenes scenes(1, 10, ScenesSplit::train);
  EXPECT_EQ(scenes.identity(), Scenes(1, 10, ScenesSplit::train).identity());
  EXPECT_EQ(scenes.identity().size(), 64u);
  std::set<std::string> others = {scenes.identity(), Scenes(2, 10, ScenesSplit::train).identity(),
                                  Scenes(1, 11, ScenesSplit::train).identity(),
                                  Scenes(1, 10, ScenesSplit::validation).identity()};
  for (const SceneOptions& options :
       {SceneOptions{.image_size = 64}, SceneOptions{.context_correlation = 0.5}, SceneOptions{.objects = false},
        SceneOptions{.camera = false}, SceneOptions{.variant = SceneVariant::only_fg},
        SceneOptions{.variant = SceneVariant::mixed_rand}, SceneOptions{.set = SceneSet::car_motorbike_person},
        SceneOptions{.level = SceneLevel::hard}, SceneOptions{.task = Task::multi_label}})
    others.insert(Scenes(1, 10, ScenesSplit::train, options).identity());
  EXPECT_EQ(others.size(), 13u);
}

}  // namespace
}  // namespace boxcam
