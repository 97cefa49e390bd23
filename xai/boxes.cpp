#include "xai/boxes.h"

#include <algorithm>
#include <cmath>

#include "engine/dtype.h"

namespace boxcam {

namespace {

template <class T>
void draw(const std::vector<std::vector<Box>>& boxes, int64_t height, int64_t width, double margin, T* mask) {
  // Pixels whose centre i + 1/2 lies in [low, high]: from ceil(low - 1/2) to floor(high - 1/2).
  // Clipped before they become integers, which would not hold a huge margin.
  const auto clipped = [](double at, int64_t size) {
    return static_cast<int64_t>(std::clamp(at, 0.0, static_cast<double>(size)));
  };
  const auto first = [&](double low, int64_t size) { return clipped(std::ceil(low - 0.5), size); };
  const auto last = [&](double high, int64_t size) { return clipped(std::floor(high - 0.5) + 1, size); };
  for (const auto& list : boxes) {
    for (const Box& box : list)
      for (int64_t y = first(box.y_min - margin, height); y < last(box.y_max + margin, height); ++y)
        for (int64_t x = first(box.x_min - margin, width); x < last(box.x_max + margin, width); ++x)
          mask[y * width + x] = 1;
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
