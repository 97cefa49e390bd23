#include "xai/cam_metrics.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>

#include "engine/base/parallel.h"
#include "engine/base/random.h"
#include "engine/base/text.h"
#include "xai/metric_estimates.h"
#include "xai/perturbation.h"

namespace boxcam {

Maps::Maps(const Tensor& cam)
    : images_(cam.dim(0)), height_(cam.dim(1)), width_(cam.dim(2)), values_(cam.detach().to_vector()), mass_(images_) {
  for (int64_t n = 0; n < images_; ++n) {
    const double* const values = map(n).data();
    double low = INFINITY, high = -INFINITY;
    int64_t no_numbers = 0;
#pragma omp simd reduction(min : low) reduction(max : high) reduction(+ : no_numbers)
    for (int64_t i = 0; i < pixels(); ++i) {
      low = values[i] < low ? values[i] : low;
      high = values[i] > high ? values[i] : high;
      no_numbers += !std::isfinite(values[i]);
    }
    low_.push_back(no_numbers == 0 ? low : NAN);
    high_.push_back(no_numbers == 0 ? high : NAN);
  }
}

namespace {
Maps::Mass mass_in(std::span<const double> of_map, std::span<const char> of_mask) {
  const double* const map = of_map.data();
  const char* const mask = of_mask.data();
  double inside = 0, total = 0;
#pragma omp simd reduction(+ : inside, total)
  for (size_t i = 0; i < of_map.size(); ++i) {
    const double value = map[i] > 0 ? map[i] : 0;
    total += value;
    inside += mask[i] ? value : 0;
  }
  return {inside, total};
}
}  // namespace

const Maps::Mass& Maps::mass(int64_t n, const MetricGround& ground) const {
  if (!mass_[n]) mass_[n] = mass_in(map(n), ground.mask(n));
  return *mass_[n];
}

std::vector<int32_t> Maps::order(int64_t n) const {
  const auto values = map(n);
  std::vector<int32_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](int32_t a, int32_t b) { return values[a] > values[b] || (values[a] == values[b] && a < b); });
  return order;
}

MetricGround::MetricGround(const Tensor& masks, MetricPictures pictures)
    : images_(masks.dim(0)),
      height_(masks.dim(1)),
      width_(masks.dim(2)),
      pixels_(height_ * width_),
      near_(images_),
      noise_(images_),
      pictures_(std::move(pictures)) {
  const std::vector<double> values = masks.to_vector();
  masks_.assign(values.size(), 0);
  for (size_t i = 0; i < values.size(); ++i) masks_[i] = values[i] > 0.5;
  for (int64_t n = 0; n < images_; ++n) box_pixels_.push_back(std::count(mask(n).begin(), mask(n).end(), 1));
}

std::span<const char> MetricGround::near(int64_t n) {
  std::vector<char>& near = near_[n];
  if (!near.empty()) return near;
  constexpr int reach = kPointingPixels;
  // First how far the nearest box pixel of the same row is, then the nearest over rows.
  std::vector<int> aside(pixels_, reach);
  std::vector<bool> boxed(height_);
  for (int64_t y = 0; y < height_; ++y) {
    int* const row = &aside[y * width_];
    const auto box = mask(n).subspan(y * width_, width_);
    if (std::find(box.begin(), box.end(), 1) == box.end()) continue;
    boxed[y] = true;
    for (int64_t x = 0, last = -reach; x < width_; ++x) {
      if (box[x]) last = x;
      row[x] = static_cast<int>(std::min<int64_t>(reach, x - last));
    }
    for (int64_t x = width_ - 1, last = width_ + reach; x >= 0; --x) {
      if (box[x]) last = x;
      row[x] = static_cast<int>(std::min<int64_t>(row[x], last - x));
    }
  }
  near.assign(pixels_, 0);
  for (int64_t y = 0; y < height_; ++y)
    for (int64_t from = std::max<int64_t>(0, y - reach + 1); from < std::min(height_, y + reach); ++from) {
      if (!boxed[from]) continue;
      const int square = static_cast<int>((from - y) * (from - y));
      const int* const row = &aside[from * width_];
      char* const out = &near[y * width_];
      for (int64_t x = 0; x < width_; ++x) out[x] |= square + row[x] * row[x] < reach * reach;
    }
  return near;
}

std::span<const float> MetricGround::noise(int64_t n) {
  std::vector<float>& noise = noise_[n];
  if (noise.empty()) {
    Random random(pictures_.seed, stream_of(str("road noise, image ", pictures_.indices[n])));
    noise.resize(pictures_.x.numel() / images_);
    for (float& v : noise) v = static_cast<float>(pictures_.noise * random.normal());
  }
  return noise;
}

namespace {

// ---- of a map and its boxes -----------------------------------------------------------------------------------------

/// Fills the fields of one image, whose map is not flat and which has a box.
using OfImage = void (*)(const Maps&, const MetricGround&, int64_t n, double* out);

template <OfImage of_image>
bool each(Maps& maps, MetricGround& ground, const std::vector<CamMetric::Row>& rows) {
  parallel_for(static_cast<int64_t>(rows.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) of_image(maps, ground, rows[i].image, rows[i].out);
  });
  return true;
}

// Fields: inside, total, their ratio, the box's share of the picture.
void content_heatmap(const Maps& maps, const MetricGround& ground, int64_t n, double* out) {
  const auto [inside, total] = maps.mass(n, ground);
  out[0] = inside, out[1] = total, out[2] = inside / total, out[3] = ground.area(n);
}

void epg(const Maps& maps, const MetricGround& ground, int64_t n, double* out) {
  const auto [inside, total] = maps.mass(n, ground);
  out[0] = inside / total, out[1] = ground.area(n);
}

void epg_above_chance(const Maps& maps, const MetricGround& ground, int64_t n, double* out) {
  const auto [inside, total] = maps.mass(n, ground);
  out[0] = inside / total - ground.area(n), out[1] = 0;
}

constexpr int kIouThresholds = 20;  // 0, 0.05, ... 0.95 of the map's range

double intersection_over_union(double both, double marked, double box) { return both / (marked + box - both); }

// Fields: IoU at half the range, what as many pixels at random places get, the box's share, IoU at every threshold.
void iou(const Maps& maps, const MetricGround& ground, int64_t n, double* out) {
  const auto pixels = static_cast<size_t>(maps.pixels());
  const double* const map = maps.map(n).data();
  const char* const mask = ground.mask(n).data();
  const double low = maps.low(n), scale = 1 / (maps.high(n) - low);
  std::vector<unsigned char> of_pixels(pixels);  // how many thresholds one is above; in the boxes 32 more
  unsigned char* const above = of_pixels.data();
  for (size_t i = 0; i < pixels; ++i) {
    const double steps = (map[i] - low) * scale * kIouThresholds;
    const int whole = static_cast<int>(steps);
    above[i] = static_cast<unsigned char>(std::min(whole + (steps > whole), kIouThresholds) + 32 * mask[i]);
  }
  int64_t counts[4][64] = {};  // four, since an increment waits for the one before it of the same number
  for (size_t i = 0; i < pixels; ++i) ++counts[i % 4][above[i]];
  const auto count = [&](int number) {
    return counts[0][number] + counts[1][number] + counts[2][number] + counts[3][number];
  };
  const double box = static_cast<double>(ground.box_pixels(n)), area = ground.area(n);
  out[2] = area;
  double marked = 0, both = 0;
  for (int t = kIouThresholds; t > 0; --t) {  // above threshold t - 1 is what is above t or more of them
    const auto inside = static_cast<double>(count(32 + t));
    marked += static_cast<double>(count(t)) + inside, both += inside;
    out[2 + t] = intersection_over_union(both, marked, box);
    if (2 * (t - 1) == kIouThresholds) {
      out[0] = out[2 + t];
      out[1] = intersection_over_union(marked * area, marked, box);
    }
  }
}

void pointing_at(const Maps& maps, std::span<const char> near, int64_t n, double* out) {
  const auto map = maps.map(n);
  const auto point = std::find(map.begin(), map.end(), maps.high(n)) - map.begin();  // the first
  out[0] = near[point];
  out[1] = static_cast<double>(std::count(near.begin(), near.end(), 1)) / static_cast<double>(near.size());
}

void stochastic_pointing_at(const Maps& maps, std::span<const char> near, int64_t n, double* out) {
  const auto [inside, total] = mass_in(maps.map(n), near);
  out[0] = inside / total;
  out[1] = static_cast<double>(std::count(near.begin(), near.end(), 1)) / static_cast<double>(near.size());
}

template <void (*of_image)(const Maps&, std::span<const char>, int64_t, double*)>
bool each_near(Maps& maps, MetricGround& ground, const std::vector<CamMetric::Row>& rows) {
  for (const auto& [n, out] : rows) of_image(maps, ground.near(n), n, out);
  return true;
}

// Of pixels with the value at which the box's number of pixels is reached, as many as are still needed count in
// expectation, so that no order of equal pixels decides. Only the part of the map's range with that value is sorted.
void rank_accuracy(const Maps& maps, const MetricGround& ground, int64_t n, double* out) {
  constexpr int kParts = 4096;
  const auto pixels = static_cast<size_t>(maps.pixels());
  const double* const map = maps.map(n).data();
  const char* const mask = ground.mask(n).data();
  const double low = maps.low(n), scale = (kParts - 1) / (maps.high(n) - low);
  std::vector<int16_t> of_pixels(pixels);
  int16_t* const parts = of_pixels.data();
  if (std::isfinite(scale))  // of a range near the least number there is one part
    for (size_t i = 0; i < pixels; ++i) parts[i] = static_cast<int16_t>((map[i] - low) * scale);
  int32_t counts[kParts] = {};
  for (size_t i = 0; i < pixels; ++i) ++counts[parts[i]];
  int64_t left = ground.box_pixels(n);
  int16_t at = kParts - 1;
  for (; counts[at] < left; --at) left -= counts[at];
  int32_t inside = 0;
  for (size_t i = 0; i < pixels; ++i) inside += (parts[i] > at) & mask[i];
  std::vector<std::pair<double, char>> part;
  part.reserve(counts[at]);
  for (size_t i = 0; i < pixels; ++i)
    if (parts[i] == at) part.emplace_back(map[i], mask[i]);
  std::nth_element(part.begin(), part.begin() + (left - 1), part.end(), std::greater<>());
  const double value = part[left - 1].first;
  double equal = 0, equal_inside = 0;
  for (const auto& [of_pixel, in_box] : part)
    if (of_pixel > value)
      inside += in_box, --left;
    else if (of_pixel == value)
      equal += 1, equal_inside += in_box;
  out[0] = (inside + static_cast<double>(left) * equal_inside / equal) / static_cast<double>(ground.box_pixels(n));
  out[1] = ground.area(n);
}

void coverage(const Maps& maps, const MetricGround& ground, int64_t n, double* out) {
  const auto pixels = static_cast<size_t>(maps.pixels());
  const double* const map = maps.map(n).data();
  const char* const mask = ground.mask(n).data();
  int64_t covered = 0, all = 0;
  for (size_t i = 0; i < pixels; ++i) all += map[i] > 0.5, covered += (map[i] > 0.5) & mask[i];
  out[0] = static_cast<double>(covered) / static_cast<double>(ground.box_pixels(n));
  out[1] = static_cast<double>(all) / static_cast<double>(pixels);
}

// ---- of many images -------------------------------------------------------------------------------------------------

double mean_of(const double* sums, double count) { return count > 0 ? sums[0] / count : NAN; }

double ratio_of(const double* sums, double) { return sums[1] > 0 ? sums[0] / sums[1] : NAN; }

/// At the one threshold that is best for these images.
double best_iou_of(const double* sums, double count) {
  return count > 0 ? *std::max_element(sums, sums + kIouThresholds) / count : NAN;
}

}  // namespace

const std::vector<CamMetric>& cam_metrics() {
  static const std::vector<CamMetric> list = {
      {"content-heatmap",
       "CH",
       "CAM mass in the boxes / CAM mass, over batches, the split, or by image",
       true,
       false,
       4,
       {{"content-heatmap.batch", true, 0, ratio_of, 3, true},  // the thesis'
        {"content-heatmap.pooled", true, 0, ratio_of, 3},
        {"content-heatmap.image-mean", true, 2, mean_of, 3}},
       each<content_heatmap>},
      {"epg", "EPG", "the same of each image", true, false, 2, {{"epg", true, 0, mean_of, 1}}, each<epg>},
      {"epg-above-chance",
       "EPG+",
       "epg minus the boxes' share of the picture",
       true,
       false,
       2,
       {{"epg-above-chance", true, 0, mean_of, 1}},
       each<epg_above_chance>},
      {"iou",
       "IoU",
       "of the boxes with what is above half of the map's range; best: above the split's best threshold",
       true,
       false,
       3 + kIouThresholds,
       {{"iou", true, 0, mean_of, 1}, {"iou.best", true, 3, best_iou_of, 2}},
       each<iou>},
      {"pointing",
       "PG",
       "whether the maximum lies less than 15 pixels from a box",
       true,
       false,
       2,
       {{"pointing", true, 0, mean_of, 1}},
       each_near<pointing_at>},
      {"stochastic-pointing",
       "SPG",
       "the same of a point drawn from the map, in expectation",
       true,
       false,
       2,
       {{"stochastic-pointing", true, 0, mean_of, 1}},
       each_near<stochastic_pointing_at>},
      {"rank-accuracy",
       "RRA",
       "share of the greatest pixels, as many as the boxes have, in the boxes",
       true,
       false,
       2,
       {{"rank-accuracy", true, 0, mean_of, 1}},
       each<rank_accuracy>},
      {"coverage",
       "cov",
       "share of the boxes' pixels where the CAM exceeds 0.5",
       true,
       false,
       2,
       {{"coverage", true, 0, mean_of, 1}},
       each<coverage>},
      {"insertion",
       "ins",
       "area under the probability while the greatest pixels are put back first",
       false,
       true,
       2,
       {{"insertion.rise", true, 0, mean_of}, {"insertion.torch-cam", true, 1, mean_of}},
       insertion},
      {"deletion",
       "del",
       "the same while they are taken away",
       false,
       true,
       2,
       {{"deletion.rise", false, 0, mean_of}, {"deletion.torch-cam", false, 1, mean_of}},
       deletion},
      {"drop",
       "drop",
       "max(0, y - y') / y with y' the probability in x C",
       false,
       true,
       2,
       {{"drop", false, 0, mean_of}, {"drop.undivided", false, 1, mean_of}},
       drop},
      {"increase", "inc", "whether y' > y", false, true, 1, {{"increase", true, 0, mean_of}}, increase},
      {"road",
       "ROAD",
       "(LeRF - MoRF) / 2 of the probability when pixels are imputed, by rank",
       false,
       true,
       4,
       {{"road", true, 0, mean_of, 3}, {"road.morf", false, 1, mean_of}, {"road.lerf", true, 2, mean_of}},
       road},
      {"road-pgc",
       "ROAD-pgc",
       "the same by percentiles of the values, as pytorch-grad-cam",
       false,
       true,
       4,
       {{"road-pgc", true, 0, mean_of, 3}, {"road-pgc.morf", false, 1, mean_of}, {"road-pgc.lerf", true, 2, mean_of}},
       road_pgc},
  };
  return list;
}

const CamMetric& cam_metric(const std::string& name) {
  std::vector<std::string> names;
  for (const CamMetric& m : cam_metrics()) {
    if (m.name == name) return m;
    names.push_back(m.name);
  }
  fail("unknown metric '", name, "'", did_you_mean(name, names));
}

bool measure(const CamMetric& metric, Maps& maps, MetricGround& ground, MetricScores& scores) {
  check(maps.size() == ground.size() && (maps.size() == 0 || maps.pixels() == std::ssize(ground.mask(0))), metric.name,
        ": the maps do not fit what they are measured against");
  check(!metric.passes || ground.pictures().logits, metric.name, ": expected the pictures, and a network to show them");
  std::vector<double> values(maps.size() * metric.fields, NAN);
  std::vector<MetricState> states(maps.size(), MetricState::scored);
  std::vector<CamMetric::Row> rows;
  for (int64_t n = 0; n < maps.size(); ++n)
    if (metric.boxes && !ground.boxed(n))
      states[n] = MetricState::unboxed;
    else if (maps.flat(n))
      states[n] = MetricState::undefined;
    else
      rows.push_back({n, &values[n * metric.fields]});
  if (!metric.measure(maps, ground, rows)) return false;
  for (const auto& [n, out] : rows)
    if (std::isnan(out[0])) states[n] = MetricState::undefined;
  scores.fields = metric.fields;
  scores.values.insert(scores.values.end(), values.begin(), values.end());
  scores.states.insert(scores.states.end(), states.begin(), states.end());
  return true;
}

std::string metric_caption(const std::vector<const CamMetric*>& metrics, const Tensor& cam, MetricGround& ground) {
  Maps maps(cam);
  std::string caption;
  for (const CamMetric* metric : metrics) {
    MetricScores scores;
    measure(*metric, maps, ground, scores);
    const std::vector<int32_t> images(scores.size(), 0);  // none where it was stopped
    const double value = estimate({{metric, &scores}}, images, 1, {.samples = 0})[0][0].value;
    char text[32] = "-";
    const bool percent = std::string(metric->name) == "content-heatmap";  // as everywhere on the terminal
    if (!std::isnan(value)) std::snprintf(text, sizeof text, percent ? "%.1f" : "%.2f", percent ? 100 * value : value);
    caption += str(caption.empty() ? "" : " ", metric->label, " ", text);
  }
  return caption;
}

}  // namespace boxcam
