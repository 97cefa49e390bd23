// Metrics of maps: one function for each, and a table of them by name. A metric gives every image a few numbers, its
// fields; its columns say how those of a set of images become one number (xai/metric_estimates.h does it, with
// intervals). A map that is empty or flat says nothing about where: it is undefined, and counted, in every metric.
//
//   MetricGround ground(masks);                       // of a batch, for every explainer's maps of it
//   Maps maps(explanation.cam);
//   MetricScores scores;
//   measure(cam_metric("epg"), maps, ground, scores);
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/tensor.h"

namespace boxcam {

/// A hit of the pointing game is less than this many pixels of the network's input away from a box (TorchRay).
inline constexpr int kPointingPixels = 15;

class MetricGround;

/// The maps of a batch on the host: [N, H, W], any floating type.
class Maps {
 public:
  explicit Maps(const Tensor& cam);

  int64_t size() const { return images_; }
  int64_t height() const { return height_; }
  int64_t width() const { return width_; }
  int64_t pixels() const { return height_ * width_; }
  std::span<const double> map(int64_t n) const { return std::span(values_).subspan(n * pixels(), pixels()); }
  /// Whether it is the same everywhere (but for less than the least normal number), as an empty map is, or holds what
  /// is no finite number.
  bool flat(int64_t n) const { return !(high_[n] - low_[n] >= std::numeric_limits<double>::min()); }
  double low(int64_t n) const { return low_[n]; }
  double high(int64_t n) const { return high_[n]; }
  /// Pixels from the greatest value to the least, equal ones row by row.
  std::vector<int32_t> order(int64_t n) const;

  /// Of values above 0, in the boxes and in all. Kept: measured against one ground.
  struct Mass {
    double inside, total;
  };
  const Mass& mass(int64_t n, const MetricGround& ground) const;

  /// Probability of the explained class in x C, once a metric has asked for it; else empty.
  std::vector<double> masked_scores;

 private:
  int64_t images_, height_, width_;
  std::vector<double> values_, low_, high_;
  mutable std::vector<std::optional<Mass>> mass_;
};

/// What metrics that change pictures need besides maps and boxes.
struct MetricPictures {
  Tensor x;                                       ///< [N, H, W, 3], f32 or f64: the network's input
  std::vector<int32_t> classes;                   ///< [N]: which are explained
  std::vector<double> scores;                     ///< [N]: softmax probability of that class in x
  std::vector<int64_t> indices;                   ///< [N]: in the data set; noise is a function of seed and index
  std::function<Tensor(const Tensor& x)> logits;  ///< of pictures [M, H, W, 3]
  int64_t batch = 32;                             ///< M at most
  uint64_t seed = 0;
  double noise = 0.01;           ///< of ROAD, standard deviation
  std::function<bool()> stop{};  ///< asked between passes
};

/// What the maps of a batch are measured against.
class MetricGround {
 public:
  /// masks: B [N, H, W]. Without pictures the metrics that change them cannot be asked for.
  explicit MetricGround(const Tensor& masks, MetricPictures pictures = {});

  int64_t size() const { return images_; }
  std::span<const char> mask(int64_t n) const { return std::span(masks_).subspan(n * pixels_, pixels_); }
  bool boxed(int64_t n) const { return box_pixels_[n] > 0; }
  int64_t box_pixels(int64_t n) const { return box_pixels_[n]; }
  double area(int64_t n) const { return static_cast<double>(box_pixels_[n]) / static_cast<double>(pixels_); }
  /// Where a point counts as a hit: less than kPointingPixels from a box.
  std::span<const char> near(int64_t n);
  const MetricPictures& pictures() const { return pictures_; }
  /// Of ROAD, for each value of picture n: the same for every map, threshold and order.
  std::span<const float> noise(int64_t n);

 private:
  int64_t images_, height_, width_, pixels_;
  std::vector<char> masks_;
  std::vector<int64_t> box_pixels_;
  std::vector<std::vector<char>> near_;
  std::vector<std::vector<float>> noise_;
  MetricPictures pictures_;
};

enum class MetricState : char {
  scored,
  undefined,  ///< the map is empty or flat, or the metric has no value for it
  unboxed,    ///< the metric needs a box, and the image has none
};

/// What a metric made of images, in the order in which they came.
struct MetricScores {
  int fields = 0;
  std::vector<double> values;  ///< `fields` for each image; NaN where it was not scored
  std::vector<MetricState> states;

  int64_t size() const { return static_cast<int64_t>(states.size()); }
  double field(int64_t image, int which) const { return values[image * fields + which]; }
};

/// A number of a table, made of sums over images (xai/metric_estimates.h).
struct MetricColumn {
  std::string name;  ///< "iou", "iou.best"
  bool higher;       ///< whether more is better
  int field;         ///< the first that `of` reads
  /// Of the sums of `field` and the fields after it over the images that were scored, and of how many those are; NaN
  /// where that is nothing.
  double (*of)(const double* sums, double count);
  int chance = -1;       ///< the field whose mean is what a map gets that does not know the place; -1: no closed form
  bool batches = false;  ///< the mean of `of` over batches of images, weighted by their sizes
};

struct CamMetric {
  /// Fills out[0] to out[fields - 1] of the images at `out`, by number; NaN: undefined. False when it was stopped.
  struct Row {
    int64_t image;
    double* out;
  };
  using Measure = bool (*)(Maps&, MetricGround&, const std::vector<Row>&);

  const char* name;
  const char* label;    ///< a few letters, for captions
  const char* formula;  ///< for help
  bool boxes;           ///< whether it is measured against boxes
  bool passes;          ///< whether it needs forward passes of its own
  int fields;
  std::vector<MetricColumn> columns;  ///< the most telling one first
  Measure measure;
};

const std::vector<CamMetric>& cam_metrics();
/// Throws Error naming the nearest, for a name that is none.
const CamMetric& cam_metric(const std::string& name);

/// Appends the scores of a batch's maps. False when it was stopped: then nothing is appended. Throws Error where maps
/// and ground do not fit, and for a metric with passes on a ground without pictures.
bool measure(const CamMetric& metric, Maps& maps, MetricGround& ground, MetricScores& scores);

/// What to write under a picture: "CH 91.2 EPG 0.91", "CH - EPG -" where they are undefined. cam [1, H, W].
std::string metric_caption(const std::vector<const CamMetric*>& metrics, const Tensor& cam, MetricGround& ground);

}  // namespace boxcam
