#include "apps/experiment/thesis.h"

#include <cmath>
#include <cstdio>
#include <functional>
#include <set>

#include "apps/common/report/values.h"
#include "apps/experiment/statistics.h"
#include "engine/base/check.h"
#include "engine/base/text.h"

namespace boxcam {

namespace {

/// Aiskovich 2023, tables 3.1, 3.2 and 3.3: percent; 0 where a table has no such number.
struct Printed {
  int table;
  double lambda;
  bool with_margin;  ///< trained with the margin of 15 px
  double train_accuracy, accuracy, content_heatmap;
};
const std::vector<Printed> kThesis = {
    {1, 0, false, 97.33, 97.72, 69.20},  {1, 1, false, 99.22, 96.68, 71.15}, {1, 10, false, 98.52, 96.88, 70.04},
    {1, 25, false, 98.24, 97.76, 71.68}, {2, 0, true, 99.29, 97.48, 82.89},  {2, 1, true, 98.96, 97.76, 83.60},
    {2, 10, true, 99.02, 97.44, 83.88},  {2, 25, true, 99.16, 97.72, 83.29}, {3, 0, false, 0, 97.40, 67.84},
    {3, 1, false, 0, 96.40, 69.91},      {3, 10, false, 0, 96.60, 68.85},    {3, 25, false, 0, 98.40, 70.53},
    {3, 1, true, 0, 98.10, 69.78},       {3, 10, true, 0, 97.40, 71.31},     {3, 25, true, 0, 98.10, 69.81}};
constexpr double kValidationImages = 2500, kTestImages = 1000, kTrainingImages = 10000;

std::string beside(double percent, double images) {
  if (percent == 0) return "";
  char text[64];
  if (images > 0)
    std::snprintf(text, sizeof text, "thesis %.2f ± %.2f", percent,
                  100 * std::sqrt(percent / 100 * (1 - percent / 100) / images));
  else
    std::snprintf(text, sizeof text, "thesis %.2f", percent);
  return text;
}

double number_of(const RunRecord& run, const std::string& option) { return std::atof(option_of(run, option).c_str()); }

StudyCell cell_of(const std::vector<RunRecord>& runs, const std::function<double(const RunRecord&)>& value,
                  const std::string& other) {
  StudyCell cell;
  std::vector<double> values;
  for (const RunRecord& run : runs)
    if (const double v = value(run); !std::isnan(v)) values.push_back(v);
  cell.n = static_cast<int64_t>(values.size());
  cell.mean = values.empty() ? kUnknown : mean(values);
  cell.sd = standard_deviation(values);
  cell.beside = other;
  return cell;
}

/// The line of epochs.jsonl of the epoch that was tested.
double at_tested_epoch(const RunRecord& run, const std::string& key) {
  const int64_t epoch = run.test.value("best_epoch", int64_t{-1});
  for (const nlohmann::json& line : run.epochs)
    if (line.value("epoch", int64_t{-2}) == epoch) return number_in(line, key);
  return kUnknown;
}

/// Of the test split without a margin.
double without_margin(const RunRecord& run, const std::string& key) {
  if (number_of(run, "eval-margin") == 0) return number_in(run.test, key);
  const auto all = run.test.find("at_margin");
  return all != run.test.end() && all->contains("0") ? number_in(all->at("0"), key) : kUnknown;
}

}  // namespace

std::vector<StudyTable> thesis_tables(const Study& study, const std::vector<std::vector<RunRecord>>& runs) {
  std::set<double> margins;
  for (const auto& row : runs)
    for (const RunRecord& run : row)
      if (number_of(run, "margin") > 0) margins.insert(number_of(run, "margin"));
  check(margins.size() < 2, "the thesis' tables know training without a margin and with one, found ", margins.size(),
        " margins");
  const std::string margin = margins.empty() ? "none" : str(*margins.begin());
  std::vector<StudyTable> tables(3);
  tables[0] = {"Table 3.1: validation, trained without a margin", "", {}, {}};
  tables[1] = {"Table 3.2: validation, trained and measured with a margin of " + margin + " px", "", {}, {}};
  tables[2] = {"Table 3.3: test, measured without a margin", "", {}, {}};
  for (int t = 0; t < 2; ++t)
    tables[t].columns = {
        {"train_accuracy", "train accuracy"}, {"val_accuracy", "accuracy"}, {"val_content_heatmap", "Content-Heatmap"}};
  tables[2].columns = {{"test_accuracy", "accuracy"}, {"test_content_heatmap", "Content-Heatmap"}};
  for (StudyTable& table : tables)
    table.caption =
        "In brackets the thesis' numbers (Aiskovich 2023); of an accuracy with its standard error over the images it "
        "was measured on. The deviations are over seeds.";
  for (size_t r = 0; r < runs.size(); ++r) {
    if (runs[r].empty()) continue;
    const double lambda = number_of(runs[r][0], "lambda");
    const bool with_margin = number_of(runs[r][0], "margin") > 0;
    const auto printed = [&](int table) {
      for (const Printed& p : kThesis)
        if (p.table == table && p.lambda == lambda && p.with_margin == with_margin) return p;
      return Printed{};
    };
    const auto of = [](const std::string& key) {
      return [key](const RunRecord& run) { return at_tested_epoch(run, key); };
    };
    const Printed validation = printed(with_margin ? 2 : 1), test = printed(3);
    tables[with_margin ? 1 : 0].rows.push_back(
        {study.rows[r].name,
         {cell_of(runs[r], of("train_accuracy"), beside(validation.train_accuracy, kTrainingImages)),
          cell_of(runs[r], of("val_accuracy"), beside(validation.accuracy, kValidationImages)),
          cell_of(runs[r], of("val_content_heatmap"), beside(validation.content_heatmap, 0))}});
    const auto bare = [](const std::string& key) {
      return [key](const RunRecord& run) { return without_margin(run, key); };
    };
    tables[2].rows.push_back({study.rows[r].name,
                              {cell_of(runs[r], bare("test_accuracy"), beside(test.accuracy, kTestImages)),
                               cell_of(runs[r], bare("test_content_heatmap"), beside(test.content_heatmap, 0))}});
  }
  return tables;
}

std::optional<PictureSheet> thesis_sheet(const Study& study, const std::vector<std::vector<RunRecord>>& runs,
                                         const StudyTable& test) {
  std::string without, best;
  double highest = kUnknown;
  for (size_t r = 0; r < runs.size(); ++r) {
    if (runs[r].empty()) continue;
    const std::string& name = study.rows[r].name;
    if (number_of(runs[r][0], "lambda") == 0) {
      if (without.empty() || number_of(runs[r][0], "margin") == 0) without = name;
      continue;
    }
    for (const StudyTableRow& row : test.rows)
      if (row.label == name && !std::isnan(row.cells[1].mean) && !(row.cells[1].mean <= highest))
        highest = row.cells[1].mean, best = name;
  }
  if (without.empty() || best.empty()) return {};
  return PictureSheet{"Table 3.4: without the penalty, and with the best one",
                      "Best: the highest mean Content-Heatmap of table 3.3. It is chosen by the test itself, so the "
                      "pictures illustrate and prove nothing.",
                      {without, best}};
}

}  // namespace boxcam
