#include "apps/experiment/tables.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <map>
#include <set>

#include "apps/common/epoch_rules.h"
#include "apps/common/report/values.h"
#include "apps/common/run_folder.h"
#include "apps/experiment/statistics.h"
#include "apps/experiment/thesis.h"
#include "engine/base/file.h"
#include "engine/base/text.h"
#include "nn/data/csv.h"
#include "nn/files/safetensors.h"
#include "xai/cam_metrics.h"
#include "xai/explain.h"

namespace boxcam {

namespace fs = std::filesystem;

namespace {

/// A finished run with what its test images showed, split by split.
struct Finished {
  RunRecord record;
  std::string folder{};
  std::map<std::string, std::vector<nlohmann::json>> images{};  ///< by split
  std::string weights{};  ///< SHA-256 of the tensors of last.safetensors; empty: it was not kept
};

Finished finished_run(const std::string& folder, const std::string& row) {
  Finished run{read_run_record(folder), folder};
  run.record.row = row;
  std::error_code error;
  const std::string images = folder + "/test_images.jsonl";
  if (fs::exists(images, error))
    for (nlohmann::json& line : json_lines(images)) run.images[line.value("split", "")].push_back(std::move(line));
  if (const std::string last = folder + "/last.safetensors"; fs::exists(last, error)) {
    const auto metadata = read_metadata(last);
    const auto digest = metadata.find("tensors-sha256");
    run.weights = digest != metadata.end() ? digest->second : tensors_sha256(read_safetensors(last));
  }
  return run;
}

// ---- measures as ratios of sums over images
// -----------------------------------------------------------------------------

constexpr const char* kTest = "test_";
constexpr const char* kOut = "out_of_context_";

/// The images of the split that a measure is of; null where the run did not keep them.
const std::vector<nlohmann::json>* images_of(const Finished& run, const std::string& key) {
  if (run.images.empty()) return nullptr;
  const bool out = key.starts_with(kOut);
  for (const auto& [split, images] : run.images)
    if ((split.find("out") != std::string::npos) == out) return &images;
  return nullptr;
}

Ratio alone(double value) { return std::isnan(value) ? Ratio{{0}, {0}} : Ratio{{value}, {1}}; }

/// Content-Heatmap as the run takes it: of its batches, of all images together, or of each.
Ratio content_heatmap(const std::vector<nlohmann::json>& images, const nlohmann::json& options) {
  const std::string form = options.value("content-heatmap", "batch");
  const auto batch = std::max<size_t>(std::strtoull(options.value("batch", "16").c_str(), nullptr, 10), 1);
  Ratio ratio;
  double inside = 0, total = 0;
  for (size_t i = 0; i < images.size(); ++i) {
    const double in = number_in(images[i], "inside"), all = number_in(images[i], "total");
    const bool counts = number_in(images[i], "box_area") > 0 && all > 0;
    if (form == "pooled") {
      ratio.numerators.push_back(counts ? in : 0), ratio.denominators.push_back(counts ? all : 0);
    } else if (form == "image-mean") {
      ratio.numerators.push_back(counts ? in / all : 0), ratio.denominators.push_back(counts ? 1 : 0);
    } else {
      if (counts) inside += in, total += all;
      if (i % batch + 1 < batch && i + 1 < images.size()) continue;
      const double weight = total > 0 ? static_cast<double>(i % batch + 1) : 0;
      ratio.numerators.push_back(weight > 0 ? weight * inside / total : 0);
      ratio.denominators.push_back(weight);
      inside = total = 0;
    }
  }
  return ratio;
}

/// A measure that images do not give, or of a run that did not keep them, is one number.
Ratio ratio_of(const Finished& run, const std::string& key) {
  const double value = number_in(run.record.test, key);
  const std::vector<nlohmann::json>* images = images_of(run, key);
  const std::string of = key.starts_with(kOut)    ? key.substr(std::string(kOut).size())
                         : key.starts_with(kTest) ? key.substr(std::string(kTest).size())
                                                  : "";
  Ratio ratio;
  if (images && of == "accuracy") {
    for (const nlohmann::json& image : *images) {
      ratio.numerators.push_back(image.contains("label") &&
                                 image.at("label") == image.value("predicted", nlohmann::json()));
      ratio.denominators.push_back(1);
    }
  } else if (images && of == "empty_cams") {
    for (const nlohmann::json& image : *images) {
      const bool boxed = number_in(image, "box_area") > 0;
      ratio.numerators.push_back(boxed && !(number_in(image, "total") > 0));
      ratio.denominators.push_back(boxed);
    }
  } else if (images && of == "content_heatmap") {
    ratio = content_heatmap(*images, run.record.run.at("options"));
  } else {
    return alone(value);
  }
  // What is drawn from must be what was reported: else the number stands alone.
  return std::abs(ratio.value() - value) < 1e-3 ? ratio : alone(value);
}

// ---- tables
// -------------------------------------------------------------------------------------------------------------

std::vector<double> known(std::vector<double> values) {
  std::erase_if(values, [](double v) { return std::isnan(v); });
  return values;
}

std::string verdict_of(const PairedDifference& d) {
  if (d.pairs < kFewestPairs) return str("n = ", d.pairs, ": no verdict");
  if (d.out_of_reach) return "all seeds agree, too few for so many rows";
  if (!(d.holm_p < 0.05)) return "no difference seen";
  return d.mean > 0 ? "larger" : "smaller";
}

using Rows = std::vector<std::vector<Finished>>;
using Value = std::function<double(const Finished&)>;
using AsRatio = std::function<Ratio(const Finished&)>;

/// A column of a table: the cells of all rows, those but the reference with their differences from it.
std::vector<StudyCell> column(const Rows& rows, size_t reference, const Value& value, const AsRatio& ratio) {
  std::vector<StudyCell> cells(rows.size());
  std::vector<double> p(rows.size(), kUnknown);
  for (size_t r = 0; r < rows.size(); ++r) {
    std::vector<double> values, differences;
    Ratios both(2);
    for (const Finished& run : rows[r]) {
      values.push_back(value(run));
      for (const Finished& other : rows[reference]) {
        const double difference = value(run) - value(other);
        if (other.record.seed != run.record.seed || std::isnan(difference)) continue;
        differences.push_back(difference);
        Ratio theirs = ratio(other), ours = ratio(run);
        if (theirs.numerators.size() != ours.numerators.size()) theirs = alone(value(other)), ours = alone(value(run));
        both[0].push_back(std::move(theirs)), both[1].push_back(std::move(ours));
      }
    }
    values = known(values);
    cells[r].n = static_cast<int64_t>(values.size());
    cells[r].mean = values.empty() ? kUnknown : mean(values);
    cells[r].sd = standard_deviation(values);
    if (r == reference || differences.empty()) continue;
    const Interval interval = bootstrap(both).differences[1];
    p[r] = sign_flip_p(differences);
    cells[r].difference = PairedDifference{.mean = mean(differences),
                                           .sd = standard_deviation(differences),
                                           .pairs = static_cast<int64_t>(differences.size()),
                                           .p = p[r],
                                           .low = differences.size() > 1 ? interval.low : kUnknown,
                                           .high = differences.size() > 1 ? interval.high : kUnknown};
  }
  const std::vector<double> corrected = holm(p);
  for (size_t r = 0; r < rows.size(); ++r)
    if (cells[r].difference) {
      cells[r].difference->holm_p = corrected[r];
      // Where all pairs have one sign p is the smallest there is, 2 / 2^n; Holm's may be above 0.05 all the same.
      const double smallest = std::ldexp(2.0, -static_cast<int>(std::min<int64_t>(cells[r].difference->pairs, 64)));
      cells[r].difference->out_of_reach = p[r] <= smallest && !(corrected[r] < 0.05);
      cells[r].difference->verdict = verdict_of(*cells[r].difference);
    }
  return cells;
}

StudyTable table_of(const std::string& title, const std::vector<std::string>& names, const Rows& rows, size_t reference,
                    const std::vector<Measure>& measures) {
  StudyTable table;
  table.title = title;
  table.columns = measures;
  for (const std::string& name : names) table.rows.push_back({name, {}});
  for (const Measure& measure : measures) {
    const auto cells = column(
        rows, reference, [&](const Finished& run) { return number_in(run.record.test, measure.key); },
        [&](const Finished& run) { return ratio_of(run, measure.key); });
    for (size_t r = 0; r < rows.size(); ++r) table.rows[r].cells.push_back(cells[r]);
  }
  return table;
}

// ---- pages of explainers and metrics
// ------------------------------------------------------------------------------------

/// The share of the maps that no metric could score.
constexpr const char* kUndefined = "undefined maps";

std::string cell_key(const std::string& split, const std::string& metric, const std::string& explainer) {
  return str(split, ", ", metric, ", ", explainer);
}

/// A page that evaluate wrote (--json), as numbers by cell_key. What it holds besides splits is no object, or has no
/// explainers.
nlohmann::json numbers_of_page(const std::string& path, std::set<std::string>& splits) {
  nlohmann::json numbers = nlohmann::json::object();
  const nlohmann::json file = read_json_file(path);
  for (const auto& [split, page] : file.items()) {
    if (!page.is_object() || !page.contains("explainers")) continue;
    check(number_in(page, "images") == number_in(page, "planned_images"), path, ": only ", number_in(page, "images"),
          " of ", number_in(page, "planned_images"), " images of ", split, " were measured");
    splits.insert(split);
    for (const auto& [explainer, columns] : page.at("explainers").items()) {
      double undefined = kUnknown;
      for (const auto& [metric, of] : columns.items()) {
        numbers[cell_key(split, metric, explainer)] = number_in(of, "value");
        const double missed = number_in(of, "undefined"), all = missed + number_in(of, "scored");
        // A metric may leave out more: what all of them leave out is the map's fault.
        if (all > 0 && !(undefined <= missed / all)) undefined = missed / all;
      }
      numbers[cell_key(split, kUndefined, explainer)] = undefined;
    }
  }
  check(!numbers.empty(), path, " holds no page: expected what evaluate --explainers A,B --json FILE writes");
  return numbers;
}

/// Of a metric on a split, the explainers side by side: those that some run has.
std::vector<Measure> explainers_with(const Rows& rows, const std::string& split, const std::string& metric) {
  std::vector<Measure> measures;
  for (const Explainer& explainer : explainers()) {
    const std::string key = cell_key(split, metric, explainer.name);
    for (const auto& row : rows)
      if (std::any_of(row.begin(), row.end(), [&](const Finished& run) { return run.record.test.contains(key); })) {
        measures.push_back({key, explainer.name});
        break;
      }
  }
  return measures;
}

std::vector<StudyTable> page_tables(const std::vector<std::string>& names, const Rows& rows,
                                    const std::set<std::string>& splits) {
  std::vector<StudyTable> tables;
  const auto add = [&](const std::string& split, const std::string& metric, const char* caption) {
    const std::vector<Measure> measures = explainers_with(rows, split, metric);
    if (measures.empty()) return;
    tables.push_back(table_of(str(metric, ", ", split), names, rows, 0, measures));
    tables.back().caption = caption;
  };
  for (const std::string& split : splits) {
    for (const CamMetric& metric : cam_metrics())
      for (const MetricColumn& column : metric.columns)
        add(split, column.name, column.higher ? "More is better." : "Less is better.");
    add(split, kUndefined, "Empty or flat maps, which are left out of every metric.");
  }
  return tables;
}

std::string shown(double value, bool share, int digits = 1) {
  if (std::isnan(value)) return "-";
  char text[48];
  std::snprintf(text, sizeof text, "%.*f", digits, share ? 100 * value : value);
  return text;
}

std::string mean_of(const std::vector<double>& values, bool share) {
  const std::vector<double> some = known(values);
  return some.empty() ? "-" : shown(mean(some), share);
}

/// What other rules would have chosen, from what the runs kept.
TextTable other_rules(const std::vector<std::string>& names, const Rows& rows) {
  TextTable table{
      "What another selection rule would have chosen",
      "Means over seeds; percent. Test values are known where the runs kept their epochs (--keep-epochs).",
      {"row", "rule", "epoch", "val. accuracy", "val. Content-Heatmap", "test accuracy", "test Content-Heatmap"},
      {}};
  for (size_t r = 0; r < rows.size(); ++r)
    for (const auto& [rule, keys] : epoch_rules()) {
      std::vector<double> epoch, accuracy, heat, test_accuracy, test_heat;
      for (const Finished& run : rows[r]) {
        const int64_t chosen = chosen_epoch(run.record.epochs, rule);
        if (chosen < 0) continue;
        const nlohmann::json& line = run.record.epochs[static_cast<size_t>(chosen)];
        epoch.push_back(static_cast<double>(chosen + 1));
        accuracy.push_back(number_in(line, "val_accuracy"));
        heat.push_back(number_in(line, "val_content_heatmap"));
        nlohmann::json test = nlohmann::json::object();
        if (run.record.test.value("best_epoch", int64_t{-1}) == chosen) test = run.record.test;
        if (const auto kept = run.record.test.find("by_rule"); kept != run.record.test.end() && kept->contains(rule))
          test = kept->at(rule);
        test_accuracy.push_back(number_in(test, "test_accuracy"));
        test_heat.push_back(number_in(test, "test_content_heatmap"));
      }
      if (epoch.empty()) continue;
      // A mean over some of the seeds would be one of other runs than the mean beside it.
      const bool all_tested = known(test_accuracy).size() == epoch.size();
      table.rows.push_back({names[r], rule, shown(mean(epoch), false), mean_of(accuracy, true), mean_of(heat, true),
                            all_tested ? mean_of(test_accuracy, true) : "-",
                            all_tested ? mean_of(test_heat, true) : "-"});
    }
  return table;
}

std::string selection_of(const std::string& rule) {
  if (rule == "last") return "the last epoch";
  if (rule == "content-heatmap") return "the epoch with the best validation Content-Heatmap";
  if (rule == "accuracy") return "the epoch with the best validation accuracy";
  return "the epoch with the best validation accuracy of the " + rule;
}

/// Everything but the title, from rows with their finished runs.
void fill(StudyRecord& record, const std::vector<std::string>& names, const Rows& rows, size_t reference) {
  record.reference = names[reference];
  std::vector<RunRecord> all;
  std::set<std::string> rules;
  bool images = false, no_images = false;
  for (size_t r = 0; r < rows.size(); ++r) {
    StudyRow row{names[r], {}};
    for (const Finished& run : rows[r]) {
      row.runs.push_back(run.record);
      all.push_back(run.record);
      rules.insert(run.record.run.at("options").value("best-by", ""));
      (run.images.empty() ? no_images : images) = true;
    }
    record.rows.push_back(std::move(row));
  }
  check(rules.size() < 2, "the rows choose their epochs by different rules (--best-by ",
        join({rules.begin(), rules.end()}), "): their tests cannot be compared");
  record.selection = rules.empty() ? "" : selection_of(*rules.begin());
  record.tables.push_back(table_of(record.title, names, rows, reference, measures_of(all)));
  record.more.push_back(other_rules(names, rows));
  record.options = options_that_differ(record.rows);
  if (no_images)
    record.remarks.emplace_back(images
                                    ? "Some runs did not keep their test images: their intervals are over seeds alone."
                                    : "Intervals are over seeds alone: the runs did not keep their test images.");
  for (size_t r = 0; r < rows.size(); ++r) {
    size_t same = 0;
    for (const Finished& run : rows[r])
      for (const Finished& other : rows[reference])
        same += r != reference && run.record.seed == other.record.seed && !run.weights.empty() &&
                run.weights == other.weights;
    if (same > 0)
      record.remarks.push_back(str(names[r], ": the last weights of ", same, " of ", rows[r].size(),
                                   " runs are those of ", names[reference], ", bit for bit."));
  }
}

// ---- as text
// ------------------------------------------------------------------------------------------------------------

std::string in_percent(const Measure& m, double value, bool sign = false) {
  if (std::isnan(value)) return "-";
  char text[48];
  std::snprintf(text, sizeof text, sign ? "%+.1f" : "%.1f", m.share ? 100 * value : value);
  return text;
}

std::string with_deviation(const Measure& m, double value, double sd, bool sign = false) {
  std::string text = in_percent(m, value, sign);
  if (!std::isnan(sd)) text += " ± " + in_percent(m, sd);
  return text;
}

std::string p_text(double p) {
  if (std::isnan(p)) return "-";
  char text[32];
  std::snprintf(text, sizeof text, p < 0.0095 ? "%.4f" : p < 0.0995 ? "%.3f" : "%.2f", p);
  return text;
}

/// How many columns a word takes on a terminal: code points.
size_t width_of(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

/// Markdown whose columns line up on a terminal; the first row is the header. A row's name may hold a bar, which would
/// begin a column.
std::string grid(std::vector<std::vector<std::string>> rows) {
  for (auto& row : rows)
    for (std::string& cell : row)
      for (size_t at = 0; (at = cell.find('|', at)) != std::string::npos; at += 2) cell.insert(at, 1, '\\');
  std::vector<size_t> width(rows[0].size(), 3);
  for (const auto& row : rows)
    for (size_t c = 0; c < row.size(); ++c) width[c] = std::max(width[c], width_of(row[c]));
  rows.insert(rows.begin() + 1, std::vector<std::string>());
  for (const size_t w : width) rows[1].emplace_back(w, '-');
  std::string text;
  for (const auto& row : rows) {
    text += "|";
    for (size_t c = 0; c < row.size(); ++c) text += " " + row[c] + std::string(width[c] - width_of(row[c]), ' ') + " |";
    text += "\n";
  }
  return text;
}

std::vector<std::vector<std::string>> cells_of(const StudyTable& table) {
  std::vector<std::vector<std::string>> rows = {{"row", "n"}};
  for (const Measure& m : table.columns) rows[0].push_back(m.title);
  for (const StudyTableRow& row : table.rows) {
    int64_t n = 0;
    for (const StudyCell& cell : row.cells) n = std::max(n, cell.n);
    rows.push_back({row.label, std::to_string(n)});
    for (size_t c = 0; c < row.cells.size(); ++c) {
      const StudyCell& cell = row.cells[c];
      rows.back().push_back(with_deviation(table.columns[c], cell.mean, cell.sd) +
                            (cell.beside.empty() ? "" : " (" + cell.beside + ")"));
    }
  }
  return rows;
}

bool has_differences(const StudyTable& table) {
  for (const StudyTableRow& row : table.rows)
    for (const StudyCell& cell : row.cells)
      if (cell.difference) return true;
  return false;
}

/// A row a line: mean and deviation, the interval, p and Holm's.
std::vector<std::vector<std::string>> differences_of(const StudyTable& table) {
  std::vector<std::vector<std::string>> rows = {{"row", "pairs"}};
  for (const Measure& m : table.columns) rows[0].push_back(m.title);
  for (const StudyTableRow& row : table.rows) {
    std::vector<std::string> line = {row.label, ""};
    int64_t pairs = 0;
    for (size_t c = 0; c < row.cells.size(); ++c) {
      const auto& d = row.cells[c].difference;
      if (!d) {
        line.emplace_back("-");
        continue;
      }
      pairs = std::max(pairs, d->pairs);
      const Measure& m = table.columns[c];
      std::string text = with_deviation(m, d->mean, d->sd, true);
      if (!std::isnan(d->low)) text += str(" [", in_percent(m, d->low, true), ", ", in_percent(m, d->high, true), "]");
      text += d->pairs < kFewestPairs ? " no verdict" : str(" p ", p_text(d->p), " (", p_text(d->holm_p), ")");
      line.push_back(text);
    }
    if (pairs == 0) continue;
    line[1] = std::to_string(pairs);
    rows.push_back(std::move(line));
  }
  return rows;
}

/// Of one measure alone, a cell a number: a column for each would be too small to read on paper.
std::vector<std::vector<std::string>> differences_in(const StudyTable& table, size_t column) {
  const Measure& m = table.columns[column];
  std::vector<std::vector<std::string>> rows = {{"row", "pairs", "difference", "95 % interval", "p", "p (Holm)"}};
  for (const StudyTableRow& row : table.rows) {
    const auto& d = row.cells[column].difference;
    if (!d) continue;
    const bool few = d->pairs < kFewestPairs;
    rows.push_back({row.label, std::to_string(d->pairs), with_deviation(m, d->mean, d->sd, true),
                    std::isnan(d->low) ? "-" : str(in_percent(m, d->low, true), " to ", in_percent(m, d->high, true)),
                    few ? "no verdict" : p_text(d->p), few ? "-" : p_text(d->holm_p)});
  }
  return rows;
}

std::string explained(const StudyRecord& record) {
  return str("Difference from ", record.reference,
             ", seed by seed, in points: mean ± deviation [95 % interval of the mean, bootstrap over seeds and test "
             "images], two-sided p of the exact sign-flip test (after Holm, over the rows). Below ",
             kFewestPairs, " pairs there is no verdict: with five the smallest possible p is 0.0625.");
}

std::string in_latex(const std::string& text) {
  std::string out;
  for (const char c : text) switch (c) {
      case '%':
      case '&':
      case '_':
      case '#':
      case '$':
      case '{':
      case '}': out += '\\', out += c; break;
      case '~': out += "\\textasciitilde{}"; break;
      case '^': out += "\\textasciicircum{}"; break;
      case '\\': out += "\\textbackslash{}"; break;
      case '|': out += "\\textbar{}"; break;  // these three are other signs in LaTeX's first font encoding
      case '<': out += "\\textless{}"; break;
      case '>': out += "\\textgreater{}"; break;
      default: out += c;
    }
  for (size_t at; (at = out.find("±")) != std::string::npos;) out.replace(at, std::string("±").size(), "$\\pm$");
  for (size_t at; (at = out.find("λ")) != std::string::npos;) out.replace(at, std::string("λ").size(), "$\\lambda$");
  return out;
}

/// As wide as it is, and no wider than the line.
std::string latex_grid(const std::vector<std::vector<std::string>>& rows, const std::string& caption) {
  std::string text = "\\begin{table}\n\\caption{" + in_latex(caption) +
                     "}\n\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%\n\\begin{tabular}{l" +
                     std::string(rows[0].size() - 1, 'r') + "}\n\\hline\n";
  for (size_t r = 0; r < rows.size(); ++r) {
    for (size_t c = 0; c < rows[r].size(); ++c) text += (c ? " & " : "") + in_latex(rows[r][c]);
    text += r == 0 ? " \\\\\n\\hline\n" : " \\\\\n";
  }
  return text + "\\hline\n\\end{tabular}}\n\\end{table}\n";
}

}  // namespace

StudyRecord study_record(const Study& study, const std::vector<PlannedRun>& runs,
                         const std::vector<Failure>& failures) {
  StudyRecord record;
  record.title = study.title.empty() ? study.name : study.title;
  std::vector<std::string> names;
  size_t reference = 0;
  for (size_t r = 0; r < study.rows.size(); ++r) {
    names.push_back(study.rows[r].name);
    if (study.rows[r].name == study.reference) reference = r;
  }
  Rows rows(study.rows.size());
  size_t missing = 0;
  for (const PlannedRun& run : runs) {
    if (state_of(run) == RunState::finished)
      rows[run.row].push_back(finished_run(run.folder, names[run.row]));
    else
      ++missing;
  }
  for (const Failure& failure : failures)
    record.failed.push_back({names[failure.run->row], std::to_string(failure.run->seed), failure.sentence});
  fill(record, names, rows, reference);
  if (study.thesis_tables) {
    std::vector<std::vector<RunRecord>> records;
    for (const auto& row : record.rows) records.push_back(row.runs);
    for (StudyTable& table : thesis_tables(study, records)) record.tables.push_back(std::move(table));
    if (const auto sheet = thesis_sheet(study, records, record.tables.back())) record.sheets.push_back(*sheet);
  }
  if (!study.note.empty()) record.remarks.push_back(study.note);
  for (const StudyRowOptions& row : study.rows)
    if (!row.note.empty()) record.remarks.push_back(row.name + ": " + row.note);
  if (missing > failures.size())
    record.remarks.push_back(str(missing - failures.size(), " of ", runs.size(), " runs are not made yet."));
  return record;
}

namespace {

/// The finished runs in DIR/<row>/<any>, by seed.
Rows rows_in_folders(const std::string& folder, const std::vector<std::string>& names) {
  Rows rows;
  for (const std::string& name : names) {
    const std::string path = folder + "/" + name;
    std::error_code error;
    check(fs::is_directory(path, error), "there is no folder ", path, " with runs");
    std::vector<Finished> row;
    std::set<std::string> seeds;
    for (const auto& entry : fs::directory_iterator(path)) {
      if (!entry.is_directory()) continue;  // a log beside the runs
      row.push_back(finished_run(entry.path().string(), name));
      check(seeds.insert(row.back().record.seed).second, path, " holds two runs with seed ", row.back().record.seed,
            ": expected one of each");
    }
    check(!row.empty(), path, " holds no run");
    std::sort(row.begin(), row.end(), [](const Finished& a, const Finished& b) {
      return std::pair(a.record.seed.size(), a.record.seed) < std::pair(b.record.seed.size(), b.record.seed);
    });
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace

StudyRecord record_of_folders(const std::string& folder, const std::vector<std::string>& names) {
  StudyRecord record;
  record.title = folder;
  fill(record, names, rows_in_folders(folder, names), 0);
  return record;
}

StudyRecord record_of_pages(const std::string& folder, const std::vector<std::string>& names, const std::string& page) {
  Rows rows = rows_in_folders(folder, names);
  std::set<std::string> splits;
  for (auto& row : rows)
    for (Finished& run : row) {
      run.images.clear();  // they were another explainer's
      run.record.test = numbers_of_page(run.folder + "/" + page, splits);
    }
  StudyRecord record;
  record.title = folder + ", " + page;
  record.reference = names[0];
  record.tables = page_tables(names, rows, splits);
  record.remarks.emplace_back("Intervals are over seeds alone: pages keep no images.");
  return record;
}

std::string as_markdown(const StudyRecord& record) {
  std::string text = "# " + record.title + "\n";
  if (!record.selection.empty()) text += "\nTested: " + record.selection + " of each run. Percent.\n";
  for (const StudyTable& table : record.tables) {
    text += "\n## " + (table.title == record.title ? std::string("Results") : table.title) + "\n\n";
    if (!table.caption.empty()) text += table.caption + "\n\n";
    text += grid(cells_of(table));
    if (has_differences(table)) text += "\n" + explained(record) + "\n\n" + grid(differences_of(table));
  }
  if (!record.tables.empty() && !record.rows.empty() && record.rows[0].runs.size() > 1) {
    text += "\n## Each seed\n\n";
    for (const Measure& m : record.tables[0].columns) {
      if (m.key != "out_of_context_accuracy" && m.key != "test_accuracy") continue;
      std::vector<std::vector<std::string>> seeds = {{m.title}};
      std::set<std::pair<size_t, std::string>> all;  // numbers in their order
      for (const StudyRow& row : record.rows)
        for (const RunRecord& run : row.runs) all.emplace(run.seed.size(), run.seed);
      for (const auto& [size, seed] : all) seeds[0].push_back(seed);
      for (const StudyRow& row : record.rows) {
        seeds.push_back({row.label});
        for (const auto& [size, seed] : all) {
          std::string cell = "-";
          for (const RunRecord& run : row.runs)
            if (run.seed == seed) cell = in_percent(m, number_in(run.test, m.key));
          seeds.back().push_back(cell);
        }
      }
      text += grid(seeds) + "\n";
    }
  }
  for (const TextTable& table : record.more) {
    text += "\n## " + table.title + "\n\n" + table.caption + "\n\n";
    std::vector<std::vector<std::string>> rows = table.rows;
    rows.insert(rows.begin(), table.header);
    text += grid(rows);
  }
  if (!record.failed.empty()) text += "\n## Failed\n\n";
  for (const FailedRun& run : record.failed) text += str("- ", run.row, ", seed ", run.seed, ": ", run.sentence, "\n");
  if (!record.remarks.empty()) text += "\n";
  for (const std::string& remark : record.remarks) text += "- " + remark + "\n";
  return text;
}

std::string as_csv(const StudyRecord& record) {
  std::string text = "table,row,measure,mean,sd,n,difference,difference_sd,pairs,p,p_holm,low,high,verdict,beside\n";
  for (const StudyTable& table : record.tables)
    for (const StudyTableRow& row : table.rows)
      for (size_t c = 0; c < row.cells.size(); ++c) {
        const StudyCell& cell = row.cells[c];
        const PairedDifference d = cell.difference.value_or(PairedDifference{});
        text += join({csv_text(table.title), csv_text(row.label), csv_text(table.columns[c].key), csv_number(cell.mean),
                      csv_number(cell.sd), std::to_string(cell.n), csv_number(d.mean), csv_number(d.sd),
                      cell.difference ? std::to_string(d.pairs) : "", csv_number(d.p), csv_number(d.holm_p),
                      csv_number(d.low), csv_number(d.high), csv_text(d.verdict), csv_text(cell.beside)},
                     ",") +
                "\n";
      }
  return text;
}

std::string as_latex(const StudyRecord& record) {
  std::string text = "% " + record.title + "; needs \\usepackage{graphicx}\n";
  for (const StudyTable& table : record.tables) {
    text +=
        latex_grid(cells_of(table), table.title + (record.selection.empty() ? "" : ". Tested: " + record.selection) +
                                        ". Percent, mean ± standard deviation.");
    for (size_t c = 0; c < table.columns.size(); ++c)
      if (const auto rows = differences_in(table, c); rows.size() > 1)
        text += latex_grid(rows, table.columns[c].title + ". " + explained(record));
  }
  return text;
}

}  // namespace boxcam
