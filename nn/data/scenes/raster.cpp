#include "nn/data/scenes/raster.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace boxcam {

Colour operator*(Colour c, double factor) { return {c.r * factor, c.g * factor, c.b * factor}; }

Colour mix(Colour from, Colour to, double t) {
  return {from.r + (to.r - from.r) * t, from.g + (to.g - from.g) * t, from.b + (to.b - from.b) * t};
}

Polygon ellipse(double x, double y, double rx, double ry) {
  constexpr int corners = 24;
  Polygon polygon;
  for (int i = 0; i < corners; ++i) {
    const double angle = 2 * std::numbers::pi * i / corners;
    polygon.push_back({x + rx * std::cos(angle), y + ry * std::sin(angle)});
  }
  return polygon;
}

Polygon rectangle(double x0, double y0, double x1, double y1) { return {{x0, y0}, {x1, y0}, {x1, y1}, {x0, y1}}; }

Polygon rounded(const Polygon& polygon) {
  Polygon result = polygon;
  for (int round = 0; round < 2; ++round) {
    Polygon cut;
    for (size_t i = 0; i < result.size(); ++i) {
      const Point a = result[i], b = result[(i + 1) % result.size()];
      cut.push_back({a.x + (b.x - a.x) / 4, a.y + (b.y - a.y) / 4});
      cut.push_back({b.x + (a.x - b.x) / 4, b.y + (a.y - b.y) / 4});
    }
    result = std::move(cut);
  }
  return result;
}

Canvas::Canvas(int size)
    : size_(size), pixels_(size_t(size) * size), change_(size_t(size) * (size + 2)) {}  // + 2: edges at x = 1

int Canvas::pixel(double coordinate) const {
  return static_cast<int>(std::clamp(std::ceil(coordinate * size_ - 0.5), 0.0, double(size_)));
}

// Spreads an edge over the pixels it crosses: in each row the coverage to the right of the edge changes by the height
// the edge crosses, and in the pixels it runs through by the area on its right.
void Canvas::add_edge(Point from, Point to) {
  if (from.y == to.y) return;
  const double direction = from.y < to.y ? 1 : -1;
  if (direction < 0) std::swap(from, to);
  const double slope = (to.x - from.x) / (to.y - from.y);
  const double leftmost = std::clamp(std::min(from.x, to.x), 0.0, double(size_));
  const double rightmost = std::clamp(std::max(from.x, to.x), 0.0, double(size_));
  const int last = static_cast<int>(std::min(std::ceil(to.y), double(size_)));
  for (int y = static_cast<int>(std::max(std::floor(from.y), 0.0)); y < last; ++y) {
    const double top = std::max(double(y), from.y), bottom = std::min(y + 1.0, to.y);
    const double height = (bottom - top) * direction;
    const double xa = std::clamp(from.x + (top - from.y) * slope, leftmost, rightmost);
    const double xb = std::clamp(from.x + (bottom - from.y) * slope, leftmost, rightmost);
    const double x0 = std::min(xa, xb), x1 = std::max(xa, xb);
    const int first = static_cast<int>(x0), end = static_cast<int>(std::floor(x1));
    double* row = &change_[size_t(y) * (size_ + 2)];
    double before = 0;  // share of the edge's height whose right-hand area is already accounted for
    for (int x = first; x <= end; ++x) {
      double covered = 1;  // mean share of pixel x to the right of the edge, over the whole height in this row
      if (first == end) {
        covered = x + 1 - (x0 + x1) / 2;
      } else {
        const double enter = (std::max(x0, double(x)) - x0) / (x1 - x0);
        const double leave = (std::min(x1, x + 1.0) - x0) / (x1 - x0);
        const double middle = (std::max(x0, double(x)) + std::min(x1, x + 1.0)) / 2;
        covered = enter + (leave - enter) * (x + 1 - middle);
      }
      row[x] += height * (covered - before);
      before = covered;
    }
    row[end + 1] += height * (1 - before);
  }
}

void Canvas::fill(const Polygon& polygon, Colour top, Colour bottom, double alpha) {
  double x_min = 1, x_max = 0, y_min = 1e9, y_max = -1e9;
  for (const Point& p : polygon) {
    x_min = std::min(x_min, p.x), x_max = std::max(x_max, p.x);
    y_min = std::min(y_min, p.y), y_max = std::max(y_max, p.y);
  }
  for (size_t i = 0; i < polygon.size(); ++i) {
    const Point a = polygon[i], b = polygon[(i + 1) % polygon.size()];
    add_edge({a.x * size_, a.y * size_}, {b.x * size_, b.y * size_});
  }
  const int left = static_cast<int>(std::clamp(x_min, 0.0, 1.0) * size_);
  const int right = static_cast<int>(std::clamp(x_max, 0.0, 1.0) * size_) + 2;  // two entries after the last edge
  const int first = static_cast<int>(std::clamp(y_min, 0.0, 1.0) * size_);
  const int last = static_cast<int>(std::ceil(std::clamp(y_max, 0.0, 1.0) * size_));
  for (int y = first; y < last; ++y) {
    const double t = std::clamp(((y + 0.5) / size_ - y_min) / (y_max - y_min), 0.0, 1.0);
    const Colour colour = mix(top, bottom, t);
    double* row = &change_[size_t(y) * (size_ + 2)];
    double coverage = 0;
    for (int x = left; x < right; ++x) {
      coverage += row[x];
      row[x] = 0;
      const double share = std::min(std::abs(coverage), 1.0) * alpha;
      if (x < size_ && share > 1e-9) at(y, x) = mix(at(y, x), colour, share);  // 1e-9: rounding left by closed edges
    }
  }
}

void Canvas::line(Point from, Point to, double width, Colour colour, double alpha) {
  const double dx = to.x - from.x, dy = to.y - from.y, length = std::sqrt(dx * dx + dy * dy);
  if (length == 0) return;
  const double nx = -dy / length * width / 2, ny = dx / length * width / 2;
  fill({{from.x + nx, from.y + ny}, {to.x + nx, to.y + ny}, {to.x - nx, to.y - ny}, {from.x - nx, from.y - ny}}, colour,
       alpha);
}

Colour Canvas::mean(double x0, double y0, double x1, double y1) const {
  const int left = std::min(pixel(x0), size_ - 1), right = std::max(pixel(x1), left + 1);
  const int top = std::min(pixel(y0), size_ - 1), bottom = std::max(pixel(y1), top + 1);
  Colour sum;
  for (int y = top; y < bottom; ++y)
    for (int x = left; x < right; ++x) {
      const Colour& c = at(y, x);
      sum = {sum.r + c.r, sum.g + c.g, sum.b + c.b};
    }
  return sum * (1.0 / ((right - left) * (bottom - top)));
}

}  // namespace boxcam
