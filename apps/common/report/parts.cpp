#include "apps/common/report/parts.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "apps/common/html.h"
#include "apps/common/report/values.h"
#include "engine/base/check.h"
#include "engine/base/text.h"

namespace boxcam {

const char* const kReportStyle = R"(
body { max-width: 1160px; }
.scroll { overflow-x: auto; }
thead th, thead th.r { white-space: normal; vertical-align: bottom; line-height: 1.3; }
td b { white-space: nowrap; }
tbody.group th[colspan] { padding-top: 14px; border-bottom: 1px solid var(--ink); }
.two { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 26px 36px; margin: 14px 0; }
.pictures { display: grid; grid-template-columns: repeat(8, minmax(0, 1fr)); gap: 10px; margin: 6px 0 16px; }
.pictures figure, .across figure { font-size: 12px; }
.pictures img, .across img { display: block; width: 100%; height: auto; outline: 1px solid var(--line); }
.pictures figcaption, .across figcaption { font-size: 11.5px; line-height: 1.35; margin-top: 3px; }
.across { display: grid; gap: 8px 10px; align-items: start; margin: 6px 0 16px; }
.across .label { font-weight: 600; font-size: 13px; overflow-wrap: anywhere; padding-top: 4px; }
.legend { columns: 2; font-size: 13px; list-style: none; padding: 0; margin: 10px 0; }
.legend li { break-inside: avoid; }
.summary li { margin: 0 0 6px; max-width: 88ch; }
.soft { color: var(--soft); }
.failed { color: var(--red); }
details > summary { cursor: pointer; color: var(--soft); margin: 8px 0; }
@media screen and (max-width: 760px) {
  .two, .charts { grid-template-columns: minmax(0, 1fr); }
  .pictures { grid-template-columns: repeat(4, minmax(0, 1fr)); }
}
@media print {
  .two { gap: 14px 18px; }
  .pictures, .across { gap: 6px; }
  .pictures figcaption, .across figcaption { font-size: 6.5pt; }
  .across .label { font-size: 7.5pt; }
  .scroll { overflow: visible; }
  .scroll table { font-size: 7.5pt; }
  .scroll th, .scroll td { padding-right: 6px; }
  section > p { break-after: avoid; }
  tbody.group, .facts { break-inside: avoid; }
  code { font-size: 8pt; }
}
)";

namespace {

std::string signed_number(double value, const char* format, bool sign) {
  const std::string text = formatted(format, std::abs(value));
  const bool zero = text.find_first_not_of("0.") == std::string::npos;
  return (value < 0 && !zero ? "−" : sign ? "+" : "") + text;
}

std::string row_of(const std::vector<std::string>& cells, const char* tag, size_t numbers_from) {
  std::string html = "<tr>";
  for (size_t c = 0; c < cells.size(); ++c)
    html += str("<", tag, c >= numbers_from ? " class=\"r\">" : ">", cells[c], "</", tag, ">");
  return html + "</tr>\n";
}

std::string sentences(const std::vector<std::string>& list) {
  std::string html = "<ul class=\"summary\">\n";
  for (const std::string& sentence : list) html += "<li>" + escape_html(sentence) + "</li>\n";
  return html + "</ul>\n";
}

}  // namespace

std::string value_html(const Measure& measure, double value, bool sign) {
  if (std::isnan(value)) return "–";
  if (measure.share) return signed_number(100 * value, "%.1f", sign);
  return signed_number(value, value == std::floor(value) ? "%.0f" : "%.3g", sign);
}

std::string title_html(const Measure& measure) { return escape_html(measure.title) + (measure.share ? ", %" : ""); }

std::string section_html(const std::string& id, const std::string& title, const std::string& body) {
  return body.empty() ? ""
                      : "<section id=\"" + id + "\">\n<h2>" + escape_html(title) + "</h2>\n" + body + "</section>\n";
}

std::string table_html(const std::string& caption, const std::vector<std::string>& header,
                       const std::vector<std::vector<std::string>>& rows, size_t numbers_from) {
  std::string html = "<div class=\"scroll\"><table>";
  if (!caption.empty()) html += "<caption>" + caption + "</caption>";
  html += "<thead>" + row_of(header, "th", numbers_from) + "</thead><tbody>\n";
  for (const auto& row : rows) html += row_of(row, "td", numbers_from);
  return html + "</tbody></table></div>\n";
}

std::string facts_html(const std::vector<std::pair<std::string, std::string>>& facts) {
  std::string html = "<table class=\"facts\">\n";
  for (const auto& [name, value] : facts)
    if (!value.empty()) html += "<tr><th>" + escape_html(name) + "</th><td>" + escape_html(value) + "</td></tr>\n";
  return html + "</table>\n";
}

std::string picture_html(const TestPicture& p) {
  const bool several = p.predicted.empty();  // labels: then this picture is of one of them
  const bool right = p.label == p.predicted || several;
  std::string caption = str("<b>",
                            several ? ""
                            : right ? "✓ "
                                    : "✗ ",
                            escape_html(several ? p.label : p.predicted), "</b>");
  if (!std::isnan(p.score)) caption += formatted(" %.0f %%", 100 * p.score);
  if (!right) caption += "<br>label " + escape_html(p.label);
  caption += p.empty_cam                     ? "<br>empty CAM"
             : std::isnan(p.content_heatmap) ? ""
                                             : formatted("<br>CH %.0f %%", 100 * p.content_heatmap);
  return "<figure><img alt=\"" + escape_html("image " + p.id + ", " + p.label) + "\" src=\"" + png_data_uri(p.png) +
         "\"><figcaption>" + caption + "</figcaption></figure>\n";
}

std::string pictures_html(const std::vector<TestPicture>& pictures, TestPicture::Why why, const std::string& split) {
  std::string html;
  for (const TestPicture& picture : pictures_of(pictures, why, split)) html += picture_html(picture);
  return html.empty() ? "" : "<div class=\"pictures\">\n" + html + "</div>\n";
}

std::vector<TestPicture> pictures_of(const std::vector<TestPicture>& pictures, TestPicture::Why why,
                                     const std::string& split) {
  std::vector<TestPicture> list;
  for (const TestPicture& picture : pictures)
    if (picture.why == why && picture.split == split) list.push_back(picture);
  const auto quality = [](const TestPicture& p) {
    return p.label == p.predicted ? 1 + p.content_heatmap : 1 - p.score;
  };
  if (why != TestPicture::Why::fixed)
    std::stable_sort(list.begin(), list.end(), [&](const TestPicture& a, const TestPicture& b) {
      return why == TestPicture::Why::best ? quality(a) > quality(b) : quality(a) < quality(b);
    });
  return list;
}

std::vector<std::string> splits_of(const std::vector<TestPicture>& pictures) {
  std::vector<std::string> splits;
  for (const TestPicture& picture : pictures)
    if (std::find(splits.begin(), splits.end(), picture.split) == splits.end()) splits.push_back(picture.split);
  return splits;
}

std::string machine_html(const std::vector<RunRecord>& runs) {
  static const std::vector<std::pair<std::string, std::string>> entries = {
      {"processor", "processor"}, {"device", "device"},       {"gpu", "GPU"},
      {"threads", "threads"},     {"precision", "precision"}, {"native_kernels", "kernels for this processor"},
      {"boxcam", "boxcam"},       {"onednn", "oneDNN"},       {"cuda", "CUDA"},
      {"compiler", "compiler"},   {"jpeg", "JPEG decoder"}};
  std::vector<std::pair<std::string, std::string>> facts;
  for (const auto& [key, name] : entries) {
    std::map<std::string, int64_t> values;
    for (const RunRecord& run : runs)
      if (run.run.is_object() && run.run.contains("identity") && run.run["identity"].contains(key))
        ++values[plain_text(run.run["identity"][key])];
    std::vector<std::string> texts;
    for (const auto& [value, count] : values)
      texts.push_back(values.size() == 1 ? value : str(value, " (", count, count == 1 ? " run)" : " runs)"));
    facts.emplace_back(name, join(texts, "; "));
  }
  int64_t moved = 0;
  for (const RunRecord& run : runs) moved += run.run.is_object() && run.run.contains("moved");
  if (moved > 0)
    facts.emplace_back(
        "moved", str(moved, moved == 1 ? " run" : " runs", " went on elsewhere after a stop (run.json says where)"));
  return facts_html(facts);
}

std::string data_html(const RunRecord& run) {
  if (!run.run.is_object() || !run.run.contains("data")) return "";
  std::vector<std::pair<std::string, std::string>> facts;
  for (const auto& [split, is] : run.run["data"].items())
    if (is.is_object()) facts.emplace_back(split, text_in(is, "content"));
  return facts_html(facts);
}

std::string summary_html(const Summary& summary) {
  return "<h3>It shows</h3>\n" + sentences(summary.shows) + "<h3>It does not show</h3>\n" +
         sentences(summary.does_not_show);
}

}  // namespace boxcam
