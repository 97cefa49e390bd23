// Puts finished runs side by side: one table over methods and seeds, with the spread and the paired differences.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <optional>

#include "apps/common/options/table.h"
#include "apps/common/program.h"
#include "engine/base/file.h"
#include "engine/base/text.h"
#include "nn/files/safetensors.h"

using namespace boxcam;
namespace fs = std::filesystem;

namespace {

struct Options {
  std::string runs;
  std::vector<std::string> rows;
};

/// A column: its title and its key in test.json.
const std::vector<std::pair<std::string, std::string>> kColumns = {
    {"accuracy in", "test_accuracy"},
    {"accuracy out", "out_of_context_accuracy"},
    {"Content-Heatmap in", "test_content_heatmap"},
    {"Content-Heatmap out", "out_of_context_content_heatmap"},
    {"empty CAMs in", "test_empty_cams"},
    {"empty CAMs out", "out_of_context_empty_cams"}};

struct Run {
  std::string seed;
  nlohmann::json test;
  std::string weights;  ///< SHA-256 of the tensors of last.safetensors
};

std::string weights_of(const std::string& file) {
  const auto metadata = read_metadata(file);
  const auto digest = metadata.find("tensors-sha256");
  return digest != metadata.end() ? digest->second : tensors_sha256(read_safetensors(file));
}

/// DIR/<row>/<seed>/test.json, in the order of the seeds.
std::vector<Run> read_runs(const std::string& folder) {
  std::error_code error;
  check(fs::is_directory(folder, error), "there is no folder ", folder, " with runs");
  std::vector<Run> runs;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (!entry.is_directory()) continue;  // a log beside the runs
    const std::string path = entry.path().string();
    auto test = nlohmann::json::parse(read_file(path + "/test.json"), nullptr, false);
    check(test.is_object(), path, "/test.json is not valid JSON");
    runs.push_back({entry.path().filename().string(), std::move(test), weights_of(path + "/last.safetensors")});
  }
  check(!runs.empty(), folder, " holds no run");
  std::sort(runs.begin(), runs.end(), [](const Run& a, const Run& b) { return a.seed < b.seed; });
  return runs;
}

double value(const Run& run, const std::string& key) {
  const auto found = run.test.find(key);
  return found != run.test.end() && found->is_number() ? found->get<double>() : std::nan("");
}

/// "97.1 +- 0.8" in percent; only the mean for one value, "-" where there is none.
std::string mean_and_deviation(std::vector<double> values, bool with_sign) {
  std::erase_if(values, [](double v) { return std::isnan(v); });
  if (values.empty()) return "-";
  double mean = 0, squares = 0;
  for (const double v : values) mean += v / static_cast<double>(values.size());
  for (const double v : values) squares += (v - mean) * (v - mean);
  char text[64];
  const int used = std::snprintf(text, sizeof text, with_sign ? "%+.1f" : "%.1f", 100 * mean);
  if (values.size() > 1)
    std::snprintf(text + used, sizeof text - used, " +- %.1f",
                  100 * std::sqrt(squares / static_cast<double>(values.size() - 1)));
  return text;
}

/// A Markdown table whose columns line up on a terminal; the first row is the header.
void print_table(std::vector<std::vector<std::string>> rows) {
  std::vector<size_t> width(rows[0].size(), 3);
  for (const auto& row : rows)
    for (size_t c = 0; c < row.size(); ++c) width[c] = std::max(width[c], row[c].size());
  rows.insert(rows.begin() + 1, std::vector<std::string>());
  for (const size_t w : width) rows[1].emplace_back(w, '-');
  for (const auto& row : rows) {
    std::cout << "|";
    for (size_t c = 0; c < row.size(); ++c)
      std::cout << " " << row[c] << std::string(width[c] - row[c].size(), ' ') << " |";
    std::cout << "\n";
  }
}

int run(const Options& o) {
  std::vector<std::vector<Run>> rows;
  for (const std::string& row : o.rows) rows.push_back(read_runs(o.runs + "/" + row));
  std::vector<std::string> header = {"run", "seeds"};
  for (const auto& [title, key] : kColumns) header.push_back(title);
  std::vector<std::vector<std::string>> table = {header};
  table[0].push_back("weights");
  for (size_t r = 0; r < rows.size(); ++r) {
    std::vector<std::string> cells = {o.rows[r], std::to_string(rows[r].size())};
    for (const auto& [title, key] : kColumns) {
      std::vector<double> values;
      for (const Run& one : rows[r]) values.push_back(value(one, key));
      cells.push_back(mean_and_deviation(values, false));
    }
    bool same = r > 0 && rows[r].size() == rows[0].size();
    for (size_t i = 0; same && i < rows[r].size(); ++i)
      same = rows[r][i].seed == rows[0][i].seed && rows[r][i].weights == rows[0][i].weights;
    cells.push_back(r == 0 ? "" : same ? "same weights as " + o.rows[0] : "differ");
    table.push_back(std::move(cells));
  }
  print_table(std::move(table));

  // Paired: the same seed means the same data, initial weights and order.
  std::cout << "\nDifference from " << o.rows[0] << ", seed by seed (points):\n\n";
  table = {header};
  for (size_t r = 1; r < rows.size(); ++r) {
    std::vector<std::string> cells = {o.rows[r], ""};
    size_t pairs = 0;
    for (const auto& [title, key] : kColumns) {
      std::vector<double> differences;
      for (const Run& one : rows[r])
        for (const Run& base : rows[0])
          if (base.seed == one.seed) differences.push_back(value(one, key) - value(base, key));
      pairs = differences.size();
      cells.push_back(mean_and_deviation(differences, true));
    }
    cells[1] = std::to_string(pairs);
    table.push_back(std::move(cells));
  }
  print_table(std::move(table));

  if (rows[0].size() > 1) {
    std::cout << "\nAccuracy out of context of each seed (" << [&] {
      std::vector<std::string> seeds;
      for (const Run& one : rows[0]) seeds.push_back(one.seed);
      return join(seeds);
    }() << "):\n\n";
    for (size_t r = 0; r < rows.size(); ++r) {
      std::cout << "- " << o.rows[r] << ":";
      for (const Run& one : rows[r]) std::printf(" %.1f", 100 * value(one, "out_of_context_accuracy"));
      std::cout << std::flush;
      std::printf("\n");
      std::fflush(stdout);
    }
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Puts finished runs side by side, in percent: mean +- standard deviation over seeds; in and out of context.",
      "experiment");
  Options o;
  OptionTable table(app);
  table.required("--runs", o.runs, "folder with the runs: DIR/<row>/<seed>, each the --output of train");
  table.list("--rows", o.rows, "rows of the table, comma-separated; the first is what the others are compared with");
  return run_app(app, argc, argv, [&] {
    table.refuse(o.rows.empty(), "--rows", "is required");
    return run(o);
  });
}
