#include "xai/metric_estimates.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/base/parallel.h"
#include "engine/base/random.h"

namespace boxcam {

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

double mean_of_field(const MetricScores& scores, const std::vector<int32_t>& images, int field) {
  double sum = 0, count = 0;
  for (const int32_t n : images)
    if (scores.states[n] == MetricState::scored) sum += scores.field(n, field), count += 1;
  return count > 0 ? sum / count : kNaN;
}

}  // namespace

double quantile(std::vector<double> values, double share) {
  std::erase_if(values, [](double v) { return std::isnan(v); });
  if (values.empty()) return kNaN;
  std::sort(values.begin(), values.end());
  const double rank = share * static_cast<double>(values.size() - 1);
  const auto low = static_cast<size_t>(rank);
  const double high = values[std::min(low + 1, values.size() - 1)];
  return values[low] + (rank - static_cast<double>(low)) * (high - values[low]);
}

std::vector<std::vector<MetricEstimate>> estimate(const std::vector<MeasuredMetric>& measured,
                                                  const std::vector<int32_t>& images, int64_t batch,
                                                  const Bootstrap& bootstrap) {
  struct Column {
    const MetricColumn* column;
    const MetricScores* scores;
    std::vector<double> samples;
  };
  std::vector<Column> columns;
  for (const auto& [metric, scores] : measured)
    for (const MetricColumn& c : metric->columns)
      columns.push_back({&c, scores, std::vector<double>(bootstrap.samples)});

  const auto count = static_cast<int64_t>(images.size());
  parallel_for(bootstrap.samples, 1, [&](int64_t begin, int64_t end) {
    std::vector<int32_t> drawn(images.size());
    for (int64_t sample = begin; sample < end; ++sample) {
      Random random(bootstrap.seed, stream_of(bootstrap.stream), static_cast<uint64_t>(2 * sample * count));
      for (int32_t& image : drawn) image = images[random.below(count)];
      for (Column& c : columns) c.samples[sample] = c.column->of({*c.scores, drawn, batch}, c.column->field);
    }
  });

  std::vector<std::vector<MetricEstimate>> result;
  auto next = columns.begin();
  for (const auto& [metric, scores] : measured) {
    const auto in_state = [&, of = scores](MetricState state) {
      return std::count_if(images.begin(), images.end(), [&](int32_t n) { return of->states[n] == state; });
    };
    result.emplace_back();
    for (const MetricColumn& c : metric->columns) {
      const std::vector<double>& samples = (next++)->samples;
      result.back().push_back({c.of({*scores, images, batch}, c.field), quantile(samples, 0.025),
                               quantile(samples, 0.975), c.chance < 0 ? kNaN : mean_of_field(*scores, images, c.chance),
                               in_state(MetricState::scored), in_state(MetricState::undefined),
                               in_state(MetricState::unboxed)});
    }
  }
  return result;
}

}  // namespace boxcam
