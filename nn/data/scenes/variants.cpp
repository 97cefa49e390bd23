#include "nn/data/scenes/variants.h"

#include <algorithm>
#include <cmath>

namespace boxcam {

namespace {

/// Each pixel times what `share` says of its coverage.
template <class Share>
void scale(Image& image, const Coverage& coverage, Share share) {
  for (size_t i = 0; i < image.pixels.size(); ++i) {
    uint8_t& value = image.pixels[i];
    value = static_cast<uint8_t>(value * share(coverage[i / 3]) + .5);
  }
}

PixelRectangle touched(const Box& box, int height, int width) {
  const auto first = [](double low, double size) { return static_cast<int>(std::clamp(std::floor(low), 0.0, size)); };
  const auto end = [](double high, double size) { return static_cast<int>(std::clamp(std::ceil(high), 0.0, size)); };
  return {first(box.x_min, width), first(box.y_min, height), end(box.x_max, width), end(box.y_max, height)};
}

/// Marks the pixels that a box touches.
std::vector<char> touched(const std::vector<Box>& boxes, int height, int width) {
  std::vector<char> marks(static_cast<size_t>(height) * width, 0);
  for (const Box& box : boxes) {
    const PixelRectangle r = touched(box, height, width);
    for (int y = r.top; y < r.bottom; ++y)
      std::fill_n(marks.begin() + static_cast<std::ptrdiff_t>(y) * width + r.left, r.right - r.left, 1);
  }
  return marks;
}

}  // namespace

void keep_objects(Image& image, const Coverage& coverage) {
  scale(image, coverage, [](double covered) { return covered; });
}

void remove_objects(Image& image, const Coverage& coverage) {
  scale(image, coverage, [](double covered) { return 1 - covered; });
}

void blacken_boxes(Image& image, const std::vector<Box>& boxes) {
  const std::vector<char> marks = touched(boxes, image.height, image.width);
  for (size_t i = 0; i < image.pixels.size(); ++i)
    if (marks[i / 3]) image.pixels[i] = 0;
}

PixelRectangle largest_clear_rectangle(int height, int width, const std::vector<Box>& boxes) {
  const std::vector<char> marks = touched(boxes, height, width);
  std::vector<int> clear(static_cast<size_t>(width), 0);  // above each pixel of the row, with itself
  PixelRectangle best;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      int& above = clear[static_cast<size_t>(x)];
      above = marks[static_cast<size_t>(y) * width + x] ? 0 : above + 1;
    }
    // Columns of falling height to the left, each with the first one that a rectangle of its height reaches back to.
    std::vector<std::pair<int, int>> open;
    for (int x = 0; x <= width; ++x) {
      const int tall = x < width ? clear[static_cast<size_t>(x)] : 0;
      int from = x;
      while (!open.empty() && open.back().second >= tall) {
        const auto [left, high] = open.back();
        open.pop_back();
        const PixelRectangle found{left, y + 1 - high, x, y + 1};
        if (found.area() > best.area()) best = found;
        from = left;
      }
      open.emplace_back(from, tall);
    }
  }
  return best;
}

void tile_boxes(Image& image, const std::vector<Box>& boxes) {
  const PixelRectangle tile = largest_clear_rectangle(image.height, image.width, boxes);
  if (tile.area() == 0) return blacken_boxes(image, boxes);
  const auto within = [](int i, int low, int high) {
    const int period = high - low;
    return low + ((i - low) % period + period) % period;
  };
  const std::vector<char> marks = touched(boxes, image.height, image.width);
  for (int y = 0; y < image.height; ++y)
    for (int x = 0; x < image.width; ++x)
      if (marks[static_cast<size_t>(y) * image.width + x])
        std::copy_n(image.at(within(y, tile.top, tile.bottom), within(x, tile.left, tile.right)), 3, image.at(y, x));
}

}  // namespace boxcam
