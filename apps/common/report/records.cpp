#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>
#include <sstream>

#include "apps/common/report/report.h"
#include "apps/common/report/values.h"
#include "engine/base/check.h"
#include "engine/base/file.h"
#include "nn/data/json.h"

namespace boxcam {

namespace {

constexpr double kGreatest = 1e15;  // of what a page shows: a chart has ticks up to its greatest value
constexpr std::string_view kPictures = "pictures/";

nlohmann::json parsed(const std::string& text, const std::string& path) {
  nlohmann::json json = parse_json(text, path);
  check(json.is_object(), path, " is not valid JSON for a record: expected an object");
  return json;
}

/// Of a run that somebody else made it could name any file, whose bytes the page would hold.
std::string picture_file(const nlohmann::json& line, const std::string& folder) {
  const auto name = line.at("picture").get<std::string>();
  const std::string_view file = std::string_view(name).substr(std::min(name.size(), kPictures.size()));
  check(name.starts_with(kPictures) && file.find('/') == file.npos && !file.starts_with('.'), folder,
        "/test_images.jsonl: the picture '", name, "' is none of those in ", kPictures);
  check(!std::filesystem::is_symlink(folder + "/" + name), folder, "/", name, " is a link: expected a picture");
  return name;
}

TestPicture picture_of(const nlohmann::json& line, const std::string& folder) {
  TestPicture p;
  p.split = text_in(line, "split");
  const double index = number_in(line, "index");
  p.index = index >= 0 && index < 0x1p53 ? static_cast<int64_t>(index) : 0;
  p.id = text_in(line, "id");
  p.source = text_in(line, "source");
  p.label = text_in(line, "label");
  p.predicted = text_in(line, "predicted");
  p.score = number_in(line, "score");
  const double total = number_in(line, "total");
  const bool boxed = number_in(line, "box_area") > 0;
  p.empty_cam = boxed && total <= 0;
  if (boxed && total > 0) p.content_heatmap = number_in(line, "inside") / total;
  p.png = read_file(folder + "/" + picture_file(line, folder), "image");
  check(p.png.starts_with("\x89PNG"), folder, "/", picture_file(line, folder), " is no PNG");
  return p;
}

/// Of the images, those that have a picture; one that is shown for two reasons comes twice.
std::vector<TestPicture> pictures_in(const std::string& folder) {
  using Why = TestPicture::Why;
  std::vector<TestPicture> pictures;
  for (const nlohmann::json& line : json_lines(folder + "/test_images.jsonl")) {
    if (!line.contains("picture") || !line["picture"].is_string() || !line.contains("shown")) continue;
    TestPicture picture = picture_of(line, folder);
    std::set<Why> shown;
    for (const nlohmann::json& why : line["shown"])
      shown.insert(why == "best" ? Why::best : why == "worst" ? Why::worst : Why::fixed);
    for (const Why why : shown) {
      picture.why = why;
      pictures.push_back(picture);
    }
  }
  return pictures;
}

bool there_is(const std::string& path) {
  std::error_code error;
  return std::filesystem::exists(path, error);
}

}  // namespace

std::vector<nlohmann::json> json_lines(const std::string& path) {
  std::vector<nlohmann::json> lines;
  std::istringstream text(read_file(path));
  for (std::string line; std::getline(text, line);) lines.push_back(parsed(line, path));
  return lines;
}

double number_in(const nlohmann::json& json, const std::string& key) {
  if (!json.is_object()) return kUnknown;
  const auto found = json.find(key);
  if (found == json.end() || !found->is_number()) return kUnknown;
  const double number = found->get<double>();
  return std::abs(number) < kGreatest ? number : kUnknown;
}

std::string text_in(const nlohmann::json& json, const std::string& key, const std::string& otherwise) {
  return json.is_object() && json.contains(key) && json[key].is_string() ? json[key].get<std::string>() : otherwise;
}

std::string option_of(const RunRecord& run, const std::string& name) {
  if (!run.run.is_object() || !run.run.contains("options")) return "";
  const auto& options = run.run["options"];
  const auto found = options.find(name);
  return found == options.end() ? "" : plain_text(*found);
}

std::vector<double> values_of(const std::vector<RunRecord>& runs, const std::string& key) {
  std::vector<double> values;
  for (const RunRecord& run : runs) values.push_back(number_in(run.test, key));
  return values;
}

double mean_of(const std::vector<double>& values) {
  double sum = 0, n = 0;
  for (const double value : values)
    if (!std::isnan(value)) sum += value, ++n;
  return sum / n;
}

std::vector<RunRecord> runs_of(const std::vector<StudyRow>& rows) {
  std::vector<RunRecord> runs;
  for (const StudyRow& row : rows) runs.insert(runs.end(), row.runs.begin(), row.runs.end());
  return runs;
}

RunRecord read_run_record(const std::string& folder) {
  RunRecord record;
  record.run = parsed(read_file(folder + "/run.json"), folder + "/run.json");
  record.test = parsed(read_file(folder + "/test.json"), folder + "/test.json");
  record.epochs = json_lines(folder + "/epochs.jsonl");
  record.seed = option_of(record, "seed");
  if (there_is(folder + "/test_images.jsonl")) record.pictures = pictures_in(folder);
  return record;
}

std::vector<Measure> measures_of(const std::vector<RunRecord>& runs) {
  static const std::vector<Measure> known = {
      {"test_accuracy", "accuracy"},
      {"out_of_context_accuracy", "accuracy out of context"},
      {"test_mean_average_precision", "mean average precision"},
      {"out_of_context_mean_average_precision", "mean average precision out of context"},
      {"worst_class_accuracy", "worst class"},
      {"test_worst_class_accuracy", "worst class"},
      {"worst_group_accuracy", "worst group"},
      {"test_worst_group_accuracy", "worst group"},
      {"only_fg_accuracy", "accuracy, only foreground"},
      {"no_fg_accuracy", "accuracy, no foreground"},
      {"only_bg_b_accuracy", "accuracy, boxes black"},
      {"only_bg_t_accuracy", "accuracy, boxes tiled"},
      {"mixed_same_accuracy", "accuracy, mixed-same"},
      {"mixed_rand_accuracy", "accuracy, mixed-rand"},
      {"mixed_next_accuracy", "accuracy, mixed-next"},
      {"bg_gap", "BG-gap"},
      {"test_content_heatmap", "Content-Heatmap"},
      {"out_of_context_content_heatmap", "Content-Heatmap out of context"},
      {"test_empty_cams", "empty CAMs"},
      {"out_of_context_empty_cams", "empty CAMs out of context"},
  };
  std::vector<Measure> there;
  for (const Measure& measure : known)
    if (std::any_of(runs.begin(), runs.end(),
                    [&](const RunRecord& run) { return !std::isnan(number_in(run.test, measure.key)); }))
      there.push_back(measure);
  return there;
}

std::vector<DifferingOption> options_that_differ(const std::vector<StudyRow>& rows) {
  static const std::set<std::string> nothing_of_a_row = {"output",  "resume", "seed",
                                                         "threads", "device", "tensorboard"};
  std::set<std::string> names;
  for (const StudyRow& row : rows)
    if (!row.runs.empty() && row.runs[0].run.contains("options"))
      for (const auto& [name, value] : row.runs[0].run["options"].items())
        if (!nothing_of_a_row.contains(name)) names.insert(name);
  std::vector<DifferingOption> options;
  for (const std::string& name : names) {
    DifferingOption option{name, {}};
    for (const StudyRow& row : rows) option.values.push_back(row.runs.empty() ? "" : option_of(row.runs[0], name));
    if (std::set<std::string>(option.values.begin(), option.values.end()).size() > 1) options.push_back(option);
  }
  return options;
}

void write_run_page(const std::string& folder) {
  write_file(folder + "/report.html", {run_page(read_run_record(folder))});
}

}  // namespace boxcam
