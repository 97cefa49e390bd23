#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "apps/common/html.h"
#include "apps/common/report/chart.h"
#include "apps/common/report/parts.h"
#include "apps/common/report/values.h"
#include "engine/base/check.h"
#include "engine/base/text.h"

namespace boxcam {

namespace {

std::string p_html(double p) { return std::isnan(p) ? "–" : p < 0.001 ? "&lt; 0.001" : formatted("%.3f", p); }

std::string spread_html(const Measure& measure, double mean, double sd, bool sign = false) {
  const std::string text = value_html(measure, mean, sign);
  return std::isnan(sd) || std::isnan(mean) ? text : text + " ± " + value_html(measure, sd);
}

std::string cell_html(const Measure& measure, const StudyCell& cell) {
  std::string html = spread_html(measure, cell.mean, cell.sd);
  if (!cell.beside.empty()) html += "<br><span class=\"soft\">" + escape_html(cell.beside) + "</span>";
  return html;
}

/// Runs that the numbers of a table's row are made of: "8", or "7 to 8".
std::string count_html(const StudyTableRow& row) {
  int64_t least = 0, most = 0;
  for (const StudyCell& cell : row.cells) {
    if (cell.n == 0) continue;
    least = least == 0 ? cell.n : std::min(least, cell.n);
    most = std::max(most, cell.n);
  }
  return least == most ? std::to_string(most) : str(least, " to ", most);
}

std::string means_table(const StudyTable& table) {
  std::vector<std::string> header = {"row", "n"};
  for (const Measure& measure : table.columns) header.push_back(title_html(measure));
  std::vector<std::vector<std::string>> rows;
  for (const StudyTableRow& row : table.rows) {
    rows.push_back({"<b>" + escape_html(row.label) + "</b>", count_html(row)});
    for (size_t c = 0; c < std::min(row.cells.size(), table.columns.size()); ++c)
      rows.back().push_back(cell_html(table.columns[c], row.cells[c]));
  }
  return table_html(escape_html(table.caption), header, rows, 1);
}

std::string difference_row(const std::string& label, const Measure& measure, const PairedDifference& d) {
  const std::string interval =
      std::isnan(d.low) ? "–" : value_html(measure, d.low, true) + " to " + value_html(measure, d.high, true);
  std::string html = "<tr><td>" + escape_html(label) + "</td>";
  for (const std::string& cell :
       {spread_html(measure, d.mean, d.sd, true), interval, std::to_string(d.pairs), p_html(d.p), p_html(d.holm_p)})
    html += "<td class=\"r\">" + cell + "</td>";
  return html + "<td>" + escape_html(d.verdict) + "</td></tr>\n";
}

/// A group of rows for each measure.
std::string differences_table(const StudyTable& table, const std::string& reference) {
  std::string groups;
  for (size_t c = 0; c < table.columns.size(); ++c) {
    std::string rows;
    for (const StudyTableRow& row : table.rows)
      if (c < row.cells.size() && row.cells[c].difference)
        rows += difference_row(row.label, table.columns[c], *row.cells[c].difference);
    if (rows.empty()) continue;
    groups += "<tbody class=\"group\"><tr><th colspan=\"7\">" + escape_html(table.columns[c].title) +
              (table.columns[c].share ? ", points" : "") + "</th></tr>\n" + rows + "</tbody>";
  }
  if (groups.empty()) return "";
  return "<div class=\"scroll\"><table><caption>Difference from “" + escape_html(reference) +
         "”, seed by seed: mean ± standard deviation over the pairs; 95 % interval by bootstrap over images and seeds; "
         "p "
         "of the exact two-sided sign-flip test, alone and after Holm over the rows.</caption><thead><tr><th>row</th>"
         "<th class=\"r\">difference</th><th class=\"r\">interval</th><th class=\"r\">n</th><th class=\"r\">p</th><th "
         "class=\"r\">p, Holm</th><th>verdict</th></tr></thead>" +
         groups + "</table></div>\n";
}

std::string tables(const StudyRecord& study) {
  std::string html;
  for (const StudyTable& table : study.tables)
    html +=
        "<h3>" + escape_html(table.title) + "</h3>\n" + means_table(table) + differences_table(table, study.reference);
  for (const TextTable& table : study.more) {
    std::vector<std::string> header;
    for (const std::string& title : table.header) header.push_back(escape_html(title));
    std::vector<std::vector<std::string>> rows;
    for (const auto& row : table.rows) {
      rows.emplace_back();
      for (const std::string& cell : row) rows.back().push_back(escape_html(cell));
    }
    html += "<h3>" + escape_html(table.title) + "</h3>\n" + table_html(escape_html(table.caption), header, rows, 1);
  }
  return html;
}

std::string failures(const StudyRecord& study) {
  if (study.failed.empty()) return "";
  std::vector<std::vector<std::string>> rows;
  for (const FailedRun& run : study.failed)
    rows.push_back({escape_html(run.row), escape_html(run.seed),
                    "<span class=\"failed\">" + escape_html(run.sentence) + "</span>"});
  return table_html("These runs failed; they are in no number.", {"row", "seed", "what it said"}, rows, 3);
}

bool is_there(const std::vector<RunRecord>& runs, const std::string& key) {
  return !std::isnan(mean_of(values_of(runs, key)));
}

/// Accuracy against Content-Heatmap of one split.
std::string front(const StudyRecord& study, const std::string& prefix, const std::string& where) {
  const std::string x = prefix + "content_heatmap", y = prefix + "accuracy";
  const std::vector<RunRecord> runs = runs_of(study.rows);
  if (!is_there(runs, x) || !is_there(runs, y)) return "";
  std::vector<Cloud> clouds;
  for (const StudyRow& row : study.rows) {
    clouds.push_back({row.label, {}});
    for (const RunRecord& run : row.runs)
      clouds.back().points.emplace_back(number_in(run.test, x), number_in(run.test, y));
  }
  return "<figure>" + scatter_chart({"Content-Heatmap" + where}, {"accuracy" + where}, clouds) + "</figure>\n";
}

std::string fronts(const StudyRecord& study) {
  const std::string figures = front(study, "test_", "") + front(study, "out_of_context_", " out of context");
  if (figures.empty()) return "";
  std::string legend = "<ol class=\"legend\">\n";
  for (size_t i = 0; i < study.rows.size(); ++i)
    legend += str("<li>", marker_html(static_cast<int>(i)), "<b>", i + 1, "</b> ", escape_html(study.rows[i].label),
                  "</li>\n");
  return "<p>Every run is a point; the large marker is the mean of its row. The dotted line joins the means that no "
         "other "
         "row exceeds in both.</p>\n<div class=\"two\">\n" +
         figures + "</div>\n" + legend + "</ol>\n";
}

/// The runs' values of a measure, row by row.
std::string distribution(const StudyRecord& study, const Measure& measure) {
  std::vector<Strip> strips;
  double reference = kUnknown;
  for (const StudyRow& row : study.rows) {
    Strip strip{row.label, values_of(row.runs, measure.key)};
    const double mean = mean_of(strip.values);
    strip.says = value_html(measure, mean);
    if (row.label == study.reference) reference = mean;
    strips.push_back(std::move(strip));
  }
  return "<figure>" + strip_chart(measure.title, {"", measure.share}, strips, reference) + "</figure>\n";
}

/// Of each seed that a row and the reference row have, the difference, under the interval of the first table that has
/// one.
std::string paired(const StudyRecord& study, const Measure& measure) {
  const auto reference = std::find_if(study.rows.begin(), study.rows.end(),
                                      [&](const StudyRow& row) { return row.label == study.reference; });
  if (reference == study.rows.end()) return "";
  std::vector<Strip> strips;
  for (const StudyRow& row : study.rows) {
    if (row.label == study.reference) continue;
    Strip strip{row.label, {}};
    for (const RunRecord& run : row.runs)
      for (const RunRecord& base : reference->runs)
        if (run.seed == base.seed)
          strip.values.push_back(number_in(run.test, measure.key) - number_in(base.test, measure.key));
    strip.says = value_html(measure, mean_of(strip.values), true);
    for (const StudyTable& table : study.tables)
      for (const StudyTableRow& line : table.rows)
        for (size_t c = 0; c < std::min(line.cells.size(), table.columns.size()); ++c)
          if (line.label == row.label && table.columns[c].key == measure.key && line.cells[c].difference &&
              !(strip.low < strip.high))
            strip.low = line.cells[c].difference->low, strip.high = line.cells[c].difference->high;
    strips.push_back(std::move(strip));
  }
  if (strips.empty()) return "";
  return "<figure>" +
         strip_chart(
             measure.title + ", difference from " + study.reference, {measure.share ? "points" : "", false},
             [&] {
               for (Strip& strip : strips) {  // in points: a difference of shares is no share
                 const double factor = measure.share ? 100 : 1;
                 for (double& value : strip.values) value *= factor;
                 strip.low *= factor, strip.high *= factor;
               }
               return strips;
             }(),
             0) +
         "</figure>\n";
}

std::string distributions(const StudyRecord& study) {
  std::string values, differences;
  for (const Measure& measure : measures_of(runs_of(study.rows))) {
    values += distribution(study, measure);
    differences += paired(study, measure);
  }
  if (values.empty()) return "";
  std::string html = "<p>Every run is a dot, the bar is their mean, the dashed line the mean of “" +
                     escape_html(study.reference) + "”.</p>\n<div class=\"two\">\n" + values + "</div>\n";
  if (!differences.empty())
    html +=
        "<h3>Seed by seed</h3>\n<p>Every dot is the difference of two runs with the same seed; the line with ends is "
        "the "
        "interval of the table.</p>\n<div class=\"two\">\n" +
        differences + "</div>\n";
  return html;
}

/// Bounds that all rows' curves have in common.
std::pair<double, double> bounds_of(const std::vector<RunRecord>& runs, const std::vector<std::string>& keys) {
  double low = 1, high = 0;
  for (const RunRecord& run : runs)
    for (const nlohmann::json& epoch : run.epochs)
      for (const std::string& key : keys)
        if (const double value = number_in(epoch, key); !std::isnan(value))
          low = std::min(low, value), high = std::max(high, value);
  return {low, high};
}

/// Thin curves of the runs, and that of their mean.
void add_curves(std::vector<Line>& lines, const StudyRow& row, const std::string& key, const std::string& name,
                int style) {
  std::map<double, std::vector<double>> by_epoch;
  for (const RunRecord& run : row.runs) {
    Line line{"", style, {}, true};
    for (const nlohmann::json& epoch : run.epochs) {
      const double at = number_in(epoch, "epoch") + 1, value = number_in(epoch, key);
      line.points.emplace_back(at, value);
      by_epoch[at].push_back(value);
    }
    lines.push_back(std::move(line));
  }
  Line mean{name, style, {}};
  for (const auto& [epoch, values] : by_epoch) mean.points.emplace_back(epoch, mean_of(values));
  lines.push_back(std::move(mean));
}

std::string curves(const StudyRecord& study) {
  const std::vector<std::string> keys = {"val_accuracy", "val_content_heatmap"};
  const auto [low, high] = bounds_of(runs_of(study.rows), keys);
  if (low > high) return "";
  std::string html =
      "<p>On the validation split: thin, every run; thick, the mean of the row.</p>\n<div class=\"charts\">\n";
  for (const StudyRow& row : study.rows) {
    std::vector<Line> lines;
    add_curves(lines, row, keys[0], "accuracy", 0);
    add_curves(lines, row, keys[1], "Content-Heatmap", 1);
    html += "<figure>" + line_chart(row.label, kEpochAxis, {"validation"}, lines, low, high) + "</figure>\n";
  }
  return html + "</div>\n";
}

/// Names of the entries of an object of test.json, in the order of the classes where they are classes.
std::vector<std::string> names_in(const std::vector<RunRecord>& runs, const std::string& key) {
  std::vector<std::string> names;
  const auto add = [&](const std::string& name) {
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  };
  std::set<std::string> there;
  for (const RunRecord& run : runs)
    if (run.test.contains(key) && run.test[key].is_object())
      for (const auto& [name, value] : run.test[key].items()) there.insert(name);
  for (const RunRecord& run : runs)
    if (run.run.is_object() && run.run.contains("data") && run.run["data"].contains("classes"))
      for (const auto& name : run.run["data"]["classes"])
        if (there.contains(plain_text(name))) add(plain_text(name));
  for (const std::string& name : there) add(name);
  return names;
}

std::string by_name(const StudyRecord& study, const std::string& key, const std::string& caption,
                    bool with_lowest = true) {
  constexpr size_t most = 16;  // columns that fit
  const std::vector<std::string> names = names_in(runs_of(study.rows), key);
  if (names.empty() || names.size() > most) return "";
  const Measure share = {key, "", true};
  std::vector<std::string> header = {"row"};
  for (const std::string& name : names) header.push_back(escape_html(name));
  if (with_lowest) header.emplace_back("lowest");
  std::vector<std::vector<std::string>> rows;
  for (const StudyRow& row : study.rows) {
    rows.push_back({"<b>" + escape_html(row.label) + "</b>"});
    double lowest = kUnknown;
    for (const std::string& name : names) {
      std::vector<double> values;
      for (const RunRecord& run : row.runs)
        values.push_back(run.test.contains(key) ? number_in(run.test[key], name) : kUnknown);
      for (const double value : values)
        if (!(lowest <= value) && !std::isnan(value)) lowest = value;
      rows.back().push_back(value_html(share, mean_of(values)));
    }
    if (with_lowest) rows.back().push_back(value_html(share, lowest));
  }
  return table_html(caption, header, rows, 1);
}

std::string groups(const StudyRecord& study) {
  return by_name(study, "per_class_accuracy",
                 "Accuracy by class, %: means over the runs; lowest: of any class in any run.") +
         by_name(study, "group_accuracy", "Accuracy by group, %: means over the runs.") +
         by_name(study, "test_group_accuracy", "Accuracy by group, %: means over the runs.") +
         by_name(study, "out_of_context_group_accuracy", "Accuracy by group out of context, %: means over the runs.") +
         by_name(study, "empty_cams_by_class", "Empty CAMs by class, %: means over the runs.", false);
}

/// A run of the row with this seed that has pictures.
const RunRecord* with_pictures(const StudyRow& row, const std::string& seed) {
  for (const RunRecord& run : row.runs)
    if (run.seed == seed && !run.pictures.empty()) return &run;
  return nullptr;
}

/// The seed that most rows have pictures of, the first of equals; empty: none.
std::string seed_of_pictures(const StudyRecord& study) {
  std::string best;
  int64_t most = 0;
  for (const RunRecord& run : runs_of(study.rows)) {
    const auto rows = std::count_if(study.rows.begin(), study.rows.end(),
                                    [&](const StudyRow& row) { return with_pictures(row, run.seed) != nullptr; });
    if (rows > most) most = rows, best = run.seed;
  }
  return best;
}

const TestPicture* same_picture(const RunRecord& run, const TestPicture& wanted) {
  for (const TestPicture& p : run.pictures)
    if (p.split == wanted.split && p.index == wanted.index && p.id == wanted.id && p.label == wanted.label) return &p;
  return nullptr;
}

/// A line of pictures for each row: the same test pictures in the same columns.
std::string across(const std::vector<const StudyRow*>& rows, const std::string& seed, const std::string& split,
                   const std::vector<TestPicture>& wanted) {
  std::string html = formatted(
      "<div class=\"across\" style=\"grid-template-columns: minmax(64px, 1fr) repeat(%zu, minmax(0, 1.3fr))\">\n",
      wanted.size());
  for (const StudyRow* row : rows) {
    const RunRecord* run = with_pictures(*row, seed);
    if (!run) continue;
    html += "<div class=\"label\">" + escape_html(row->label) + "</div>\n";
    for (const TestPicture& picture : wanted) {
      const TestPicture* same = same_picture(*run, picture);
      html += same ? picture_html(*same) : "<div></div>\n";
    }
  }
  return "<h3>" + escape_html(split) + "</h3>\n" + html + "</div>\n";
}

/// The first test pictures of each class, split by split, under some rows.
std::string same_pictures(const std::vector<const StudyRow*>& rows, const std::string& seed) {
  constexpr size_t most = 8;  // columns
  const RunRecord* first = nullptr;
  for (const StudyRow* row : rows)
    if (!first) first = with_pictures(*row, seed);
  if (!first) return "";
  std::string html;
  for (const std::string& split : splits_of(first->pictures)) {
    std::vector<TestPicture> wanted;
    for (const TestPicture& picture : first->pictures)
      if (picture.split == split && picture.why == TestPicture::Why::fixed && wanted.size() < most)
        wanted.push_back(picture);
    if (!wanted.empty()) html += across(rows, seed, split, wanted);
  }
  return html;
}

std::string pictures(const StudyRecord& study) {
  const std::string seed = seed_of_pictures(study);
  std::vector<const StudyRow*> all;
  for (const StudyRow& row : study.rows) all.push_back(&row);
  std::string html = same_pictures(all, seed);
  if (html.empty()) return "";
  html = "<p>The first test pictures of each class under every row, seed " + escape_html(seed) +
         ". White: boxes. Colours: the CAM, from blue (0) to red (1). CH: the share of the CAM in the boxes.</p>\n" +
         html;
  for (const PictureSheet& sheet : study.sheets) {
    std::vector<const StudyRow*> some;
    for (const std::string& label : sheet.rows)
      for (const StudyRow& row : study.rows)
        if (row.label == label) some.push_back(&row);
    html += "<h3>" + escape_html(sheet.title) + "</h3>\n<p>" + escape_html(sheet.caption) + "</p>\n" +
            same_pictures(some, seed);
  }
  return html;
}

std::string extremes(const StudyRecord& study) {
  const std::string seed = seed_of_pictures(study);
  std::string html;
  for (const StudyRow& row : study.rows) {
    const RunRecord* run = with_pictures(row, seed);
    if (!run) continue;
    const std::string split = splits_of(run->pictures).back();
    std::string grid;
    for (const auto why : {TestPicture::Why::worst, TestPicture::Why::best})
      for (const TestPicture& picture : pictures_of(run->pictures, why, split)) grid += picture_html(picture);
    if (!grid.empty())
      html += "<h3>" + escape_html(row.label + ", " + split) + "</h3>\n<div class=\"pictures\">\n" + grid + "</div>\n";
  }
  if (html.empty()) return "";
  return "<p>Left the worst (classified wrong with the highest score, then right with the CAM least inside the boxes), "
         "right "
         "the best (right, with the CAM most inside), seed " +
         escape_html(seed) + ".</p>\n" + html;
}

std::string differing(const StudyRecord& study) {
  if (study.options.empty()) return "";
  std::vector<std::string> header = {"row"};
  for (const DifferingOption& option : study.options)
    header.push_back("<code>--" + escape_html(option.name) + "</code>");
  std::vector<std::vector<std::string>> rows;
  for (size_t r = 0; r < study.rows.size(); ++r) {
    rows.push_back({"<b>" + escape_html(study.rows[r].label) + "</b>"});
    for (const DifferingOption& option : study.options)
      rows.back().push_back(r < option.values.size() ? escape_html(option.values[r]) : "");
  }
  return table_html("Options that are not the same in all rows.", header, rows, header.size());
}

std::string seeds_text(const std::vector<RunRecord>& runs) {
  std::vector<std::string> seeds;
  for (const RunRecord& run : runs)
    if (std::find(seeds.begin(), seeds.end(), run.seed) == seeds.end()) seeds.push_back(run.seed);
  return join(seeds);
}

std::string facts(const StudyRecord& study) {
  const std::vector<RunRecord> runs = runs_of(study.rows);
  if (runs.empty()) return facts_html({{"runs", "none is finished"}});
  const auto common = [&](const std::string& option) {
    std::set<std::string> values;
    for (const RunRecord& one : runs) values.insert(option_of(one, option));
    return join({values.begin(), values.end()}, " or ");
  };
  return facts_html(
      {{"runs", str(runs.size(), " in ", study.rows.size(), study.rows.size() == 1 ? " row" : " rows",
                    study.failed.empty() ? "" : str(", and ", study.failed.size(), " failed"))},
       {"seeds", seeds_text(runs)},
       {"reference", study.reference},
       {"selection", study.selection},
       {"model", common("model")},
       {"data", common("data")},
       {"epochs", common("epochs")},
       {"explained by", str(common("explainer"), " at ", common("tap"), ", of the ", common("cam-target"), " score")}});
}

}  // namespace

std::string study_page(const StudyRecord& study) {
  const std::vector<RunRecord> runs = runs_of(study.rows);
  const std::string data = runs.empty() ? "" : data_html(runs[0]);
  return html_page(
      study.title + " · boxcam", std::string(kChartStyle) + kReportStyle,
      "<h1>" + escape_html(study.title) +
          "</h1>\n<p class=\"lead\">A study with boxcam: the same training under several options, over several "
          "seeds.</p>\n" +
          facts(study) + section_html("rows", "Rows", differing(study) + failures(study)) +
          section_html("tables", "Tables", tables(study)) +
          section_html("front", "Accuracy against Content-Heatmap", fronts(study)) +
          section_html("seeds", "Over the seeds", distributions(study)) +
          section_html("curves", "Epoch by epoch", curves(study)) +
          section_html("groups", "Classes and groups", groups(study)) +
          section_html("pictures", "The same test pictures under every row", pictures(study)) +
          section_html("extremes", "Worst and best", extremes(study)) +
          section_html("made", "Data and machine",
                       "<div class=\"two\"><div><h3>Data of the first run</h3>\n" + data +
                           "</div><div><h3>Machine</h3>\n" + machine_html(runs) + "</div></div>\n") +
          section_html("summary", "What this shows, and what it does not", summary_html(summary_of(study))));
}

}  // namespace boxcam
