#include "apps/walkthrough/figures.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "xai/overlay.h"

namespace boxcam {

namespace {

using Rgb = std::array<uint8_t, 3>;

/// The colour at `at` in [0, 1] of stops at equal distances.
Rgb between(std::span<const Rgb> stops, double at) {
  const double place = std::clamp(at, 0.0, 1.0) * static_cast<double>(stops.size() - 1);
  const size_t below = std::min(static_cast<size_t>(place), stops.size() - 2);
  Rgb colour;
  for (int c = 0; c < 3; ++c)
    colour[c] = static_cast<uint8_t>(
        std::lround(stops[below][c] + (place - static_cast<double>(below)) * (stops[below + 1][c] - stops[below][c])));
  return colour;
}

Rgb colour_of(ColourMap map, double at) {
  static constexpr Rgb diverging[] = {{5, 48, 97},     {67, 147, 195}, {209, 229, 240}, {247, 247, 247},
                                      {253, 219, 199}, {214, 96, 77},  {103, 0, 31}};  // ColorBrewer's RdBu
  static constexpr Rgb sequential[] = {{68, 1, 84},    {70, 50, 126},  {54, 92, 141},  {39, 127, 142},
                                       {31, 161, 135}, {74, 193, 109}, {160, 218, 57}, {253, 231, 37}};  // viridis
  switch (map) {
    case ColourMap::diverging: return between(diverging, at);
    case ColourMap::sequential: return between(sequential, at);
    case ColourMap::heat: break;
  }
  return heat_colour(at);
}

std::string plain_number(double value) { return formatted("%.3g", value); }

}  // namespace

Image paint(std::span<const float> values, int height, int width, double low, double high, ColourMap map) {
  Image image(height, width);
  const double range = high > low ? high - low : 1;
  for (size_t i = 0; i < values.size(); ++i) {
    const Rgb colour = colour_of(map, (values[i] - low) / range);
    std::copy_n(colour.data(), 3, &image.pixels[i * 3]);
  }
  return image;
}

std::string colour_bar(ColourMap map, double low, double high, const std::string& unit) {
  std::vector<float> ramp(128);
  for (size_t i = 0; i < ramp.size(); ++i) ramp[i] = static_cast<float>(i) / static_cast<float>(ramp.size() - 1);
  return "<div class=\"scale\"><img alt=\"colour scale\" src=\"" + png_data_uri(paint(ramp, 1, 128, 0, 1, map)) +
         "\"><div class=\"ends\"><span>" + number_html(low) + "</span><span class=\"unit\">" +
         (map == ColourMap::diverging && !unit.empty() ? "0 · " : "") + unit + "</span><span>" + number_html(high) +
         "</span></div></div>";
}

std::string bar_chart(const std::vector<std::pair<std::string, double>>& rows, const std::string& unit) {
  constexpr int width = 224, left = 44, right = 6, top = 4, row = 17;
  double low = 0, high = 0;
  for (const auto& [label, value] : rows) low = std::min(low, value), high = std::max(high, value);
  if (low == high) high = 1;
  const int bottom = top + row * static_cast<int>(rows.size());
  const auto x_of = [&](double value) { return left + (value - low) / (high - low) * (width - left - right); };
  std::string svg = formatted("<svg class=\"chart\" viewBox=\"0 0 %d %d\" role=\"img\">", width, bottom + 30);
  for (size_t i = 0; i < rows.size(); ++i) {
    const double value = rows[i].second, y = top + row * static_cast<double>(i);
    svg += formatted("<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>", left - 5, y + 12,
                     escape_html(rows[i].first).c_str());
    svg += formatted("<rect x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"%d\" class=\"%s\"/>",
                     std::min(x_of(0), x_of(value)), y + 2, std::abs(x_of(value) - x_of(0)), row - 5,
                     value < 0 ? "minus" : "plus");
  }
  svg += formatted("<line x1=\"%.2f\" x2=\"%.2f\" y1=\"%d\" y2=\"%d\" class=\"axis\"/>", x_of(0), x_of(0), top, bottom);
  for (const double tick : {low, 0.0, high})
    if (tick != 0 || (-low > 0.25 * (high - low) && high > 0.25 * (high - low)) || low == 0 || high == 0)
      svg += formatted("<text x=\"%.1f\" y=\"%d\" text-anchor=\"%s\">%s</text>", x_of(tick), bottom + 12,
                       x_of(tick) > width - 30  ? "end"
                       : x_of(tick) < left + 10 ? "start"
                                                : "middle",
                       plain_number(tick).c_str());
  svg += formatted("<text x=\"%d\" y=\"%d\" text-anchor=\"middle\" class=\"unit\">%s</text></svg>", (left + width) / 2,
                   bottom + 26, escape_html(unit).c_str());
  return svg;
}

void MagnitudeHistogram::add(std::span<const float> values) {
  for (const float value : values) {
    const double power = std::log10(std::abs(static_cast<double>(value)));
    if (!(power >= kLowest)) {  // zero's power is -inf
      ++zeros;
      continue;
    }
    const double bin = std::min((power - kLowest) * kPerDecade, static_cast<double>(counts.size() - 1));
    ++counts[static_cast<size_t>(bin)];
  }
  all += static_cast<double>(values.size());
}

std::string histogram_chart(const std::vector<HistogramSeries>& series, const std::string& title,
                            const std::string& unit) {
  using H = MagnitudeHistogram;
  constexpr int width = 380, height = 196, left = 40, right = 8, top = 38, bottom = 160;
  // The decades that hold anything; counts up to the next power of ten.
  int first = H::kHighest, last = H::kLowest;
  double most = 1;
  for (const HistogramSeries& s : series)
    for (size_t i = 0; i < s.histogram.counts.size(); ++i)
      if (s.histogram.counts[i] > 0) {
        const int decade = H::kLowest + static_cast<int>(i) / H::kPerDecade;
        first = std::min(first, decade), last = std::max(last, decade + 1);
        most = std::max(most, s.histogram.counts[i]);
      }
  if (first >= last) first = -6, last = 0;
  const double decades = std::max(1.0, std::ceil(std::log10(most)));
  const auto x_of = [&](double power) { return left + (power - first) / (last - first) * (width - left - right); };
  const auto y_of = [&](double count) {  // half a decade below 1, so that single values show
    return bottom - (count > 0 ? (std::log10(count) + 0.5) / (decades + 0.5) : 0) * (bottom - top);
  };
  std::string svg = formatted("<svg class=\"chart\" viewBox=\"0 0 %d %d\" role=\"img\">", width, height);
  svg += "<text x=\"" + std::to_string(left) + "\" y=\"12\" class=\"title\">" + escape_html(title) + "</text>";
  const auto power_text = [](double x, double y, const char* anchor, int power) {
    return formatted(
        "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">10<tspan dy=\"-4\" class=\"power\">%s%d</tspan></text>", x, y,
        anchor, power < 0 ? "−" : "", std::abs(power));
  };
  const int step = last - first > 8 ? 2 : 1;
  for (int power = first; power <= last; ++power) {
    svg += formatted("<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\" class=\"grid\"/>", x_of(power), x_of(power),
                     top, bottom);
    if ((power - first) % step == 0)
      svg += power_text(std::min(x_of(power), width - 14.0), bottom + 15, "middle", power);
  }
  for (int power = 0; power <= decades; ++power) {
    const double y = y_of(std::pow(10, power));
    svg += formatted("<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" class=\"grid\"/>", left, width - right, y, y);
    if (decades <= 4 || power % 2 == 0) svg += power_text(left - 4, y + 4, "end", power);
  }
  double legend = left;
  for (const HistogramSeries& s : series) {
    std::string path;
    for (int i = (first - H::kLowest) * H::kPerDecade; i < (last - H::kLowest) * H::kPerDecade; ++i) {
      const double begin = H::kLowest + static_cast<double>(i) / H::kPerDecade, y = y_of(s.histogram.counts[i]);
      path += formatted("%s%.1f %.1f L%.1f %.1f ", path.empty() ? "M" : "L", x_of(begin), y,
                        x_of(begin + 1.0 / H::kPerDecade), y);
    }
    svg += formatted("<path d=\"M%.1f %d L", x_of(first), bottom) + path.substr(1) +
           formatted("L%.1f %d Z\" fill=\"%s\" fill-opacity=\"0.18\" stroke=\"%s\" stroke-width=\"1.3\"/>", x_of(last),
                     bottom, s.colour.c_str(), s.colour.c_str());
    const std::string zeros =
        s.histogram.zeros == 0 ? "" : formatted(" (%.3g %% zero)", 100 * s.histogram.zeros / s.histogram.all);
    svg += formatted(
               "<rect x=\"%.1f\" y=\"19\" width=\"10\" height=\"10\" fill=\"%s\" fill-opacity=\"0.55\"/>"
               "<text x=\"%.1f\" y=\"28\">",
               legend, s.colour.c_str(), legend + 14) +
           escape_html(s.name + zeros) + "</text>";
    legend += 30 + 6.2 * static_cast<double>(s.name.size() + zeros.size());
  }
  svg +=
      formatted("<line x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\" class=\"axis\"/>", left, width - right, bottom, bottom);
  svg += formatted("<text x=\"%d\" y=\"%d\" text-anchor=\"middle\" class=\"unit\">", (left + width - right) / 2,
                   height - 4) +
         escape_html(unit) + "</text></svg>";
  return svg;
}

}  // namespace boxcam
