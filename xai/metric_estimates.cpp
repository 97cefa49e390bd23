#include "xai/metric_estimates.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/base/parallel.h"
#include "engine/base/random.h"

namespace boxcam {

namespace {

double mean_of_field(const MetricScores& scores, const std::vector<int32_t>& images, int field) {
  double sum = 0, count = 0;
  for (const int32_t n : images)
    if (scores.states[n] == MetricState::scored) sum += scores.field(n, field), count += 1;
  return count > 0 ? sum / count : NAN;
}

/// The value below which a share of the others lies, in a straight line between ranks.
double quantile_of_sorted(const std::vector<double>& values, double share) {
  if (values.empty()) return NAN;
  const double rank = share * static_cast<double>(values.size() - 1);
  const auto low = static_cast<size_t>(rank);
  const double high = values[std::min(low + 1, values.size() - 1)];
  return values[low] + (rank - static_cast<double>(low)) * (high - values[low]);
}

void sort_numbers(std::vector<double>& values) {
  std::erase_if(values, [](double v) { return std::isnan(v); });
  std::sort(values.begin(), values.end());
}

/// The columns of metrics that are of one kind, over the images or over batches of them, and what they are sums of: an
/// image a row, of each metric its fields and whether the image was scored, all 0 where it was not.
class Columns {
 public:
  Columns(const std::vector<MeasuredMetric>& measured, const std::vector<int32_t>& images, bool batches) {
    std::vector<MeasuredMetric> summed;
    int64_t number = 0;
    for (const auto& [metric, scores] : measured) {
      const size_t before = columns_.size();
      for (const MetricColumn& c : metric->columns) {
        if (c.batches == batches) columns_.push_back({c.of, width_ + c.field, width_ + metric->fields, number});
        ++number;
      }
      if (columns_.size() == before) continue;
      summed.push_back({metric, scores});
      width_ += metric->fields + 1;
    }
    rows_.assign(images.size() * width_, 0);
    double* row = rows_.data();
    for (const int32_t n : images)
      for (const auto& [metric, scores] : summed) {
        if (scores->states[n] == MetricState::scored)
          *std::copy_n(scores->values.begin() + n * metric->fields, metric->fields, row) = 1;
        row += metric->fields + 1;
      }
  }

  int64_t width() const { return width_; }  ///< of a row
  int64_t size() const { return std::ssize(columns_); }

  void add(int64_t row, double times, std::vector<double>& sums) const {
    const double* const values = rows_.data() + row * width_;
    double* const into = sums.data();
#pragma omp simd
    for (int64_t i = 0; i < width_; ++i) into[i] += times * values[i];
  }

  /// Calls use(number among the columns of both kinds, value).
  template <class Use>
  void for_each(const std::vector<double>& sums, const Use& use) const {
    for (const Column& c : columns_) use(c.number, c.of(&sums[c.first], sums[c.count]));
  }

 private:
  struct Column {
    double (*of)(const double* sums, double count);
    int64_t first, count, number;
  };
  std::vector<Column> columns_;
  int64_t width_ = 0;
  std::vector<double> rows_;
};

}  // namespace

double quantile(std::vector<double> values, double share) {
  sort_numbers(values);
  return quantile_of_sorted(values, share);
}

std::vector<std::vector<MetricEstimate>> estimate(const std::vector<MeasuredMetric>& measured,
                                                  const std::vector<int32_t>& images, int64_t batch,
                                                  const Bootstrap& bootstrap) {
  const Columns whole(measured, images, false), in_batches(measured, images, true);
  const auto count = std::ssize(images), columns = whole.size() + in_batches.size();
  // values[column] of these places among the images, in order.
  const auto values_of = [&](const std::vector<int64_t>& places, double* values) {
    std::vector<double> times(count), sums(whole.width()), batch_sums(in_batches.width()), weights(columns);
    for (const int64_t place : places) times[place] += 1;
    for (int64_t place = 0; place < count; ++place)
      if (times[place] > 0) whole.add(place, times[place], sums);
    whole.for_each(sums, [&](int64_t column, double value) { values[column] = value; });

    for (int64_t begin = 0; begin < count; begin += batch) {
      const int64_t end = std::min(begin + batch, count);
      std::fill(batch_sums.begin(), batch_sums.end(), 0);
      for (int64_t i = begin; i < end; ++i) in_batches.add(places[i], 1, batch_sums);
      in_batches.for_each(batch_sums, [&](int64_t column, double value) {
        if (std::isnan(value)) return;
        values[column] += static_cast<double>(end - begin) * value;
        weights[column] += static_cast<double>(end - begin);
      });
    }
    in_batches.for_each(batch_sums, [&](int64_t column, double) {
      values[column] = weights[column] > 0 ? values[column] / weights[column] : NAN;
    });
  };

  std::vector<int64_t> all(count);
  std::iota(all.begin(), all.end(), 0);
  std::vector<double> values(columns), samples(bootstrap.samples * columns);
  values_of(all, values.data());
  parallel_for(bootstrap.samples, 1, [&](int64_t begin, int64_t end) {
    std::vector<int64_t> drawn(count);
    for (int64_t sample = begin; sample < end; ++sample) {
      Random random(bootstrap.seed, stream_of(bootstrap.stream), static_cast<uint64_t>(2 * sample * count));
      for (int64_t& place : drawn) place = random.below(count);
      values_of(drawn, &samples[sample * columns]);
    }
  });

  std::vector<std::vector<MetricEstimate>> result;
  int64_t column = 0;
  for (const auto& [metric, scores] : measured) {
    const auto in_state = [&, of = scores](MetricState state) {
      return std::count_if(images.begin(), images.end(), [&](int32_t n) { return of->states[n] == state; });
    };
    result.emplace_back();
    for (const MetricColumn& c : metric->columns) {
      std::vector<double> drawn(bootstrap.samples);
      for (int sample = 0; sample < bootstrap.samples; ++sample) drawn[sample] = samples[sample * columns + column];
      sort_numbers(drawn);
      result.back().push_back({values[column++], quantile_of_sorted(drawn, 0.025), quantile_of_sorted(drawn, 0.975),
                               c.chance < 0 ? NAN : mean_of_field(*scores, images, c.chance),
                               in_state(MetricState::scored), in_state(MetricState::undefined),
                               in_state(MetricState::unboxed)});
    }
  }
  return result;
}

}  // namespace boxcam
