// Statistics of studies against the naive definitions.
#include "apps/experiment/statistics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/base/check.h"
#include "engine/base/random.h"

namespace boxcam {
namespace {

std::vector<double> some_values(int64_t count, uint64_t seed) {
  Random random(seed);
  std::vector<double> values;
  for (int64_t i = 0; i < count; ++i) values.push_back(random.normal() + 0.3);
  return values;
}

double brute_force_p(const std::vector<double>& differences) {
  const double seen = std::abs(std::accumulate(differences.begin(), differences.end(), 0.0));
  int64_t as_far = 0;
  const int64_t patterns = int64_t{1} << differences.size();
  for (int64_t pattern = 0; pattern < patterns; ++pattern) {
    double sum = 0;
    for (size_t i = 0; i < differences.size(); ++i) sum += (pattern >> i & 1) ? -differences[i] : differences[i];
    as_far += std::abs(sum) >= seen - 1e-12;
  }
  return static_cast<double>(as_far) / static_cast<double>(patterns);
}

TEST(Statistics, SignFlipPIsTheShareOfAllPatternsThatAreAsFar) {
  for (int64_t n = 1; n <= 12; ++n)
    EXPECT_DOUBLE_EQ(sign_flip_p(some_values(n, static_cast<uint64_t>(n))),
                     brute_force_p(some_values(n, static_cast<uint64_t>(n))))
        << n;
  // Equal differences: only the two patterns of one sign are as far.
  EXPECT_DOUBLE_EQ(sign_flip_p(std::vector<double>(5, 1.0)), 0.0625);
  EXPECT_DOUBLE_EQ(sign_flip_p(std::vector<double>(8, -0.1)), 2.0 / 256);
  EXPECT_DOUBLE_EQ(sign_flip_p({0, 0, 0}), 1);
  EXPECT_TRUE(std::isnan(sign_flip_p({})));
  // docs/demo.md's pairs, own minus shuffled at correlation 1.0 (p = 0.19), as they were told before.
  EXPECT_NEAR(sign_flip_p({13.0, -1.0, 0.6, 8.2, 5.6}), 0.1875, 1e-12);
}

TEST(Statistics, SignFlipPOfManyPairsIsDrawnAndNearTheExactOne) {
  std::vector<double> values = some_values(20, 3);
  const double exact = sign_flip_p(values);
  values.push_back(0);  // a pair without a difference changes nothing, but is one too many to enumerate
  EXPECT_NEAR(sign_flip_p(values), exact, 4 * std::sqrt(exact / (1 << 20)));
  EXPECT_EQ(sign_flip_p(values), sign_flip_p(values));
}

TEST(Statistics, HolmStepsDown) {
  const double nan = std::nan("");
  const std::vector<double> corrected = holm({0.01, nan, 0.04, 0.03, 0.005});
  EXPECT_DOUBLE_EQ(corrected[4], 0.02);  // 4 x 0.005
  EXPECT_DOUBLE_EQ(corrected[0], 0.03);  // 3 x 0.01
  EXPECT_DOUBLE_EQ(corrected[3], 0.06);  // 2 x 0.03
  EXPECT_DOUBLE_EQ(corrected[2], 0.06);  // 0.04, but no less than the one before
  EXPECT_TRUE(std::isnan(corrected[1]));
  EXPECT_EQ(holm({0.9, 0.8})[0], 1);
}

TEST(Statistics, SpreadOfASample) {
  EXPECT_DOUBLE_EQ(mean({1, 2, 6}), 3);
  EXPECT_DOUBLE_EQ(standard_deviation({1, 2, 6}), std::sqrt(7.0));
  EXPECT_TRUE(std::isnan(standard_deviation({1})));
  EXPECT_TRUE(std::isnan(mean({})));
}

Ratio images(const std::vector<double>& right) { return {right, std::vector<double>(right.size(), 1)}; }

TEST(Statistics, BootstrapOverSeedsAloneIsThatOfTheirMeans) {
  // One unit a seed: every draw is a mean of as many values drawn with replacement. Three values have 27 draws of the
  // same probability; the percentiles of their means are known.
  const std::vector<double> values = {0.0, 0.3, 0.9};
  std::vector<double> all;
  for (const double a : values)
    for (const double b : values)
      for (const double c : values) all.push_back((a + b + c) / 3);
  std::sort(all.begin(), all.end());
  Ratios rows(1);
  for (const double v : values) rows[0].push_back(images({v}));
  const BootstrapIntervals b = bootstrap(rows, 40000, 0.8);
  EXPECT_NEAR(b.means[0].low, all[2], 0.05);
  EXPECT_NEAR(b.means[0].high, all[24], 0.05);
}

TEST(Statistics, BootstrapOverImagesHasTheBinomialWidthAndPairsCancelWhatIsCommon) {
  constexpr int64_t kImages = 400;
  Ratios rows(2);
  for (uint64_t seed = 0; seed < 10; ++seed) {
    Random random(seed);
    std::vector<double> right, better;
    for (int64_t i = 0; i < kImages; ++i) {
      right.push_back(random.chance(0.7));
      better.push_back(right.back());
    }
    // One image more is right in each seed: the difference is the same whatever is drawn, but for which images are.
    *std::find(better.begin(), better.end(), 0.0) = 1;
    rows[0].push_back(images(right)), rows[1].push_back(images(better));
  }
  const BootstrapIntervals b = bootstrap(rows, 2000);
  const double width = b.means[0].high - b.means[0].low;
  // Each seed of a draw spreads by the binomial sqrt(p (1 - p) / n), and seeds among themselves by as much again.
  const double expected = 2 * 1.96 * std::sqrt(2 * 0.7 * 0.3 / kImages / 10);
  EXPECT_NEAR(width, expected, 0.4 * expected);
  EXPECT_LT(b.differences[1].high - b.differences[1].low, width / 4);
  EXPECT_LE(b.differences[1].low, 1.0 / kImages);
  EXPECT_GE(b.differences[1].high, 1.0 / kImages);
  EXPECT_EQ(b.differences[0].low, 0);
  EXPECT_EQ(b.differences[0].high, 0);
}

TEST(Statistics, BootstrapRefusesRowsThatAreNoPairs) {
  Ratios rows = {{images({1, 0})}, {images({1})}};
  EXPECT_THROW(bootstrap(rows), Error);
  EXPECT_THROW(bootstrap({{images({1})}, {images({1}), images({0})}}), Error);
}

}  // namespace
}  // namespace boxcam
