// The runs of a study before any of them is made: options settled as `train` settles them, so that what is wrong with a
// row is said before the first step, and a folder for each that its options decide.
#pragma once

#include <string>
#include <vector>

#include "apps/common/json.h"
#include "apps/experiment/study.h"

namespace boxcam {

struct PlannedRun {
  size_t row = 0;  ///< of the study
  uint64_t seed = 0;
  std::string folder;                  ///< STUDY/<row>/<seed>-<first digits of the hash>
  std::string hash;                    ///< run_hash
  std::vector<std::string> arguments;  ///< of `train`, but for --output
  nlohmann::json options;              ///< settled, as in run.json
};

/// Every run of a study, seed by seed and in a seed row by row, so that what is finished early can be compared. `given`
/// are options of the command line: they stand above the study's, and may not be what its rows differ in. Each run has
/// `threads`. Throws Error naming the row for options that train would refuse, for data or weights that do not do, and
/// for rows that would be the same run.
std::vector<PlannedRun> plan_runs(const Study& study, const OptionList& given, const std::string& folder, int threads);

/// The words after `--` on the command line as options; throws Error for what train does not have.
OptionList read_options(const std::vector<std::string>& words);

/// The command of a run for a shell: "train --lambda 4 ... --output DIR", or the one that goes on with it where it has
/// begun.
std::string command_of(const PlannedRun& run, const std::string& train);

/// How long a run will take, from measured steps; seconds.
struct RunCost {
  double seconds = 0;
  double bytes = 0;  ///< on the disk, of what it leaves
};
/// Of the first run of each row, measured by a few steps and a batch of its evaluation, with `threads`.
std::vector<RunCost> measured_costs(const Study& study, const std::vector<PlannedRun>& runs);

}  // namespace boxcam
