#include "apps/experiment/import.h"

#include <filesystem>
#include <map>

#include "apps/experiment/runner.h"
#include "apps/training.h"
#include "engine/base/file.h"
#include "nn/data/json.h"

namespace boxcam {

namespace fs = std::filesystem;

int64_t import_runs(const std::string& from, std::vector<PlannedRun>& runs) {
  std::error_code error;
  check(fs::is_directory(from, error), "--import: there is no folder ", from);
  CLI::App app("", "train");
  TrainingOptions options;
  OptionTable table(app);
  declare_training(table, options);
  std::map<std::string, std::string> found;
  for (const auto& entry : fs::recursive_directory_iterator(from)) {
    if (entry.path().filename() != "run.json") continue;
    const fs::path folder = entry.path().parent_path();
    if (!fs::exists(folder / "test.json", error)) continue;
    const std::string path = entry.path().string();
    try {
      const nlohmann::json run = parse_json(read_file(path), path);
      check(run.at("options").is_object() && run.at("data").is_object(), path, " is not the record of a run");
      found[run_hash(table, run)] = folder.string();
    } catch (const nlohmann::json::exception& e) {
      fail(path, " is not the record of a run (", e.what(), ")");
    }
  }
  int64_t count = 0;
  for (PlannedRun& run : runs) {
    const auto at = found.find(run.hash);
    if (at == found.end() || state_of(run) == RunState::finished) continue;
    run.folder = at->second;
    ++count;
  }
  return count;
}

}  // namespace boxcam
