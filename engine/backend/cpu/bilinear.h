// Where an output position of a bilinear resize reads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace boxcam::cpu {

/// Source cells `low` and `high` with weights 1 - t and t: half-pixel centres, edges clamped.
template <class T>
struct BilinearTap {
  int64_t low, high;
  T t;
};

template <class T>
std::vector<BilinearTap<T>> bilinear_taps(int64_t from, int64_t to) {
  std::vector<BilinearTap<T>> list(to);
  const T scale = static_cast<T>(from) / static_cast<T>(to);
  for (int64_t i = 0; i < to; ++i) {
    const T position = std::max(scale * (static_cast<T>(i) + T(0.5)) - T(0.5), T(0));
    const int64_t low = std::min(static_cast<int64_t>(position), from - 1);
    list[i] = {low, std::min(low + 1, from - 1), position - static_cast<T>(low)};
  }
  return list;
}

}  // namespace boxcam::cpu
