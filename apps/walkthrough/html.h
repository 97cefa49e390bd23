// Building blocks of a self-contained HTML page: text, pictures as data URIs, colour maps, small charts as inline SVG.
#pragma once

#include <cstdio>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "nn/data/dataset.h"

namespace boxcam {

/// As printf, into a string of at most 511 bytes.
template <class... Values>
std::string formatted(const char* format, Values... values) {
  char text[512];
  std::snprintf(text, sizeof text, format, values...);
  return text;
}

/// Text for HTML: & < > and quotes become entities.
std::string escape_html(const std::string& text);
/// "0.0123", "1.2 × 10<sup>−7</sup>", "–" for NaN.
std::string number_html(double value);

/// A PNG as the value of an <img src>: "data:image/png;base64,...".
std::string png_data_uri(const Image& image);

enum class ColourMap {
  heat,        ///< blue to red, as in the overlays: a CAM in [0, 1]
  diverging,   ///< blue, white at the middle, red: signed values
  sequential,  ///< dark violet to yellow: magnitudes
};
/// A map of height x width values in colours, `low` to `high`.
Image paint(std::span<const float> values, int height, int width, double low, double high, ColourMap map);

/// A bar of the map's colours with the values at its ends (and, diverging, its middle) and their unit.
std::string colour_bar(ColourMap map, double low, double high, const std::string& unit);

/// A horizontal bar chart around zero: one row for each (label, value).
std::string bar_chart(const std::vector<std::pair<std::string, double>>& rows, const std::string& unit);

/// How many values there are of each size, log10 on both axes; zeros and values below the axis are counted apart.
struct MagnitudeHistogram {
  static constexpr int kLowest = -12, kHighest = 2, kPerDecade = 4;  ///< powers of ten
  std::vector<double> counts = std::vector<double>((kHighest - kLowest) * kPerDecade);
  double zeros = 0, all = 0;
  void add(std::span<const float> values);
};
struct HistogramSeries {
  std::string name, colour;
  MagnitudeHistogram histogram;
};
/// Outlines of several histograms over common axes.
std::string histogram_chart(const std::vector<HistogramSeries>& series, const std::string& title,
                            const std::string& unit);

/// A bar in a table's cell: `share` of its full width.
std::string cell_bar(double share, const std::string& colour);

}  // namespace boxcam
