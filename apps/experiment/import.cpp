#include "apps/experiment/import.h"

#include <filesystem>
#include <map>

#include "apps/experiment/runner.h"
#include "apps/training.h"
#include "engine/base/file.h"

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
    const auto run = nlohmann::json::parse(read_file(entry.path().string()), nullptr, false);
    check(run.is_object() && run.contains("options") && run.contains("data"), entry.path().string(),
          " is not the record of a run");
    found[run_hash(table, run)] = folder.string();
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
