// What pages are built of: text, pictures as data URIs, and the frame with the house's type, in light and dark and on
// paper. A page needs nothing but itself.
#pragma once

#include <cstdio>
#include <string>

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
/// "71.4 %", "–" for NaN.
std::string percent_html(double share);

/// A PNG as the value of an <img src>: "data:image/png;base64,...".
std::string png_data_uri(const std::string& png);
std::string png_data_uri(const Image& image);

/// A bar in a table's cell: `share` of its full width.
std::string cell_bar(double share, const std::string& colour);

/// A whole HTML file. `title` is plain text, `style` what the page adds to the house's style sheet, `body` HTML.
/// Colours are variables of that sheet: --ink, --soft, --line, --page, --fill, --grid, --blue, --orange, --grey.
std::string html_page(const std::string& title, const std::string& style, const std::string& body);

}  // namespace boxcam
