// Charts of the pages as inline SVG. Series are told apart by line style, marker and number, not by colour alone.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace boxcam {

/// Rules of the style sheet that charts need.
extern const char* const kChartStyle;

/// What an axis shows. Values come as they are in files: a share is drawn in percent.
struct Axis {
  std::string title;
  bool share = true;
};
inline const Axis kEpochAxis = {"epoch", false};

/// Of a chart, the first, second ... series has the style of its number. NaN: a gap.
struct Line {
  std::string name;  ///< in the legend; empty: not there
  int style = 0;
  std::vector<std::pair<double, double>> points;
  bool faint = false;  ///< one of many behind a mean: thin, without markers
};
std::string line_chart(const std::string& title, const Axis& x, const Axis& y, const std::vector<Line>& lines);
/// The same with a range of values that several charts have in common.
std::string line_chart(const std::string& title, const Axis& x, const Axis& y, const std::vector<Line>& lines,
                       double low, double high);

/// A number's place in a plane, for each run of a row.
struct Cloud {
  std::string name;
  std::vector<std::pair<double, double>> points;
};
/// Every point small, the mean of each cloud large and numbered as in the legend; a dotted line joins the means that no
/// other exceeds in both directions.
std::string scatter_chart(const Axis& x, const Axis& y, const std::vector<Cloud>& clouds);

/// Values of a row on a line: every one a dot, their mean a bar; optionally an interval.
struct Strip {
  std::string name;
  std::vector<double> values;
  double low = 0, high = 0;  ///< of an interval; none where they are equal or NaN
  std::string says{};        ///< at the right end, "71.4 ± 2.1"
};
/// With a dashed line at `reference`, unless it is NaN.
std::string strip_chart(const std::string& title, const Axis& axis, const std::vector<Strip>& strips, double reference);

/// The marker of a series, for legends in HTML.
std::string marker_html(int style);

}  // namespace boxcam
