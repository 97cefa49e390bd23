// Figures of the walkthrough's page: colour maps, and small charts as inline SVG.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "apps/common/html.h"

namespace boxcam {

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

}  // namespace boxcam
