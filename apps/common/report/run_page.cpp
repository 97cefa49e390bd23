#include <algorithm>
#include <cmath>
#include <set>
#include <sstream>

#include "apps/common/html.h"
#include "apps/common/report/chart.h"
#include "apps/common/report/parts.h"
#include "apps/common/report/values.h"
#include "engine/base/check.h"

namespace boxcam {

namespace {

std::string headline(const RunRecord& run) {
  const std::string model = option_of(run, "model"), data = option_of(run, "data");
  return model.empty() ? "A training run" : str(model, " on ", data);
}

/// A curve over epochs of one of their numbers; no points where no epoch has it.
Line curve_of(const RunRecord& run, const std::string& key, const std::string& name, int style) {
  Line line{name, style, {}};
  for (const nlohmann::json& epoch : run.epochs)
    if (const double value = number_in(epoch, key); !std::isnan(value))
      line.points.emplace_back(number_in(epoch, "epoch") + 1, value);
  return line;
}

bool has_several_labels(const RunRecord& run) { return option_of(run, "task") == "multi-label"; }

struct CurveOfKey {
  std::string key, name;
};
/// A figure of those curves that have points; nothing where none has.
std::string curves_figure(const RunRecord& run, const std::string& title, const Axis& y,
                          const std::vector<CurveOfKey>& curves) {
  std::vector<Line> lines;
  for (const CurveOfKey& curve : curves) {
    Line line = curve_of(run, curve.key, curve.name, static_cast<int>(lines.size()));
    if (!line.points.empty()) lines.push_back(std::move(line));
  }
  return lines.empty() ? "" : "<figure>" + line_chart(title, kEpochAxis, y, lines) + "</figure>\n";
}

std::string curves(const RunRecord& run) {
  if (run.epochs.empty()) return "";
  return "<div class=\"charts\">\n" +
         curves_figure(run, "Accuracy", {"accuracy"},
                       {{"train_accuracy", "training"},
                        {"val_accuracy", "validation"},
                        {"val_worst_class_accuracy", "worst class"},
                        {"val_worst_group_accuracy", "worst group"}}) +
         curves_figure(run, "Mean average precision", {"mean average precision"},
                       {{"train_mean_average_precision", "training"},
                        {"val_mean_average_precision", "validation"},
                        {"val_worst_class_average_precision", "worst class"}}) +
         curves_figure(run, "Content-Heatmap", {"CAM mass in the boxes"},
                       {{"train_content_heatmap", "training"}, {"val_content_heatmap", "validation"}}) +
         curves_figure(run, "Empty CAMs", {"of the images with boxes"},
                       {{"train_empty_cams", "training"}, {"val_empty_cams", "validation"}}) +
         curves_figure(run, "Cross-entropy", {"", false}, {{"cross_entropy", "training"}, {"val_loss", "validation"}}) +
         curves_figure(run, "Other terms of the loss", {"before their weights", false},
                       {{"penalty", "penalty"},
                        {"evidence_cross_entropy", "split, inside"},
                        {"evidence_penalty", "split, outside"},
                        {"swap_consistency", "consistency"},
                        {"context_only", "context only"}}) +
         curves_figure(run, "Learning rate", {"", false}, {{"learning_rate", "of the last step"}}) + "</div>\n";
}

std::string results(const RunRecord& run) {
  const bool several = has_several_labels(run);
  const std::vector<std::pair<std::string, Measure>> columns = {
      {"images", {"", "images", false}},
      several ? std::pair<std::string, Measure>{"mean_average_precision", {"", "mean average precision"}}
              : std::pair<std::string, Measure>{"accuracy", {"", "accuracy"}},
      {"content_heatmap", {"", "Content-Heatmap"}},
      {"box_coverage", {"", "box coverage"}},
      {"empty_cams", {"", "empty CAMs"}},
      {"loss", {"", "cross-entropy", false}},
      {"lost_boxes", {"", several ? "pairs that lost their boxes" : "images that lost their boxes", false}}};
  std::vector<std::string> header = {"split"};
  for (const auto& [key, measure] : columns) header.push_back(title_html(measure));
  std::vector<std::vector<std::string>> rows;
  for (const auto& [prefix, name] : {std::pair<std::string, std::string>{"test_", text_in(run.test, "split", "test")},
                                     {"out_of_context_", "out of context"}}) {
    if (std::isnan(number_in(run.test, prefix + columns[1].first))) continue;
    rows.push_back({escape_html(name)});
    for (const auto& [key, measure] : columns)
      rows.back().push_back(value_html(measure, number_in(run.test, prefix + key)));
  }
  const double epoch = number_in(run.test, "best_epoch");
  std::string caption = "The test";
  if (!std::isnan(epoch))
    caption = str("The test, with the weights of epoch ", epoch + 1, " of ", run.epochs.size(), " (--best-by ",
                  escape_html(option_of(run, "best-by")), ").");
  return table_html(caption, header, rows, 1);
}

/// Names of the outputs in order.
std::vector<std::string> classes_of(const RunRecord& run) {
  std::vector<std::string> classes;
  if (run.run.contains("data") && run.run["data"].contains("classes"))
    for (const auto& name : run.run["data"]["classes"]) classes.push_back(plain_text(name));
  return classes;
}

/// Numbers that test.json has by class, and the confusion of labels and predictions.
std::string by_class(const RunRecord& run) {
  static const std::vector<std::pair<std::string, Measure>> columns = {
      {"per_class_accuracy", {"", "accuracy"}},
      {"per_class_average_precision", {"", "average precision"}},
      {"empty_cams_by_class", {"", "empty CAMs"}},
      {"centred_bias", {"", "centred bias of the head", false}}};
  const std::vector<std::string> classes = classes_of(run);
  if (classes.empty() || !std::any_of(columns.begin(), columns.begin() + 2,
                                      [&](const auto& column) { return run.test.contains(column.first); }))
    return "";
  std::vector<std::string> header = {"class"};
  for (const auto& [key, measure] : columns)
    if (run.test.contains(key)) header.push_back(title_html(measure));
  std::vector<std::vector<std::string>> rows;
  for (const std::string& name : classes) {
    rows.push_back({escape_html(name)});
    for (const auto& [key, measure] : columns)
      if (run.test.contains(key)) rows.back().push_back(value_html(measure, number_in(run.test[key], name)));
  }
  return table_html(
      run.test.contains("centred_bias")
          ? "By class. Only a class whose centred bias is positive can be predicted with an empty CAM of the "
            "centred score at the last tap."
          : "By class.",
      header, rows, 1);
}

std::string confusion(const RunRecord& run) {
  constexpr size_t most = 20;  // classes that fit
  const std::vector<std::string> classes = classes_of(run);
  if (!run.test.contains("confusion") || classes.size() > most) return "";
  std::vector<std::string> header = {"label \\ predicted"};
  for (const std::string& name : classes) header.push_back(escape_html(name));
  std::vector<std::vector<std::string>> rows;
  for (size_t c = 0; c < run.test["confusion"].size() && c < classes.size(); ++c) {
    rows.push_back({escape_html(classes[c])});
    for (const auto& count : run.test["confusion"][c]) rows.back().push_back(escape_html(plain_text(count)));
  }
  return table_html("Images of each label, by what was predicted.", header, rows, 1);
}

/// "group_accuracy" and the like: objects of numbers by group.
std::string groups(const RunRecord& run) {
  std::string html;
  for (const char* key : {"group_accuracy", "test_group_accuracy", "out_of_context_group_accuracy"}) {
    if (!run.test.contains(key) || !run.test[key].is_object()) continue;
    std::vector<std::vector<std::string>> rows;
    for (const auto& [name, value] : run.test[key].items())
      rows.push_back({escape_html(name), value_html({}, value.is_number() ? value.get<double>() : kUnknown)});
    html += table_html("By group.", {"group", "accuracy, %"}, rows, 1);
  }
  return html;
}

std::string pictures(const RunRecord& run) {
  using Why = TestPicture::Why;
  std::string html;
  for (const std::string& split : splits_of(run.pictures)) {
    const auto part = [&](Why why, const std::string& title) {
      const std::string grid = pictures_html(run.pictures, why, split);
      return grid.empty() ? "" : "<h3>" + escape_html(split) + ": " + title + "</h3>\n" + grid;
    };
    html += part(Why::fixed, "the first of each class") + part(Why::worst, "worst") + part(Why::best, "best");
  }
  if (html.empty()) return html;
  const std::string colours =
      "White: boxes. Colours: the CAM, from blue (0) to red (1). CH: the share of the CAM in the boxes. ";
  if (has_several_labels(run))
    return "<p>" + colours + "A picture for each class that an image shows, with its probability.</p>\n" + html;
  return "<p>" + colours +
         "Worst: classified wrong with the highest score, then right with the CAM least inside the boxes; best: right, "
         "with the CAM most inside.</p>\n" +
         html;
}

std::string options(const RunRecord& run) {
  static const std::set<std::string> of_the_place = {"output", "resume"};
  if (!run.run.contains("options")) return "";
  std::vector<std::vector<std::string>> rows;
  for (const auto& [name, value] : run.run["options"].items())
    if (!of_the_place.contains(name))
      rows.push_back({"<code>--" + escape_html(name) + "</code>", escape_html(plain_text(value))});
  return "<details><summary>All options of the run</summary>\n" + table_html("", {"option", "value"}, rows, 2) +
         "</details>\n";
}

}  // namespace

std::string run_page(const RunRecord& run) {
  const std::string title = headline(run) + (run.row.empty() ? "" : ", " + run.row);
  const std::string lead = str("Seed ", run.seed, ", λ = ", option_of(run, "lambda"), ", ", option_of(run, "epochs"),
                               " epochs of batches of ", option_of(run, "batch"), ", ", option_of(run, "image-size"),
                               " × ", option_of(run, "image-size"), " pixels, explained by ",
                               option_of(run, "explainer"), " at ", option_of(run, "tap"), ".");
  return html_page(
      title + " · boxcam", std::string(kChartStyle) + kReportStyle,
      "<h1>" + escape_html(title) + "</h1>\n<p class=\"lead\">" + escape_html(lead) + "</p>\n" +
          section_html("results", "Results", results(run) + groups(run)) +
          section_html("curves", "Epoch by epoch", curves(run)) +
          section_html("classes", "Classes", by_class(run) + confusion(run)) +
          section_html("pictures", "Test pictures", pictures(run)) +
          section_html("made", "Data, machine, options",
                       "<div class=\"two\"><div><h3>Data</h3>\n" + data_html(run) + "</div><div><h3>Machine</h3>\n" +
                           machine_html({run}) + "</div></div>\n" + options(run)) +
          section_html("summary", "What this shows, and what it does not", summary_html(summary_of(run))));
}

}  // namespace boxcam
