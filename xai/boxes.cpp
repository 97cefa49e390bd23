#include "xai/boxes.h"

#include <algorithm>
#include <cmath>

#include "engine/dtype.h"

namespace boxcam {

namespace {

/// Pixels first, ..., end - 1 of one side.
struct Pixels {
  int64_t first, end;
};

/// Pixels whose centre i + 1/2 lies in [low, high]: from ceil(low - 1/2) to floor(high - 1/2). Where there is none, but
/// something of [low, high] lies in the image, the pixel in which the middle of that lies.
Pixels covered(double low, double high, int64_t size) {
  if (!(low <= high)) return {0, 0};  // NaN as well, which no integer holds
  // Clipped before they become integers, which would not hold a huge margin.
  const double side = static_cast<double>(size);
  const auto clipped = [&](double at) { return static_cast<int64_t>(std::clamp(at, 0.0, side)); };
  const Pixels pixels{clipped(std::ceil(low - 0.5)), clipped(std::floor(high - 0.5) + 1)};
  if (pixels.first < pixels.end || !(low < side && high > 0)) return pixels;
  const int64_t at = std::min(clipped((std::max(low, 0.0) + std::min(high, side)) / 2), size - 1);
  return {at, at + 1};
}

template <class T>
void draw(const std::vector<std::vector<Box>>& boxes, int64_t height, int64_t width, double margin, T* mask) {
  for (const auto& list : boxes) {
    for (const Box& box : list) {
      const Pixels rows = covered(box.y_min - margin, box.y_max + margin, height);
      const Pixels columns = covered(box.x_min - margin, box.x_max + margin, width);
      for (int64_t y = rows.first; y < rows.end; ++y)
        for (int64_t x = columns.first; x < columns.end; ++x) mask[y * width + x] = 1;
    }
    mask += height * width;
  }
}

}  // namespace

Tensor box_masks(const std::vector<std::vector<Box>>& boxes, int64_t height, int64_t width, double margin, DType dtype,
                 Device device) {
  check(margin >= 0, "box_masks: expected a margin of 0 or more pixels, found ", margin);
  const bool on_host = device == Device::cpu;  // otherwise bytes travel
  Tensor masks = Tensor::zeros({static_cast<int64_t>(boxes.size()), height, width}, on_host ? dtype : DType::u8);
  visit_dtype(masks.dtype(), [&](auto zero) { draw(boxes, height, width, margin, masks.data<decltype(zero)>()); });
  return masks.to(device).to(dtype);
}

}  // namespace boxcam
