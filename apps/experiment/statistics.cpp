#include "apps/experiment/statistics.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "engine/base/check.h"
#include "engine/base/random.h"
#include "xai/metric_estimates.h"

namespace boxcam {

namespace {

constexpr int64_t kMostEnumerated = 20;

Interval interval(const std::vector<double>& values, double level) {
  return {quantile(values, (1 - level) / 2), quantile(values, (1 + level) / 2)};
}

/// How often each of `units` is drawn in as many draws.
std::vector<double> drawn(size_t units, Random& random) {
  std::vector<double> times(units, 0);
  for (size_t i = 0; i < units; ++i) ++times[static_cast<size_t>(random.below(static_cast<int64_t>(units)))];
  return times;
}

double weighted(const Ratio& ratio, const std::vector<double>& times) {
  const double above = std::inner_product(times.begin(), times.end(), ratio.numerators.begin(), 0.0);
  const double below = std::inner_product(times.begin(), times.end(), ratio.denominators.begin(), 0.0);
  return below == 0 ? std::nan("") : above / below;
}

}  // namespace

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double standard_deviation(const std::vector<double>& values) {
  if (values.size() < 2) return std::nan("");
  const double middle = mean(values);
  double squares = 0;
  for (const double v : values) squares += (v - middle) * (v - middle);
  return std::sqrt(squares / static_cast<double>(values.size() - 1));
}

double sign_flip_p(const std::vector<double>& differences) {
  const auto n = static_cast<int64_t>(differences.size());
  if (n == 0) return std::nan("");
  double seen = 0, size = 0;
  for (const double d : differences) seen += d, size += std::abs(d);
  // Patterns that are equal but for rounding count.
  const double limit = std::abs(seen) - 1e-12 * size;
  int64_t as_far = 0;
  if (n <= kMostEnumerated) {
    // Gray code: from one pattern to the next a single sign flips.
    std::vector<double> signs(differences);
    double sum = seen;
    const int64_t patterns = int64_t{1} << n;
    for (int64_t i = 1; i <= patterns; ++i) {
      as_far += std::abs(sum) >= limit;
      const int flipped = std::countr_zero(static_cast<uint64_t>(i));
      if (i == patterns) break;
      sum -= 2 * signs[static_cast<size_t>(flipped)];
      signs[static_cast<size_t>(flipped)] *= -1;
    }
    return static_cast<double>(as_far) / static_cast<double>(patterns);
  }
  const int64_t patterns = int64_t{1} << kMostEnumerated;
  Random random(0, stream_of("sign flips"));
  for (int64_t i = 1; i < patterns; ++i) {
    double sum = 0;
    for (const double d : differences) sum += random.chance(0.5) ? d : -d;
    as_far += std::abs(sum) >= limit;
  }
  return static_cast<double>(as_far + 1) / static_cast<double>(patterns);
}

std::vector<double> holm(const std::vector<double>& p) {
  std::vector<size_t> order;
  for (size_t i = 0; i < p.size(); ++i)
    if (!std::isnan(p[i])) order.push_back(i);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return p[a] < p[b]; });
  std::vector<double> corrected(p);
  double largest = 0;
  for (size_t rank = 0; rank < order.size(); ++rank) {
    largest = std::max(largest, std::min(1.0, static_cast<double>(order.size() - rank) * p[order[rank]]));
    corrected[order[rank]] = largest;
  }
  return corrected;
}

double Ratio::value() const { return weighted(*this, std::vector<double>(numerators.size(), 1)); }

BootstrapIntervals bootstrap(const Ratios& rows, int64_t draws, double level, uint64_t seed) {
  check(!rows.empty(), "a bootstrap needs a row");
  const size_t seeds = rows[0].size();
  for (const auto& row : rows) {
    check(row.size() == seeds, "a bootstrap needs the same seeds in every row: expected ", seeds, ", found ",
          row.size());
    for (size_t s = 0; s < seeds; ++s)
      check(row[s].numerators.size() == rows[0][s].numerators.size() &&
                row[s].denominators.size() == row[s].numerators.size(),
            "a bootstrap needs the same test images in every row");
  }
  std::vector<std::vector<double>> means(rows.size()), differences(rows.size());
  for (int64_t d = 0; d < draws; ++d) {
    Random random(seed, stream_of(str("bootstrap, draw ", d)));
    std::vector<std::vector<double>> values(rows.size());
    for (size_t place = 0; place < seeds; ++place) {
      const auto s = static_cast<size_t>(random.below(static_cast<int64_t>(seeds)));
      const std::vector<double> times = drawn(rows[0][s].numerators.size(), random);
      for (size_t r = 0; r < rows.size(); ++r) values[r].push_back(weighted(rows[r][s], times));
    }
    for (size_t r = 0; r < rows.size(); ++r) {
      means[r].push_back(mean(values[r]));
      differences[r].push_back(means[r].back() - means[0].back());
    }
  }
  BootstrapIntervals result;
  for (size_t r = 0; r < rows.size(); ++r) {
    result.means.push_back(interval(means[r], level));
    result.differences.push_back(interval(differences[r], level));
  }
  return result;
}

}  // namespace boxcam
