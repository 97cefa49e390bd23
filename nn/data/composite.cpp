#include "nn/data/composite.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

namespace boxcam {

namespace {

/// Of the centre of pixel i to the range, 0 inside it.
double distance(int i, double low, double high) { return std::max({low - (i + 0.5), (i + 0.5) - high, 0.0}); }

uint8_t rounded(double value) { return static_cast<uint8_t>(std::floor(value + 0.5)); }

/// Colours with the weight of each pixel: a level of a pyramid.
struct Level {
  int size;
  std::vector<double> colours, weights;  // [size * size * 3], [size * size]

  explicit Level(int side) : size(side), colours(size_t(side) * side * 3), weights(size_t(side) * side) {}
  size_t at(int y, int x) const { return size_t(y) * size + x; }
};

/// Half the size: each pixel the weighted mean of the four below it, at the edge of fewer.
Level pulled(const Level& fine) {
  Level coarse((fine.size + 1) / 2);
  for (int y = 0; y < fine.size; ++y)
    for (int x = 0; x < fine.size; ++x) {
      const size_t from = fine.at(y, x), to = coarse.at(y / 2, x / 2);
      coarse.weights[to] += fine.weights[from];
      for (size_t c = 0; c < 3; ++c) coarse.colours[3 * to + c] += fine.weights[from] * fine.colours[3 * from + c];
    }
  for (size_t i = 0; i < coarse.weights.size(); ++i) {
    double& weight = coarse.weights[i];
    for (size_t c = 0; c < 3 && weight > 0; ++c) coarse.colours[3 * i + c] /= weight;
    weight = std::min(weight, 1.0);
  }
  return coarse;
}

/// What is missing in a level is taken from the coarser one, which is complete, by bilinear interpolation.
void push(const Level& coarse, Level& fine) {
  const auto place = [&](int i, int& low, int& high) {
    const double position = std::clamp((i + 0.5) / 2 - 0.5, 0.0, coarse.size - 1.0);
    low = static_cast<int>(position), high = std::min(low + 1, coarse.size - 1);
    return position - low;
  };
  for (int y = 0; y < fine.size; ++y)
    for (int x = 0; x < fine.size; ++x) {
      double& weight = fine.weights[fine.at(y, x)];
      if (weight == 1) continue;
      int top, bottom, left, right;
      const double v = place(y, top, bottom), u = place(x, left, right);
      for (size_t c = 0; c < 3; ++c) {
        const auto colour = [&](int i, int j) { return coarse.colours[3 * coarse.at(i, j) + c]; };
        const double around = (1 - v) * ((1 - u) * colour(top, left) + u * colour(top, right)) +
                              v * ((1 - u) * colour(bottom, left) + u * colour(bottom, right));
        double& own = fine.colours[3 * fine.at(y, x) + c];
        own = weight * own + (1 - weight) * around;
      }
      weight = 1;
    }
}

/// Means over a window of 2 radius + 1 pixels along one axis, edges repeated; `stride` from pixel to pixel along it.
void mean_along(std::vector<double>& colours, int size, size_t stride, size_t line, int radius) {
  std::vector<double> sums(static_cast<size_t>(size) + 1);
  for (int other = 0; other < size; ++other)
    for (size_t c = 0; c < 3; ++c) {
      double* first = &colours[static_cast<size_t>(other) * line + c];
      const auto value = [&](int i) { return first[static_cast<size_t>(std::clamp(i, 0, size - 1)) * stride]; };
      double window = 0;
      for (int i = -radius; i <= radius; ++i) window += value(i);
      for (int i = 0; i < size; ++i) {
        sums[static_cast<size_t>(i)] = window;
        window += value(i + radius + 1) - value(i - radius);
      }
      for (int i = 0; i < size; ++i)
        first[static_cast<size_t>(i) * stride] = sums[static_cast<size_t>(i)] / (2 * radius + 1);
    }
}

std::vector<uint8_t> filled(const SoftMask& mask, const std::vector<double>& colours, const uint8_t* picture) {
  std::vector<uint8_t> bytes(colours.size());
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = rounded(std::clamp(colours[i], 0.0, 255.0));
  composite(mask, bytes.data(), picture, bytes.data());
  return bytes;
}

}  // namespace

double ramp_width(int size) { return size / 192.0; }

SoftMask soft_mask(const std::vector<Box>& boxes, int size, double margin, MaskShape shape) {
  SoftMask mask(static_cast<size_t>(size) * size, 0);
  const double ramp = ramp_width(size), inf = std::numeric_limits<double>::infinity();
  const auto first = [&](double low) { return std::clamp(static_cast<int>(std::floor(low - ramp)), 0, size); };
  const auto last = [&](double high) { return std::clamp(static_cast<int>(std::ceil(high + ramp)), 0, size); };
  for (const Box& b : boxes) {
    // Where the mask is 1. Of a very thin box half has to be.
    const double in_x = std::min(ramp, (b.x_max - b.x_min) / 4 + margin);
    const double in_y = std::min(ramp, (b.y_max - b.y_min) / 4 + margin);
    const double left = b.x_min - margin + in_x, right = b.x_max + margin - in_x;
    const double top = b.y_min - margin + in_y, bottom = b.y_max + margin - in_y;
    // Beyond the picture's edge there is no ground that a ramp could show.
    const double open_left = left <= in_x ? -inf : left, open_right = right >= size - in_x ? inf : right;
    const double open_top = top <= in_y ? -inf : top, open_bottom = bottom >= size - in_y ? inf : bottom;
    const auto away_from = [&](int y, int x) {
      const double from_box = std::max(distance(x, open_left, open_right), distance(y, open_top, open_bottom));
      if (shape == MaskShape::box) return from_box;
      const double u = (2 * x + 1 - left - right) / (right - left), v = (2 * y + 1 - top - bottom) / (bottom - top);
      const double squares = shape == MaskShape::ellipse ? u * u + v * v : std::sqrt(u * u * u * u + v * v * v * v);
      return std::max((std::sqrt(squares) - 1) * std::min(right - left, bottom - top) / 2, from_box);
    };
    for (int y = first(top); y < last(bottom); ++y)
      for (int x = first(left); x < last(right); ++x) {
        const double away = away_from(y, x);
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
  for (size_t i = 0, end = 0; i < mask.size(); i = end) {
    const double m = mask[i];
    end = i + 1;
    if (m == 0 || m == 1) {  // runs of one picture alone
      while (end < mask.size() && mask[end] == m) ++end;
      const uint8_t* from = m == 0 ? back : front;
      if (from != out) std::memcpy(out + 3 * i, from + 3 * i, 3 * (end - i));
    } else {
      for (size_t c = 3 * i; c < 3 * end; ++c) out[c] = rounded(m * front[c] + (1 - m) * back[c]);
    }
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

std::vector<uint8_t> filled_from_around(const SoftMask& mask, const uint8_t* picture, int size) {
  if (share_of(mask) == 1) return filled_with_mean(mask, picture);
  std::vector<Level> levels = {Level(size)};
  for (size_t i = 0; i < mask.size(); ++i) levels[0].weights[i] = 1 - mask[i];
  levels[0].colours.assign(picture, picture + 3 * mask.size());
  while (levels.back().size > 1) levels.push_back(pulled(levels.back()));  // to one pixel, the mean of all
  for (size_t i = levels.size() - 1; i > 0; --i) push(levels[i], levels[i - 1]);
  return filled(mask, levels[0].colours, picture);
}

std::vector<uint8_t> filled_with_blur(const SoftMask& mask, const uint8_t* picture, int size) {
  std::vector<double> colours(picture, picture + 3 * mask.size());
  const size_t pixel = 3, row = 3 * static_cast<size_t>(size);
  for (int pass = 0; pass < 3; ++pass) {
    mean_along(colours, size, pixel, row, std::max(size / 16, 1));
    mean_along(colours, size, row, pixel, std::max(size / 16, 1));
  }
  return filled(mask, colours, picture);
}

}  // namespace boxcam
