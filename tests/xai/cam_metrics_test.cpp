// The metrics of maps against values by hand, and what they make of maps that say nothing.
#include "xai/cam_metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "engine/base/random.h"
#include "engine/ops.h"
#include "xai/boxes.h"
#include "xai/metric_estimates.h"
#include "xai/metrics.h"
#include "xai/perturbation.h"

namespace boxcam {
namespace {

using Values = std::vector<double>;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

/// The columns of a metric for images with these maps and masks, by name.
std::map<std::string, MetricEstimate> columns_of(const std::string& name, const Tensor& cam, const Tensor& mask,
                                                 int64_t batch = 1, MetricPictures pictures = {}) {
  Maps maps(cam);
  MetricGround ground(mask, std::move(pictures));
  MetricScores scores;
  const CamMetric& metric = cam_metric(name);
  EXPECT_TRUE(measure(metric, maps, ground, scores));
  std::vector<int32_t> images;
  for (int64_t n = 0; n < maps.size(); ++n) images.push_back(static_cast<int32_t>(n));
  const auto estimates = estimate({{&metric, &scores}}, images, batch, {.samples = 20});
  std::map<std::string, MetricEstimate> result;
  for (size_t c = 0; c < metric.columns.size(); ++c) result[metric.columns[c].name] = estimates[0][c];
  return result;
}

// A map of 2 x 4, whose box covers the left half. Inside: 1, 0.6, 0.2, 0.2 of 2.5.
const Tensor kCam = Tensor::from({1, 2, 4}, Values{1, 0.2, 0.4, 0, 0.6, 0.2, 0.1, 0});
const Tensor kMask = Tensor::from({1, 2, 4}, Values{1, 1, 0, 0, 1, 1, 0, 0});

TEST(CamMetrics, ByHand) {
  const auto value = [](const std::string& name, const std::string& column) {
    return columns_of(name, kCam, kMask).at(column);
  };
  for (const char* column : {"content-heatmap.batch", "content-heatmap.pooled", "content-heatmap.image-mean"}) {
    EXPECT_NEAR(value("content-heatmap", column).value, 0.8, 1e-15);
    EXPECT_EQ(value("content-heatmap", column).chance, 0.5);
  }
  EXPECT_NEAR(value("epg", "epg").value, 0.8, 1e-15);
  EXPECT_NEAR(value("epg-above-chance", "epg-above-chance").value, 0.3, 1e-15);
  EXPECT_EQ(value("epg-above-chance", "epg-above-chance").chance, 0);
  // Above a half: 1 and 0.6. Best: above 0.15, which leaves 1, 0.2, 0.6, 0.2 and, outside, 0.4.
  EXPECT_NEAR(value("iou", "iou").value, 2.0 / 4, 1e-15);
  EXPECT_NEAR(value("iou", "iou").chance, 1.0 / (2 + 4 - 1), 1e-15);
  EXPECT_NEAR(value("iou", "iou.best").value, 4.0 / 5, 1e-15);
  EXPECT_EQ(value("iou", "iou.best").chance, 0.5);
  // The four greatest are 1, 0.6, 0.4 and one of the two 0.2, both inside.
  EXPECT_NEAR(value("rank-accuracy", "rank-accuracy").value, 3.0 / 4, 1e-15);
  EXPECT_NEAR(value("coverage", "coverage").value, 2.0 / 4, 1e-15);
  EXPECT_NEAR(value("coverage", "coverage").chance, 2.0 / 8, 1e-15);
}

TEST(CamMetrics, EqualValuesCountInExpectation) {
  // The box has three pixels; after 1 come four equal ones, one of them in the box, of which two are needed.
  const Tensor cam = Tensor::from({1, 2, 4}, Values{1, 0.5, 0.5, 0.5, 0.5, 0, 0, 0});
  const Tensor mask = Tensor::from({1, 2, 4}, Values{1, 1, 0, 0, 0, 1, 0, 0});
  EXPECT_NEAR(columns_of("rank-accuracy", cam, mask).at("rank-accuracy").value, (1 + 2 * 0.25) / 3, 1e-15);
}

TEST(CamMetrics, ThePointingGameIsStrictAndRound) {
  const int64_t size = 40;
  const auto hit = [&](int64_t y, int64_t x) {
    Values cam(size * size, 0), mask(size * size, 0);
    cam[y * size + x] = 1;
    mask[0] = 1;
    const Tensor C = Tensor::from({1, size, size}, cam), B = Tensor::from({1, size, size}, mask);
    const double pointing = columns_of("pointing", C, B).at("pointing").value;
    EXPECT_EQ(columns_of("stochastic-pointing", C, B).at("stochastic-pointing").value, pointing);
    return pointing == 1;
  };
  EXPECT_TRUE(hit(0, 14));
  EXPECT_FALSE(hit(0, 15));
  EXPECT_FALSE(hit(15, 0));
  EXPECT_FALSE(hit(9, 12));  // 15 away, exactly
  EXPECT_TRUE(hit(10, 11));
  EXPECT_FALSE(hit(11, 11));
}

TEST(CamMetrics, NearIsEveryPixelLessThanFifteenFromABox) {
  const int64_t height = 37, width = 50;
  const Tensor mask = box_masks({{{20, 5, 23, 9}, {40, 30, 50, 37}}}, height, width, 0);
  MetricGround ground(mask);
  const auto near = ground.near(0), box = ground.mask(0);
  for (int64_t i = 0; i < height * width; ++i) {
    bool expected = false;
    for (int64_t j = 0; j < height * width && !expected; ++j) {
      const int64_t dy = i / width - j / width, dx = i % width - j % width;
      expected = box[j] && dy * dy + dx * dx < 225;
    }
    ASSERT_EQ(near[i] != 0, expected) << i / width << ", " << i % width;
  }
  // Chance is the share of such pixels, and a map drawn from hits as often as its mass lies on them.
  Random random(1);
  Values cam(height * width);
  double inside = 0, total = 0;
  for (int64_t i = 0; i < height * width; ++i) {
    cam[i] = random.uniform();
    total += cam[i], inside += near[i] ? cam[i] : 0;
  }
  const auto seen = columns_of("stochastic-pointing", Tensor::from({1, height, width}, cam), mask);
  EXPECT_NEAR(seen.at("stochastic-pointing").value, inside / total, 1e-12);
  EXPECT_NEAR(seen.at("stochastic-pointing").chance,
              static_cast<double>(std::count(near.begin(), near.end(), 1)) / (height * width), 1e-15);
}

// The three forms as xai/metrics.h takes them of the same batches, unboxed and empty images among them.
TEST(CamMetrics, ContentHeatmapIsThatOfMetrics) {
  Random random(3);
  const int64_t images = 11, batch = 4, size = 6;
  Values cam(images * size * size);
  for (double& v : cam) v = random.uniform();
  std::fill(cam.begin() + 5 * size * size, cam.begin() + 6 * size * size, 0);
  std::vector<std::vector<Box>> boxes;
  for (int64_t n = 0; n < images; ++n)
    boxes.push_back(n == 2 || n == 7 ? std::vector<Box>{} : std::vector<Box>{{0, 0, 1.0 + n % 5, 3}});
  const Tensor C = Tensor::from({images, size, size}, cam), B = box_masks(boxes, size, size, 0, DType::f64);
  Metrics metrics(1);
  for (int64_t begin = 0; begin < images; begin += batch) {
    const int64_t count = std::min(batch, images - begin);
    metrics.add(Tensor::zeros({count, 1}), Tensor::zeros({count}, DType::i32), slice(C, 0, begin, count),
                slice(B, 0, begin, count));
  }
  const auto seen = columns_of("content-heatmap", C, B, batch);
  for (const auto& [column, kind] : {std::pair{"batch", ContentHeatmap::batch},
                                     {"pooled", ContentHeatmap::pooled},
                                     {"image-mean", ContentHeatmap::image_mean}}) {
    const MetricEstimate e = seen.at(str("content-heatmap.", column));
    EXPECT_NEAR(e.value, metrics.content_heatmap(kind), 1e-14) << column;
    EXPECT_EQ(e.scored, 8);
    EXPECT_EQ(e.undefined, 1);
    EXPECT_EQ(e.unboxed, 2);
  }
}

// Ranges that overflow or vanish, and what is no number: a value of [0, 1], or undefined; never a part that is none.
TEST(CamMetrics, OfMapsAtTheEndsOfTheNumbers) {
  const double infinity = std::numeric_limits<double>::infinity(), most = std::numeric_limits<double>::max(),
               least = std::numeric_limits<double>::min();
  const auto of = [](const std::string& name, double low, double high) {
    const Tensor cam = Tensor::from({1, 2, 4}, Values{high, low, low, low, high, low, low, low});
    return columns_of(name, cam, kMask).at(name);
  };
  for (const std::string name : {"iou", "rank-accuracy", "pointing", "coverage"}) {
    for (const auto& [low, high] : {std::pair{0.0, infinity}, {-infinity, 1.0}, {0.0, kNaN}, {0.0, least / 4}})
      EXPECT_EQ(of(name, low, high).undefined, 1) << name << " " << low << " " << high;
    for (const auto& [low, high] : {std::pair{0.0, most}, {-most / 4, most / 2}, {0.0, least}, {least, 3 * least}}) {
      EXPECT_EQ(of(name, low, high).scored, 1) << name << " " << low << " " << high;
      EXPECT_GE(of(name, low, high).value, 0) << name;
      EXPECT_LE(of(name, low, high).value, 1) << name;
    }
  }
  // Two of the four pixels of the box, and then as many of the six others as a third, in expectation.
  for (const auto& [low, high] : {std::pair{0.0, most}, {0.0, least}})
    EXPECT_NEAR(of("rank-accuracy", low, high).value, (2 + 2 * 2.0 / 6) / 4, 1e-15);
}

/// Softmax of these is what a picture "is": squares of the channels' values, pooled, into four classes.
Tensor toy_logits(const Tensor& x) {
  const Tensor W = Tensor::from({3, 4}, Values{1, -1, 0.5, 0, 0, 2, -0.5, 1, -1, 0, 1, 0.5}).to(x.dtype());
  return matmul(global_avg_pool(x * x + x * 0.3), W);
}

double toy_probability(const Tensor& x, int64_t label) { return softmax(toy_logits(x)).to_vector()[label]; }

Tensor toy_x(int64_t images, int64_t height, int64_t width) {
  Random random(17);
  Values values(images * height * width * 3);
  for (double& v : values) v = random.normal();
  return Tensor::from({images, height, width, 3}, values);
}

MetricPictures toy_pictures(const Tensor& x) {
  MetricPictures p{.x = x, .classes = {}, .scores = {}, .indices = {}, .logits = toy_logits, .batch = 7};
  const auto probabilities = softmax(toy_logits(x)).to_vector();
  for (int32_t n = 0; n < x.dim(0); ++n) {
    p.classes.push_back(n % 4);
    p.scores.push_back(probabilities[n * 4 + n % 4]);
    p.indices.push_back(100 + n);
  }
  return p;
}

/// One of pictures made by `pictures`, with its numbers.
MetricPictures only(const MetricPictures& all, int64_t n) {
  MetricPictures one = all;
  one.x = slice(all.x, 0, n, 1);
  one.classes = {all.classes[n]}, one.scores = {all.scores[n]}, one.indices = {all.indices[n]};
  return one;
}

Tensor distinct_maps(int64_t images, int64_t height, int64_t width) {
  Random random(19);
  Values values(images * height * width);
  for (double& v : values) v = random.uniform();
  return Tensor::from({images, height, width}, values);
}

// An empty map, a constant one, and one with NaN say nothing in any metric; a single cell says something in all but
// one.
TEST(EveryCamMetric, CountsMapsThatSayNothing) {
  const int64_t size = 6, pixels = size * size;
  Values cam(5 * pixels);
  std::fill_n(cam.begin() + pixels, pixels, 0.7);
  cam[2 * pixels + 8] = 1;
  cam[3 * pixels] = kNaN;
  const Values drawn = distinct_maps(1, size, size).to_vector();
  std::copy(drawn.begin(), drawn.end(), cam.begin() + 4 * pixels);
  const Tensor C = Tensor::from({5, size, size}, cam);
  const Tensor B = box_masks(std::vector<std::vector<Box>>(5, {{0, 0, 3, 3}}), size, size, 0, DType::f64);
  const Tensor none = Tensor::zeros(B.shape(), DType::f64);
  for (const CamMetric& metric : cam_metrics()) {
    const bool by_value = std::string(metric.name) == "road-pgc";  // most percentiles of a single cell are 0
    for (const auto& [column, e] : columns_of(metric.name, C, B, 5, toy_pictures(toy_x(5, size, size)))) {
      EXPECT_EQ(e.scored, by_value ? 1 : 2) << column;
      EXPECT_EQ(e.undefined, by_value ? 4 : 3) << column;
      EXPECT_TRUE(std::isfinite(e.value)) << column;
    }
    for (const auto& [column, e] : columns_of(metric.name, C, none, 5, toy_pictures(toy_x(5, size, size)))) {
      EXPECT_EQ(e.unboxed, metric.boxes ? 5 : 0) << column;
      EXPECT_EQ(std::isnan(e.value), metric.boxes) << column;
      EXPECT_EQ(std::isnan(e.low), metric.boxes) << column;
    }
  }
}

TEST(EveryCamMetric, OfABatchIsThatOfItsImages) {
  const int64_t images = 5, size = 8;
  const Tensor C = distinct_maps(images, size, size);
  std::vector<std::vector<Box>> boxes;
  for (int64_t n = 0; n < images; ++n) boxes.push_back({{0, 1, 2.0 + n, 5}});
  const Tensor B = box_masks(boxes, size, size, 0, DType::f64);
  const MetricPictures pictures = toy_pictures(toy_x(images, size, size));
  for (const CamMetric& metric : cam_metrics()) {
    Maps maps(C);
    MetricGround ground(B, pictures);
    MetricScores together, apart;
    ASSERT_TRUE(measure(metric, maps, ground, together));
    for (int64_t n = 0; n < images; ++n) {
      Maps one(slice(C, 0, n, 1));
      MetricGround ground_of_one(slice(B, 0, n, 1), only(pictures, n));
      ASSERT_TRUE(measure(metric, one, ground_of_one, apart));
    }
    EXPECT_EQ(together.values, apart.values) << metric.name;
    EXPECT_EQ(together.size(), images);
  }
}

TEST(EveryCamMetric, StopsWhereItIsAskedTo) {
  const Tensor C = distinct_maps(2, 8, 8), B = box_masks({{{0, 0, 3, 3}}, {{1, 1, 4, 4}}}, 8, 8, 0, DType::f64);
  for (const CamMetric& metric : cam_metrics()) {
    if (!metric.passes) continue;
    MetricPictures pictures = toy_pictures(toy_x(2, 8, 8));
    int asked = 0, shown = 0;
    pictures.batch = 1;
    pictures.logits = [&](const Tensor& x) { return ++shown, toy_logits(x); };
    pictures.stop = [&] { return ++asked > 1; };
    Maps maps(C);
    MetricGround ground(B, pictures);
    MetricScores scores;
    EXPECT_FALSE(measure(metric, maps, ground, scores)) << metric.name;
    EXPECT_EQ(scores.size(), 0) << metric.name;
    EXPECT_EQ(shown, 1) << metric.name;
  }
}

TEST(EveryCamMetric, SaysWhatItLacks) {
  Maps maps(kCam);
  MetricGround ground(kMask), other(Tensor::zeros({1, 3, 3}));
  MetricScores scores;
  EXPECT_THROW(measure(cam_metric("epg"), maps, other, scores), Error);
  EXPECT_THROW(measure(cam_metric("insertion"), maps, ground, scores), Error);
  try {
    cam_metric("poiting");
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("'pointing'"), std::string::npos) << e.what();
  }
}

TEST(CamMetrics, ACaptionOfOneMap) {
  MetricGround ground(kMask);
  const std::vector<const CamMetric*> metrics = {&cam_metric("content-heatmap"), &cam_metric("iou")};
  EXPECT_EQ(metric_caption(metrics, kCam, ground), "CH 80.0 IoU 0.50");
  EXPECT_EQ(metric_caption(metrics, Tensor::zeros({1, 2, 4}), ground), "CH - IoU -");
}

// ---- metrics that change the picture --------------------------------------------------------------------------------

TEST(Perturbation, DropAndIncreaseByHand) {
  const Tensor x = toy_x(2, 2, 4), cam = Tensor::from({2, 2, 4}, [] {
                                     Values v = kCam.to_vector(), w = v;
                                     w.insert(w.end(), v.rbegin(), v.rend());
                                     return w;
                                   }());
  const MetricPictures pictures = toy_pictures(x);
  const Tensor masked = x * reshape(cam, {2, 2, 4, 1});
  double divided = 0, undivided = 0, more = 0;
  for (int64_t n = 0; n < 2; ++n) {
    const double before = pictures.scores[n], after = toy_probability(slice(masked, 0, n, 1), pictures.classes[n]);
    undivided += std::max(0.0, before - after) / 2;
    divided += std::max(0.0, before - after) / (before + 1e-7) / 2;
    more += after > before ? 0.5 : 0;
  }
  const Tensor B = Tensor::zeros({2, 2, 4});
  EXPECT_NEAR(columns_of("drop", cam, B, 2, pictures).at("drop").value, divided, 1e-14);
  EXPECT_NEAR(columns_of("drop", cam, B, 2, pictures).at("drop.undivided").value, undivided, 1e-14);
  EXPECT_EQ(columns_of("increase", cam, B, 2, pictures).at("increase").value, more);
}

/// x with the first `count` pixels of `order` from `to`.
Tensor on_the_way(const Tensor& from, const Tensor& to, const std::vector<int>& order, int64_t count) {
  Values values = from.to_vector();
  const Values target = to.to_vector();
  for (int64_t k = 0; k < count; ++k)
    for (int c = 0; c < 3; ++c) values[order[k] * 3 + c] = target[order[k] * 3 + c];
  return Tensor::from(from.shape(), values);
}

TEST(Perturbation, InsertionAndDeletionByHand) {
  const Tensor x = toy_x(1, 2, 4), zeros = Tensor::zeros(x.shape(), DType::f64), blurred = rise_blur(x);
  const MetricPictures pictures = toy_pictures(x);
  const std::vector<int> order = {0, 4, 2, 1, 5, 6, 3, 7};  // of kCam, equal ones row by row
  const auto at = [&](const Tensor& from, const Tensor& to, int64_t count) {
    return toy_probability(on_the_way(from, to, order, count), 0);
  };
  const auto rise = [&](const Tensor& from, const Tensor& to) {  // after 0, 4 and 8 pixels
    return (at(from, to, 0) / 2 + at(from, to, 4) + at(from, to, 8) / 2) / 2;
  };
  const auto torch_cam = [&](const Tensor& from, const Tensor& to) {  // each of the eight pixels is a step
    double area = 0;
    for (int64_t k = 0; k < 8; ++k) area += (at(from, to, k) + at(from, to, k + 1)) / 2 / 8;
    return area;
  };
  const auto insertion = columns_of("insertion", kCam, kMask, 1, pictures);
  const auto deletion = columns_of("deletion", kCam, kMask, 1, pictures);
  EXPECT_NEAR(insertion.at("insertion.rise").value, rise(blurred, x), 1e-14);
  EXPECT_NEAR(insertion.at("insertion.torch-cam").value, torch_cam(zeros, x), 1e-14);
  EXPECT_NEAR(deletion.at("deletion.rise").value, rise(x, zeros), 1e-14);
  EXPECT_NEAR(deletion.at("deletion.torch-cam").value, torch_cam(x, zeros), 1e-14);
}

TEST(Perturbation, TheKernelOfRiseIsSymmetricAndSumsToOne) {
  const Values k = rise_kernel();
  ASSERT_EQ(k.size(), 11u);
  double sum = 0;
  for (size_t i = 0; i < k.size(); ++i) {
    sum += k[i];
    EXPECT_NEAR(k[i], k[10 - i], 1e-16);
  }
  EXPECT_NEAR(sum, 1, 1e-15);
  EXPECT_GT(k[5], k[4]);
}

// A map that is turned upside down removes in the opposite order.
TEST(Perturbation, RoadOfTheOppositeMapIsItsNegative) {
  const int64_t size = 10;
  const Tensor C = distinct_maps(1, size, size), B = Tensor::zeros({1, size, size});
  MetricPictures pictures = toy_pictures(toy_x(1, size, size));
  for (const char* name : {"road", "road-pgc"}) {
    const auto one = columns_of(name, C, B, 1, pictures), other = columns_of(name, -C + 1.0, B, 1, pictures);
    EXPECT_NE(one.at(name).value, 0);
    EXPECT_NEAR(one.at(name).value, -other.at(name).value, 1e-9) << name;
    EXPECT_NEAR(one.at(str(name, ".morf")).value, other.at(str(name, ".lerf")).value, 1e-9) << name;
    EXPECT_NEAR(one.at(name).value, (one.at(str(name, ".lerf")).value - one.at(str(name, ".morf")).value) / 2, 1e-15);
    EXPECT_EQ(one.at(name).chance, 0);
  }
}

TEST(Perturbation, NoiseIsAFunctionOfSeedAndImage) {
  const int64_t size = 10;
  const Tensor C = distinct_maps(1, size, size), B = Tensor::zeros({1, size, size});
  const auto road_of = [&](uint64_t seed, int64_t index) {
    MetricPictures pictures = toy_pictures(toy_x(1, size, size));
    pictures.seed = seed, pictures.indices = {index};
    return columns_of("road", C, B, 1, pictures).at("road").value;
  };
  EXPECT_EQ(road_of(1, 5), road_of(1, 5));
  EXPECT_NE(road_of(1, 5), road_of(2, 5));
  EXPECT_NE(road_of(1, 5), road_of(1, 6));
}

// By rank a tenth of the pixels goes at every step, also where most values are equal; by value they all go at once.
TEST(Perturbation, EqualValuesGoByRankRowByRow) {
  const int64_t size = 10, pixels = size * size;
  Values sparse(pixels, 0), dense(pixels);
  for (int64_t i = 0; i < pixels; ++i) dense[i] = 1 - static_cast<double>(i) / pixels;
  for (int64_t i = 0; i < 15; ++i) sparse[i] = dense[i];
  const Tensor B = Tensor::zeros({1, size, size});
  const MetricPictures pictures = toy_pictures(toy_x(1, size, size));
  const auto of = [&](const char* name, const Values& map) {
    return columns_of(name, Tensor::from({1, size, size}, map), B, 1, pictures).at(name);
  };
  EXPECT_EQ(of("road", sparse).value, of("road", dense).value);
  EXPECT_EQ(of("road-pgc", sparse).undefined, 1);
  EXPECT_EQ(of("road-pgc", dense).scored, 1);
}

// ---- intervals ------------------------------------------------------------------------------------------------------

TEST(MetricEstimates, AnIntervalCoversTheMeanAsOftenAsItSays) {
  int covered = 0;
  const int trials = 200, count = 60;
  for (int trial = 0; trial < trials; ++trial) {
    Random random(trial, 5);
    MetricScores scores{.fields = 2, .values = {}, .states = std::vector<MetricState>(count, MetricState::scored)};
    for (int i = 0; i < count; ++i) {
      scores.values.push_back(random.normal() + 3);
      scores.values.push_back(0.25);
    }
    std::vector<int32_t> images;
    for (int i = 0; i < count; ++i) images.push_back(i);
    const MetricEstimate e =
        estimate({{&cam_metric("epg"), &scores}}, images, 16, {.seed = uint64_t(trial), .samples = 400})[0][0];
    covered += e.low <= 3 && 3 <= e.high;
    EXPECT_LT(e.low, e.value);
    EXPECT_GT(e.high, e.value);
    EXPECT_EQ(e.chance, 0.25);
  }
  EXPECT_GT(covered, 0.9 * trials);  // 95 % but for the few images
  EXPECT_LT(covered, trials);
}

// Against the definition: every sample drawn, its images gone through one by one.
TEST(MetricEstimates, IntervalsAreThoseOfTheSamplesByHand) {
  const CamMetric& metric = cam_metric("content-heatmap");
  const int count = 23, batch = 4, samples = 50;
  MetricScores scores{.fields = metric.fields, .values = {}, .states = {}};
  Random random(3, 7);
  std::vector<int32_t> images;
  for (int n = 0; n < count; ++n) {
    const double inside = random.uniform(), all = inside + random.uniform();
    const bool empty = random.chance(0.3);
    scores.states.push_back(empty ? MetricState::undefined : MetricState::scored);
    for (const double value : {inside, all, inside / all, 0.25}) scores.values.push_back(empty ? kNaN : value);
    if (n % 5 != 0) images.push_back(n);
  }
  const auto by_hand = [&](const std::vector<int32_t>& chosen, const std::string& column) {
    double batches = 0, weights = 0, part = 0, whole = 0, mean = 0, number = 0;
    for (size_t begin = 0; begin < chosen.size(); begin += batch) {
      const size_t end = std::min(begin + batch, chosen.size());
      double batch_part = 0, batch_whole = 0;
      for (size_t i = begin; i < end; ++i) {
        if (scores.states[chosen[i]] != MetricState::scored) continue;
        batch_part += scores.field(chosen[i], 0), batch_whole += scores.field(chosen[i], 1);
        mean += scores.field(chosen[i], 2), number += 1;
      }
      part += batch_part, whole += batch_whole;
      if (batch_whole == 0) continue;
      batches += static_cast<double>(end - begin) * batch_part / batch_whole;
      weights += static_cast<double>(end - begin);
    }
    return column == "content-heatmap.batch"    ? batches / weights
           : column == "content-heatmap.pooled" ? part / whole
                                                : mean / number;
  };
  const auto found = estimate({{&metric, &scores}}, images, batch, {.seed = 9, .samples = samples})[0];
  for (size_t c = 0; c < metric.columns.size(); ++c) {
    const std::string& name = metric.columns[c].name;
    std::vector<double> values;
    for (int sample = 0; sample < samples; ++sample) {
      Random draws(9, stream_of("bootstrap"), 2 * sample * images.size());
      std::vector<int32_t> chosen;
      for (size_t i = 0; i < images.size(); ++i) chosen.push_back(images[draws.below(std::ssize(images))]);
      values.push_back(by_hand(chosen, name));
    }
    // The order of the sums is another: a few roundings of double.
    EXPECT_NEAR(found[c].value, by_hand(images, name), 1e-14) << name;
    EXPECT_NEAR(found[c].low, quantile(values, 0.025), 1e-14) << name;
    EXPECT_NEAR(found[c].high, quantile(values, 0.975), 1e-14) << name;
  }
}

TEST(MetricEstimates, UndefinedImagesAreLeftOutAndSamplesAreShared) {
  MetricScores one{.fields = 2,
                   .values = {1, 0, kNaN, kNaN, 3, 0, kNaN, kNaN},
                   .states = {MetricState::scored, MetricState::undefined, MetricState::scored, MetricState::unboxed}};
  MetricScores twice = one;
  for (double& v : twice.values) v *= 2;
  const std::vector<int32_t> images = {0, 1, 2, 3}, constant = {0, 0, 0};
  const auto both = estimate({{&cam_metric("epg"), &one}, {&cam_metric("epg"), &twice}}, images, 2);
  EXPECT_EQ(both[0][0].value, 2);
  EXPECT_EQ(both[1][0].low, 2 * both[0][0].low);
  EXPECT_EQ(both[1][0].high, 2 * both[0][0].high);
  EXPECT_EQ(both[0][0].scored, 2);
  EXPECT_EQ(both[0][0].undefined, 1);
  EXPECT_EQ(both[0][0].unboxed, 1);
  const MetricEstimate same = estimate({{&cam_metric("epg"), &one}}, constant, 2)[0][0];
  EXPECT_EQ(same.low, 1);
  EXPECT_EQ(same.high, 1);
}

}  // namespace
}  // namespace boxcam
