// The records of a finished run that somebody else made, its page, and their import into a study.
#include "apps/common/report/report.h"
#include "apps/experiment/import.h"
#include "tests/fuzz/target.h"

namespace boxcam::fuzz {

void run(std::string_view input) {
  static const std::string picture = write("run/pictures/0-0.png", "a picture");
  const auto parts = parts_of(input, 4);
  const char* names[] = {"run/run.json", "run/test.json", "run/epochs.jsonl", "run/test_images.jsonl"};
  for (size_t i = 0; i < parts.size(); ++i) write(names[i], parts[i]);
  run_page(read_run_record((folder() / "run").string()));
  std::vector<PlannedRun> planned;
  import_runs(folder().string(), planned);
}

}  // namespace boxcam::fuzz
