// Procedural scenes: planes, ships and cars over sky, sea and road, or cars, motorbikes and persons. Image i is a pure
// function of (seed, split, i, options), at any size and in any number, and its boxes are exact.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "nn/data/dataset.h"

namespace boxcam {

/// The classes that are drawn together, each with the ground that it belongs on: planes in the sky, ships on the sea,
/// cars on the road; or, nearer to each other, cars on the road, motorbikes on a dirt track, persons in a park.
enum class SceneSet { plane_ship_car, car_motorbike_person };

/// The names of a set's classes in the order of their labels, without "none".
const std::vector<std::string>& classes_of(SceneSet set);

/// How hard: plain; or small objects (1.2 % to 6 % of the picture) that are in part hidden, among things of no class in
/// the same colours, and in training and validation nearer the centre than in the tests.
enum class SceneLevel { plain, hard };

/// Each split draws from its own stream of the seed.
/// train and validation follow SceneOptions::context_correlation, test_in never leaves the usual context, test_out
/// always does. "none" (a background with its distractors only) is spread evenly over the backgrounds in every split.
enum class ScenesSplit { train, validation, test_in, test_out };

/// What is shown of a picture with objects, after the variants of ImageNet-9 (Xiao et al., ICLR 2021): all of it; the
/// objects on black; all but the objects, which are black; the ground with the boxes black, or tiled with the largest
/// rectangle of ground; the same objects painted over the ground of another picture of the split: of one with the same
/// class, with a class drawn at random, or with the next class. The first and the last three have boxes.
enum class SceneVariant { whole, only_fg, no_fg, only_bg_b, only_bg_t, mixed_same, mixed_rand, mixed_next };

/// The variants' names, "only-fg" and so on, in the enum's order but for `whole`.
const std::vector<std::pair<std::string, SceneVariant>>& scene_variants();

struct SceneOptions {
  int image_size = 96;             ///< pixels, 32 to 1024; the same scene at every size, but for the noise
  double context_correlation = 1;  ///< the share in [0, 1] of training objects in their usual context
  bool objects = true;             ///< false: the same background, and no boxes
  bool camera = true;              ///< false: without exposure, colour cast and noise
  SceneVariant variant = SceneVariant::whole;
  SceneSet set = SceneSet::plane_ship_car;
  SceneLevel level = SceneLevel::plain;
  /// Several labels: each object of a picture is of another class, and of one of them it has the usual ground or not.
  Task task = Task::single_label;
};

/// Draws image `index` (>= 0, below 2^32). The label is that of the set's class, 3 none; the boxes are the tight
/// bounds of the drawn objects, hidden parts included, all inside the image and apart from each other; `id` is the
/// index, `source` is "sky", "sea", "road", "track" or "park", of what ground there is in the picture. Throws Error
/// when the index or an option is out of range, and for a variant of a picture of "none", or of one of several labels.
/// Of several labels there are as many pictures with one, two and three objects; the label is the class that the ground
/// goes by, or -1, and "none" is no class.
Sample draw_scene(uint64_t seed, ScenesSplit split, int64_t index, const SceneOptions& options = {});

/// The first `count` pictures of a split; of a variant those of them with objects.
class Scenes : public Dataset {
 public:
  /// Throws Error when `count` is not in [0, 2^32) or an option is out of range.
  Scenes(uint64_t seed, int64_t count, ScenesSplit split, const SceneOptions& options = {});

  int64_t size() const override;
  Sample load(int64_t index) const override;
  int64_t label(int64_t index) const override;               ///< without drawing
  std::vector<int32_t> shown(int64_t index) const override;  ///< this, too, but of several labels
  const std::vector<std::string>& classes() const override;
  std::string describe() const override;
  std::string content() const override { return describe(); }  // it lies nowhere
  std::string identity() const override;

 private:
  int64_t picture(int64_t index) const;  // its number in the split

  uint64_t seed_;
  int64_t count_;
  ScenesSplit split_;
  SceneOptions options_;
  std::vector<std::string> classes_;
  std::vector<int64_t> shown_;  // of a variant
};

}  // namespace boxcam
