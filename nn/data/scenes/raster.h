// A small painter for the procedural scenes: filled polygons with exact pixel coverage on a square float canvas.
#pragma once

#include <cstdint>
#include <vector>

#include "nn/data/dataset.h"

namespace boxcam {

struct Point {
  double x = 0, y = 0;
};
using Polygon = std::vector<Point>;

/// 0 is black, 255 full; values outside survive until the canvas is quantised.
struct Colour {
  double r = 0, g = 0, b = 0;
};
Colour operator*(Colour c, double factor);
Colour mix(Colour from, Colour to, double t);

Polygon ellipse(double x, double y, double rx, double ry);
Polygon rectangle(double x0, double y0, double x1, double y1);
/// Rounds the corners of a closed polygon (Chaikin), staying inside its convex hull.
Polygon rounded(const Polygon& polygon);

/// A square picture. All coordinates are relative: (0, 0) is the top left corner, (1, 1) the bottom right one, so one
/// drawing program gives the same picture at any size.
class Canvas {
 public:
  explicit Canvas(int size);
  int size() const { return size_; }

  /// Paints a simple polygon; the colour runs from `top` to `bottom` over the polygon's own height.
  void fill(const Polygon& polygon, Colour top, Colour bottom, double alpha = 1);
  void fill(const Polygon& polygon, Colour colour, double alpha = 1) { fill(polygon, colour, colour, alpha); }
  void line(Point from, Point to, double width, Colour colour, double alpha = 1);

  /// Calls shade(x, y, colour) for every pixel centre in the rectangle; the colour may be changed.
  template <class Shade>
  void each_pixel(double x0, double y0, double x1, double y1, Shade shade) {
    const int left = pixel(x0), top = pixel(y0), right = pixel(x1), bottom = pixel(y1);
    for (int y = top; y < bottom; ++y)
      for (int x = left; x < right; ++x) shade((x + 0.5) / size_, (y + 0.5) / size_, at(y, x));
  }

  /// The mean colour over a rectangle (at least one pixel).
  Colour mean(double x0, double y0, double x1, double y1) const;

  Colour& at(int y, int x) { return pixels_[size_t(y) * size_ + x]; }
  const Colour& at(int y, int x) const { return pixels_[size_t(y) * size_ + x]; }

 private:
  int pixel(double coordinate) const;  // the first pixel whose centre is not before the coordinate, within the canvas
  void add_edge(Point from, Point to);

  int size_;
  std::vector<Colour> pixels_;
  std::vector<double> change_;  // coverage gained from the pixel on the left; all zero between calls
};

}  // namespace boxcam
