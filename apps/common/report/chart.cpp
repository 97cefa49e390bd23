#include "apps/common/report/chart.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

#include "apps/common/html.h"

namespace boxcam {

const char* const kChartStyle = R"(
.k0 { --k: var(--ink); } .k1 { --k: var(--k-blue); } .k2 { --k: var(--k-red); } .k3 { --k: var(--k-green); }
.k4 { --k: var(--k-purple); } .k5 { --k: var(--k-ochre); } .k6 { --k: var(--k-teal); } .k7 { --k: var(--k-rose); }
:root { --k-blue: #1f66a8; --k-red: #bf4a10; --k-green: #1a7a4c; --k-purple: #7c4a9e; --k-ochre: #8f6b00;
  --k-teal: #0f7f8c; --k-rose: #b0305f; }
@media screen and (prefers-color-scheme: dark) {
  :root { --k-blue: #79b4ea; --k-red: #f1925a; --k-green: #63c795; --k-purple: #c29be0; --k-ochre: #d9b54a;
    --k-teal: #5cc4d0; --k-rose: #ee8bb0; }
}
svg.chart .curve { fill: none; stroke: var(--k); stroke-width: 1.7; stroke-linejoin: round; }
svg.chart .faint { stroke-width: 0.8; opacity: 0.55; }
svg.chart .mark { stroke: var(--k); stroke-width: 1.4; fill: var(--page); stroke-linejoin: round; }
svg.chart .full { fill: var(--k); stroke: var(--page); stroke-width: 1; }
svg.chart .dot { fill: var(--ink); fill-opacity: 0.45; stroke: var(--ink); stroke-width: 0.8; }
svg.chart .mean { stroke: var(--ink); stroke-width: 2.4; }
svg.chart .span { stroke: var(--ink); stroke-width: 1.1; fill: none; }
svg.chart .zero { stroke: var(--ink); stroke-width: 1; stroke-dasharray: 4 3; fill: none; }
svg.chart .front { stroke: var(--grey); stroke-width: 1.3; stroke-dasharray: 1.5 3; fill: none; }
svg.chart .number { font-weight: 600; paint-order: stroke; stroke: var(--page); stroke-width: 3px; }
svg.key { display: inline-block; width: 14px; height: 14px; vertical-align: -2px; margin-right: 4px; }
)";

namespace {

constexpr int kStyles = 8;
constexpr double kLetter = 6;  // pixels of a letter at the charts' 11 pixels, nearly

struct Bounds {
  double low = std::nan(""), high = std::nan("");
  void add(double value) {
    if (std::isnan(value)) return;
    low = std::isnan(low) ? value : std::min(low, value);
    high = std::isnan(high) ? value : std::max(high, value);
  }
};

/// Round numbers from below `low` to above `high`.
struct Ticks {
  std::vector<double> values;
  int digits = 0;
  double first() const { return values.front(); }
  double last() const { return values.back(); }
};

Ticks ticks(Bounds b, int about) {
  if (std::isnan(b.low)) b = {0, 1};
  if (b.high - b.low < 1e-9 * std::max(1.0, std::abs(b.high))) {
    const double room = b.high == 0 ? 1 : 0.05 * std::abs(b.high);
    b = {b.low - room, b.high + room};
  }
  const double rough = (b.high - b.low) / about, power = std::pow(10, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double factor : {5.0, 2.0, 1.0})
    if (factor * power >= rough) step = factor * power;
  Ticks result;
  const auto from = static_cast<int64_t>(std::floor(b.low / step + 1e-9));
  const auto to = static_cast<int64_t>(std::ceil(b.high / step - 1e-9));
  for (int64_t i = from; i <= std::max(to, from + 1); ++i) result.values.push_back(static_cast<double>(i) * step);
  result.digits = std::max(0, static_cast<int>(-std::floor(std::log10(step) + 1e-9)));
  return result;
}

std::string tick_text(double value, int digits) {
  const std::string text = formatted("%.*f", digits, std::abs(value));
  return (value < 0 && text.find_first_not_of("0.") != std::string::npos ? "−" : "") + text;
}

/// From values to pixels.
struct Scale {
  double low, high, from, to;
  double operator()(double value) const { return from + (value - low) / (high - low) * (to - from); }
};

double shown(const Axis& axis, double value) { return axis.share ? 100 * value : value; }
std::string title_of(const Axis& axis) {
  return escape_html(axis.title + (axis.title.empty() || !axis.share ? "" : ", ") + (axis.share ? "%" : ""));
}

std::string text_at(double x, double y, const char* anchor, const std::string& html, const char* more = "") {
  return formatted("<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\"%s>", x, y, anchor, more) + html + "</text>";
}
std::string line_at(double x1, double y1, double x2, double y2, const char* what) {
  return formatted("<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" class=\"%s\"/>", x1, y1, x2, y2, what);
}
std::string begin_svg(int width, double height, const std::string& label) {
  return formatted("<svg class=\"chart\" viewBox=\"0 0 %d %.0f\" role=\"img\" aria-label=\"", width, height) +
         escape_html(label) + "\">";
}

const char* dash_of(int style) {
  static constexpr std::array<const char*, kStyles> dashes = {"none", "7 3", "2 2.5",     "9 3 2 3",
                                                              "14 4", "4 2", "1.5 3 6 3", "10 2 2 2 2 2"};
  return dashes[static_cast<size_t>(style % kStyles)];
}

/// Eight shapes; from the ninth series on they come again beside other colours.
std::string marker(double x, double y, double r, int style, const char* what) {
  const int shape = (style + style / kStyles) % kStyles;
  std::string path;
  const auto polygon = [&](std::initializer_list<std::pair<double, double>> corners) {
    for (const auto& [dx, dy] : corners)
      path += formatted("%s%.1f %.1f", path.empty() ? "M" : "L", x + dx * r, y + dy * r);
    path += "Z";
  };
  switch (shape) {
    case 0:
      return formatted("<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" class=\"%s k%d\"/>", x, y, r, what, style % kStyles);
    case 1: polygon({{-0.9, -0.9}, {0.9, -0.9}, {0.9, 0.9}, {-0.9, 0.9}}); break;
    case 2: polygon({{0, -1.2}, {1.1, 0.8}, {-1.1, 0.8}}); break;
    case 3: polygon({{0, -1.3}, {1.3, 0}, {0, 1.3}, {-1.3, 0}}); break;
    case 4: polygon({{0, 1.2}, {1.1, -0.8}, {-1.1, -0.8}}); break;
    case 5:
      polygon({{-0.4, -1.2},
               {0.4, -1.2},
               {0.4, -0.4},
               {1.2, -0.4},
               {1.2, 0.4},
               {0.4, 0.4},
               {0.4, 1.2},
               {-0.4, 1.2},
               {-0.4, 0.4},
               {-1.2, 0.4},
               {-1.2, -0.4},
               {-0.4, -0.4}});
      break;
    case 6: polygon({{-1.3, -0.6}, {1.3, -0.6}, {1.3, 0.6}, {-1.3, 0.6}}); break;
    default: polygon({{-0.6, -1.1}, {0.6, -1.1}, {1.2, 0}, {0.6, 1.1}, {-0.6, 1.1}, {-1.2, 0}}); break;
  }
  return "<path d=\"" + path + formatted("\" class=\"%s k%d\"/>", what, style % kStyles);
}

/// A frame with grid and numbers, and where values lie in it.
struct Frame {
  std::string svg;
  Scale x, y;
};
Frame frame(const Axis& x_axis, const Axis& y_axis, const Ticks& x, const Ticks& y, double left, double top,
            double right, double bottom) {
  Frame f{"", {x.first(), x.last(), left, right}, {y.first(), y.last(), bottom, top}};
  for (const double value : y.values)
    f.svg += line_at(left, f.y(value), right, f.y(value), "grid") +
             text_at(left - 5, f.y(value) + 4, "end", tick_text(value, y.digits));
  for (const double value : x.values)
    f.svg += line_at(f.x(value), top, f.x(value), bottom, "grid") +
             text_at(f.x(value), bottom + 14, "middle", tick_text(value, x.digits));
  f.svg += line_at(left, bottom, right, bottom, "axis");
  f.svg += text_at((left + right) / 2, bottom + 29, "middle", title_of(x_axis), " class=\"unit\"");
  f.svg += text_at(left - 30, top - 9, "start", title_of(y_axis), " class=\"unit\"");
  return f;
}

std::string curve(const Line& line, const Frame& f, const Axis& y_axis) {
  std::string path, marks;
  const size_t each = std::max<size_t>(1, line.points.size() / 6);
  bool pen_down = false;
  for (size_t i = 0; i < line.points.size(); ++i) {
    const double x = line.points[i].first, y = shown(y_axis, line.points[i].second);
    if (std::isnan(y)) {
      pen_down = false;
      continue;
    }
    path += formatted("%s%.1f %.1f", pen_down ? "L" : "M", f.x(x), f.y(y));
    pen_down = true;
    if (!line.faint && (i % each == 0 || i + 1 == line.points.size()))
      marks += marker(f.x(x), f.y(y), 3, line.style, "mark");
  }
  return "<path d=\"" + path +
         formatted("\" class=\"curve k%d%s\" stroke-dasharray=\"%s\"/>", line.style % kStyles,
                   line.faint ? " faint" : "", dash_of(line.style)) +
         marks;
}

/// One row of line, marker and name for each line that has a name.
std::string line_legend(const std::vector<Line>& lines, double left, double y, double right) {
  std::string svg;
  double x = left;
  for (const Line& line : lines) {
    if (line.name.empty()) continue;
    const double width = 40 + kLetter * static_cast<double>(line.name.size());
    if (x > left && x + width > right) x = left, y += 16;
    svg += formatted("<path d=\"M%.1f %.1fh26\" class=\"curve k%d\" stroke-dasharray=\"%s\"/>", x, y - 4,
                     line.style % kStyles, dash_of(line.style)) +
           marker(x + 13, y - 4, 3, line.style, "mark") + text_at(x + 31, y, "start", escape_html(line.name));
    x += width;
  }
  return svg;
}

double legend_rows(const std::vector<Line>& lines, double width) {
  double rows = 1, x = 0;
  for (const Line& line : lines) {
    if (line.name.empty()) continue;
    const double needs = 40 + kLetter * static_cast<double>(line.name.size());
    if (x > 0 && x + needs > width) ++rows, x = 0;
    x += needs;
  }
  return x > 0 ? rows : 0;
}

std::pair<double, double> centre_of(const std::vector<std::pair<double, double>>& points) {
  double x = 0, y = 0, n = 0;
  for (const auto& p : points)
    if (!std::isnan(p.first) && !std::isnan(p.second)) x += p.first, y += p.second, ++n;
  return {x / n, y / n};
}

/// The points that no other exceeds in both directions, from left to right.
std::vector<std::pair<double, double>> front_of(std::vector<std::pair<double, double>> points) {
  std::erase_if(points, [](const auto& p) { return std::isnan(p.first) || std::isnan(p.second); });
  std::sort(points.begin(), points.end());
  std::vector<std::pair<double, double>> front;
  for (auto p = points.rbegin(); p != points.rend(); ++p)
    if (front.empty() || p->second > front.back().second) front.push_back(*p);
  std::reverse(front.begin(), front.end());
  return front;
}

/// Letters that are seen: bytes that begin a character.
size_t letters(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

}  // namespace

std::string line_chart(const std::string& title, const Axis& x, const Axis& y, const std::vector<Line>& lines,
                       double low, double high) {
  constexpr int width = 380;
  constexpr double left = 40, right = 370;
  const double top = 46 + 16 * legend_rows(lines, right - left), bottom = top + 150;
  Bounds epochs, values;
  for (const Line& line : lines)
    for (const auto& point : line.points) epochs.add(point.first);
  values.add(shown(y, low));
  values.add(shown(y, high));
  Ticks x_ticks = ticks(epochs, 6);
  std::erase_if(x_ticks.values, [](double v) { return v != std::floor(v); });  // epochs are whole
  x_ticks.digits = 0;
  if (x_ticks.values.size() < 2) x_ticks.values = {std::floor(epochs.low), std::floor(epochs.low) + 1};
  const Frame f = frame(x, y, x_ticks, ticks(values, 5), left, top, right, bottom);
  std::string svg = begin_svg(width, bottom + 34, title) +
                    text_at(left - 30, 13, "start", escape_html(title), " class=\"title\"") +
                    line_legend(lines, left - 30, 30, right) + f.svg;
  for (const Line& line : lines) svg += curve(line, f, y);
  return svg + "</svg>";
}

std::string line_chart(const std::string& title, const Axis& x, const Axis& y, const std::vector<Line>& lines) {
  Bounds values;
  for (const Line& line : lines)
    for (const auto& point : line.points) values.add(point.second);
  return line_chart(title, x, y, lines, values.low, values.high);
}

std::string scatter_chart(const Axis& x, const Axis& y, const std::vector<Cloud>& clouds) {
  constexpr int width = 560;
  constexpr double left = 40, right = 548, top = 24, bottom = 334;
  Bounds xs, ys;
  for (const Cloud& cloud : clouds)
    for (const auto& p : cloud.points) xs.add(shown(x, p.first)), ys.add(shown(y, p.second));
  const Frame f = frame(x, y, ticks(xs, 7), ticks(ys, 6), left, top, right, bottom);
  std::string svg = begin_svg(width, bottom + 36, y.title + " against " + x.title) + f.svg;
  std::vector<std::pair<double, double>> means;
  for (const Cloud& cloud : clouds) means.push_back(centre_of(cloud.points));
  std::string path;
  for (const auto& p : front_of(means))
    path += formatted("%s%.1f %.1f", path.empty() ? "M" : "L", f.x(shown(x, p.first)), f.y(shown(y, p.second)));
  svg += "<path d=\"" + path + "\" class=\"front\"/>";
  for (size_t i = 0; i < clouds.size(); ++i)
    for (const auto& p : clouds[i].points)
      if (!std::isnan(p.first) && !std::isnan(p.second))
        svg += marker(f.x(shown(x, p.first)), f.y(shown(y, p.second)), 3.2, static_cast<int>(i), "mark");
  for (size_t i = 0; i < clouds.size(); ++i) {
    if (std::isnan(means[i].first) || std::isnan(means[i].second)) continue;
    const double at_x = f.x(shown(x, means[i].first)), at_y = f.y(shown(y, means[i].second));
    svg += marker(at_x, at_y, 6, static_cast<int>(i), "full") +
           text_at(at_x + 9, at_y - 6, "start", std::to_string(i + 1), " class=\"number\"");
  }
  return svg + "</svg>";
}

std::string strip_chart(const std::string& title, const Axis& axis, const std::vector<Strip>& strips,
                        double reference) {
  constexpr int width = 560;
  constexpr double row = 25, top = 24;
  size_t longest = 0, says = 0;
  Bounds values;
  values.add(shown(axis, reference));
  for (const Strip& strip : strips) {
    longest = std::max(longest, letters(strip.name));
    says = std::max(says, letters(strip.says));
    for (const double value : strip.values) values.add(shown(axis, value));
    if (strip.low < strip.high) values.add(shown(axis, strip.low)), values.add(shown(axis, strip.high));
  }
  const double left = std::min(200.0, 14 + kLetter * static_cast<double>(longest));
  const double right = width - 12 - kLetter * static_cast<double>(says);
  const double bottom = top + row * static_cast<double>(strips.size()) + 4;
  const Ticks x = ticks(values, 6);
  const Scale at{x.first(), x.last(), left + 6, right - 6};
  std::string svg =
      begin_svg(width, bottom + 34, title) + text_at(0, 13, "start", escape_html(title), " class=\"title\"");
  for (const double value : x.values)
    svg += line_at(at(value), top, at(value), bottom, "grid") +
           text_at(at(value), bottom + 14, "middle", tick_text(value, x.digits));
  if (!std::isnan(reference))
    svg += line_at(at(shown(axis, reference)), top, at(shown(axis, reference)), bottom, "zero");
  for (size_t i = 0; i < strips.size(); ++i) {
    const Strip& strip = strips[i];
    const double y = top + row * (static_cast<double>(i) + 0.5) + 2;
    svg += line_at(left, y + row / 2, width, y + row / 2, "grid") +
           text_at(left - 6, y + 4, "end", escape_html(strip.name)) + text_at(width, y + 4, "end", strip.says);
    std::vector<double> placed;
    double sum = 0, n = 0;
    for (const double value : strip.values) {
      if (std::isnan(value)) continue;
      const double x_at = at(shown(axis, value));
      const auto near = std::count_if(placed.begin(), placed.end(), [&](double p) { return std::abs(p - x_at) < 6; });
      placed.push_back(x_at);
      const double away =
          3.2 * static_cast<double>((near + 1) / 2) * (near % 2 == 0 ? 1 : -1);  // equal ones side by side
      svg +=
          formatted("<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3.2\" class=\"dot\"/>", x_at, y + std::clamp(away, -8.0, 8.0));
      sum += value;
      ++n;
    }
    if (n > 0) svg += line_at(at(shown(axis, sum / n)), y - 9, at(shown(axis, sum / n)), y + 9, "mean");
    if (strip.low < strip.high) {
      const double a = at(shown(axis, strip.low)), b = at(shown(axis, strip.high));
      svg += formatted("<path d=\"M%.1f %.1fv6m0 -3H%.1fm0 -3v6\" class=\"span\"/>", a, y - 3, b);
    }
  }
  svg += line_at(left, bottom, right, bottom, "axis");
  svg += text_at((left + right) / 2, bottom + 29, "middle", title_of(axis), " class=\"unit\"");
  return svg + "</svg>";
}

std::string marker_html(int style) {
  return "<svg class=\"chart key\" viewBox=\"0 0 14 14\" aria-hidden=\"true\">" + marker(7, 7, 4.6, style, "full") +
         "</svg>";
}

}  // namespace boxcam
