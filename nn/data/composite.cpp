#include "nn/data/composite.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

namespace boxcam {

namespace {

/// Of the centre of pixel i to the range, 0 inside it.
double distance(int i, double low, double high) { return std::max({low - (i + 0.5), (i + 0.5) - high, 0.0}); }

uint8_t rounded(double value) { return static_cast<uint8_t>(std::floor(value + 0.5)); }

}  // namespace

double ramp_width(int size) { return size / 32.0; }

SoftMask soft_mask(const std::vector<Box>& boxes, int size, double margin) {
  SoftMask mask(static_cast<size_t>(size) * size, 0);
  const double ramp = ramp_width(size);
  const auto first = [&](double low) { return std::clamp(static_cast<int>(std::floor(low - ramp)), 0, size); };
  const auto last = [&](double high) { return std::clamp(static_cast<int>(std::ceil(high + ramp)), 0, size); };
  for (const Box& b : boxes) {
    const double left = b.x_min - margin, right = b.x_max + margin, top = b.y_min - margin, bottom = b.y_max + margin;
    for (int y = first(top); y < last(bottom); ++y)
      for (int x = first(left); x < last(right); ++x) {
        const double away = std::max(distance(x, left, right), distance(y, top, bottom));
        double& value = mask[static_cast<size_t>(y) * size + x];
        value = std::max(value, 1 - away / ramp);
      }
  }
  return mask;
}

double share_of(const SoftMask& mask) {
  return std::accumulate(mask.begin(), mask.end(), 0.0) / static_cast<double>(mask.size());
}

void composite(const SoftMask& mask, const uint8_t* front, const uint8_t* back, uint8_t* out) {
  for (size_t i = 0; i < mask.size(); ++i) {
    const double m = mask[i];
    for (size_t c = 3 * i; c < 3 * i + 3; ++c)
      out[c] = m == 0 ? back[c] : m == 1 ? front[c] : rounded(m * front[c] + (1 - m) * back[c]);
  }
}

std::vector<uint8_t> filled_with_mean(const SoftMask& mask, const uint8_t* picture) {
  const bool all = share_of(mask) == 1;
  std::array<double, 3> sums{};
  double weight = 0;
  for (size_t i = 0; i < mask.size(); ++i) {
    const double w = all ? 1 : 1 - mask[i];
    weight += w;
    for (size_t c = 0; c < 3; ++c) sums[c] += w * picture[3 * i + c];
  }
  std::vector<uint8_t> mean(3 * mask.size());
  for (size_t i = 0; i < mean.size(); ++i) mean[i] = rounded(sums[i % 3] / weight);
  composite(mask, mean.data(), picture, mean.data());
  return mean;
}

}  // namespace boxcam
