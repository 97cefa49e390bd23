// What can be said about rows of runs: spread over seeds, paired differences, and how easily chance gives them.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace boxcam {

/// Below this many pairs no verdict is given: with n pairs the smallest two-sided p that a sign-flip test can give is
/// 2 / 2^n, which for five is 0.0625.
inline constexpr int64_t kFewestPairs = 6;

double mean(const std::vector<double>& values);                ///< NaN of none
double standard_deviation(const std::vector<double>& values);  ///< of a sample (n - 1); NaN of fewer than two

/// Two-sided p of the mean of paired differences under random signs (Fisher 1935): the share of all 2^n sign patterns
/// whose sum is at least as far from 0. Exact up to 20 pairs; of more, 2^20 patterns are drawn from a fixed seed, and
/// the pattern seen counts as one of them. NaN without a pair.
double sign_flip_p(const std::vector<double>& differences);

/// Holm's step-down (1979): the p values of a family, each corrected for all of them, in the order given. NaN stays NaN
/// and is not part of the family.
std::vector<double> holm(const std::vector<double>& p);

/// A measure of one run as a ratio of sums over what was drawn: images (accuracy: right / 1), or batches of them.
struct Ratio {
  std::vector<double> numerators, denominators;
  double value() const;  ///< NaN where the denominators sum to 0
};

/// [row][seed], all rows with the same seeds and, of each seed, as many units: the same test images.
using Ratios = std::vector<std::vector<Ratio>>;

struct Interval {
  double low, high;
};

/// Percentile intervals (Efron 1979) of the rows' means over seeds, and of their differences from row 0, seed by seed:
/// each of `draws` draws takes as many seeds as there are, with replacement, and of each of them as many units, with
/// replacement, the same for every row.
struct BootstrapIntervals {
  std::vector<Interval> means, differences;
};
BootstrapIntervals bootstrap(const Ratios& rows, int64_t draws = 2000, double level = 0.95, uint64_t seed = 0);

}  // namespace boxcam
