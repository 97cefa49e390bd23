// Metrics of maps of 224 px: those of a map and its boxes; ROAD's imputation, which compare_road.py sets beside
// pytorch-grad-cam's; insertion and deletion, as a multiple of the forward passes that they need.
#include "bench/machine.h"
#include "models/resnet.h"
#include "xai/boxes.h"
#include "xai/cam_metrics.h"
#include "xai/imputation.h"
#include "xai/perturbation.h"

namespace boxcam::bench {
namespace {

constexpr int64_t kSize = 224;

/// 49 different cells, enlarged (compare_road.py has the same).
Tensor some_cams(int64_t n) {
  std::vector<double> cells;
  for (int64_t k = 0; k < 49 * n; ++k) cells.push_back(static_cast<double>(k % 49 * 29 % 49) / 48);
  return bilinear_resize(Tensor::from({n, 7, 7}, cells), kSize, kSize);
}

void of_boxes(benchmark::State& state, const CamMetric* metric) {
  constexpr int64_t batch = 16;
  const Tensor cam = some_cams(batch), mask = box_masks(some_boxes(batch, kSize), kSize, kSize, 0);
  measure(state, batch, [&] {
    Maps maps(cam);
    MetricGround ground(mask);
    MetricScores scores;
    boxcam::measure(*metric, maps, ground, scores);
  });
}

/// The eighteen pictures of one map: most and least relevant first, by percentiles.
void imputation(benchmark::State& state) {
  const Maps maps(some_cams(1));
  std::vector<double> least(maps.map(0).begin(), maps.map(0).end());
  for (double& v : least) v = 1 - v;
  std::vector<char> missing;
  for (const std::span<const double> map : {maps.map(0), std::span<const double>(least)})
    for (int percent = 10; percent < 100; percent += 10) {
      const std::vector<char> removed = removed_by_percentile(map, percent);
      missing.insert(missing.end(), removed.begin(), removed.end());
    }
  const Tensor x = uniform({18, kSize, kSize, 3}, -2, 2);
  measure(state, 1, [&] { benchmark::DoNotOptimize(impute(x, missing)); });
  state.counters["missing"] = static_cast<double>(std::count(missing.begin(), missing.end(), 1));
}

/// Insertion or deletion of two images; of_passes: its time over that of as many pictures in as large batches.
void curve(benchmark::State& state, const char* metric) {
  constexpr int64_t images = 2, batch = 32, pictures = images * (kSize + 1 + 21);
  ResNet model(resnet_config("resnet18"), 4);
  const Tensor cam = some_cams(images), mask = Tensor::zeros({images, kSize, kSize});
  const auto show = [&](const Tensor& x) { return model.forward(x, ForwardOptions::observing()).logits; };
  const MetricPictures all{.x = uniform({images, kSize, kSize, 3}, -2, 2),
                           .classes = {0, 1},
                           .scores = {0.5, 0.5},
                           .indices = {0, 1},
                           .logits = show,
                           .batch = batch};
  const Tensor x = uniform({batch, kSize, kSize, 3}, -2, 2);
  const NoGrad no_grad;
  const double passes = best_seconds(2, [&] {
    for (int64_t left = pictures; left > 0; left -= batch) show(left >= batch ? x : slice(x, 0, 0, left));
  });
  const double seconds = measure(state, images, [&] {
    Maps maps(cam);
    MetricGround ground(mask, all);
    MetricScores scores;
    boxcam::measure(cam_metric(metric), maps, ground, scores);
  });
  state.counters["of_passes"] = seconds / passes;
}

void register_all() {
  for (const CamMetric& metric : cam_metrics())
    if (!metric.passes) add(std::string("metric/") + metric.name, of_boxes, &metric);
  add("road/imputation", imputation);
  add("insertion", curve, "insertion")->Iterations(2);
  add("deletion", curve, "deletion")->Iterations(2);
}

}  // namespace
}  // namespace boxcam::bench

int main(int argc, char** argv) {
  boxcam::bench::register_all();
  return boxcam::bench::run(argc, argv);
}
