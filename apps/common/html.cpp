#include "apps/common/html.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "nn/data/image.h"

namespace boxcam {

namespace {

constexpr const char* kStyle = R"(
:root { color-scheme: light dark; --page: #fff; --ink: #1c2024; --soft: #5b626b; --line: #d9dde2; --fill: #f1f3f5;
  --grid: #e4e7ea; --grey: #8a8f98; --blue: #2166ac; --orange: #d95f0e; --red: #b2182b; --note: #fdf8ea;
  --note-line: #e6cf9a; }
@media screen and (prefers-color-scheme: dark) {
  :root { --page: #15181c; --ink: #e4e7ea; --soft: #a2a9b2; --line: #363c44; --fill: #20252b; --grid: #2a3037;
    --grey: #868d97; --blue: #74b0e8; --orange: #f19a55; --red: #ef8a80; --note: #26221a; --note-line: #5a4d2c; }
}
* { box-sizing: border-box; }
html { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
body { margin: 0 auto; max-width: 1240px; padding: 28px 24px 48px; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", "Helvetica Neue", Arial, "Liberation Sans", "DejaVu Sans", sans-serif; }
h1 { font-size: 30px; line-height: 1.2; margin: 0 0 6px; letter-spacing: -0.01em; }
h2 { font-size: 21px; line-height: 1.3; margin: 0 0 8px; display: flex; align-items: center; gap: 12px; }
h3 { font-size: 15px; margin: 22px 0 8px; }
p { margin: 0 0 10px; max-width: 88ch; }
section { border-top: 1px solid var(--line); margin-top: 30px; padding-top: 24px; }
.lead { color: var(--soft); font-size: 16px; }
sub, sup { line-height: 0; font-size: 72%; }
.finding { border-left: 3px solid var(--blue); padding: 4px 0 4px 12px; margin: 10px 0; max-width: 92ch; }
code { font: 13px/1.4 ui-monospace, "DejaVu Sans Mono", "Liberation Mono", monospace; }
table { border-collapse: collapse; font-size: 14px; margin: 10px 0; font-variant-numeric: tabular-nums; }
caption, figcaption { text-align: left; color: var(--soft); font-size: 13px; line-height: 1.4; }
caption { padding-bottom: 6px; max-width: 100ch; }
th, td { text-align: left; padding: 4px 14px 4px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; white-space: nowrap; }
thead th { border-bottom: 1.5px solid var(--ink); }
td.r, th.r { text-align: right; white-space: nowrap; }
table.facts th { color: var(--soft); font-weight: 500; }
.charts { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 18px 22px; margin: 12px 0; }
.charts > * { break-inside: avoid; }
figure { margin: 0; min-width: 0; break-inside: avoid; }
figcaption { margin-top: 5px; }
figcaption b { color: var(--ink); font-weight: 600; }
svg.chart { display: block; width: 100%; height: auto; font: 11px system-ui, Arial, "Liberation Sans", sans-serif; }
svg.chart text { fill: var(--ink); }
svg.chart .title { font-weight: 600; font-size: 13px; }
svg.chart .unit { fill: var(--soft); }
svg.chart .axis { stroke: var(--ink); stroke-width: 1; }
svg.chart .grid { stroke: var(--grid); stroke-width: 1; }
svg.cellbar { width: 130px; height: 12px; display: block; margin-top: 5px; background: var(--fill); }
footer { margin-top: 36px; border-top: 1px solid var(--line); padding-top: 12px; color: var(--soft); font-size: 13px; }
@page { size: A4; margin: 14mm 13mm; }
@media print {
  :root { color-scheme: light; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  h1 { font-size: 20pt; }
  h2 { font-size: 14pt; break-after: avoid; }
  h3 { break-after: avoid; }
  p, .finding, tr { break-inside: avoid; }
  .charts { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  figcaption, caption { font-size: 8pt; }
  table { font-size: 9pt; }
  th, td { padding-right: 8px; }
  svg.cellbar { width: 80px; }
}
)";

}  // namespace

std::string escape_html(const std::string& text) {
  std::string result;
  for (const char c : text) switch (c) {
      case '&': result += "&amp;"; break;
      case '<': result += "&lt;"; break;
      case '>': result += "&gt;"; break;
      case '"': result += "&quot;"; break;
      case '\'': result += "&#39;"; break;
      default: result += c;
    }
  return result;
}

std::string number_html(double value) {
  if (std::isnan(value)) return "–";
  if (value == 0) return "0";  // never "−0"
  std::string text = formatted("%.3g", value);
  std::string exponent;
  if (const size_t e = text.find('e'); e != std::string::npos) {
    const int power = std::atoi(text.c_str() + e + 1);
    text.resize(e);
    exponent = " × 10<sup>" + (power < 0 ? "−" + std::to_string(-power) : std::to_string(power)) + "</sup>";
  }
  if (text[0] == '-') text.replace(0, 1, "−");
  return text + exponent;
}

std::string percent_html(double share) { return std::isnan(share) ? "–" : formatted("%.1f %%", 100 * share); }

std::string png_data_uri(const std::string& png) {
  std::string text(4 * ((png.size() + 2) / 3) + 1, '\0');  // EVP_EncodeBlock ends it with a zero
  text.resize(EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                              reinterpret_cast<const unsigned char*>(png.data()), static_cast<int>(png.size())));
  return "data:image/png;base64," + text;
}

std::string png_data_uri(const Image& image) { return png_data_uri(png_bytes(image)); }

std::string cell_bar(double share, const std::string& colour) {
  return formatted(
      "<svg class=\"cellbar\" viewBox=\"0 0 100 10\" preserveAspectRatio=\"none\"><rect width=\"%.2f\" height=\"10\" "
      "fill=\"%s\"/></svg>",
      100 * std::clamp(share, 0.0, 1.0), colour.c_str());
}

std::string html_page(const std::string& title, const std::string& style, const std::string& body) {
  return "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta "
         "http-equiv=\"Content-Security-Policy\" "
         "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n<meta name=\"viewport\" "
         "content=\"width=device-width, initial-scale=1\">\n<link rel=\"icon\" href=\"data:,\">\n<title>" +
         escape_html(title) + "</title>\n<style>" + kStyle + style + "</style>\n</head>\n<body>\n" + body +
         "</body>\n</html>\n";
}

}  // namespace boxcam
