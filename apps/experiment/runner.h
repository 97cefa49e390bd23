// Making the runs of a study: a `train` for each, several side by side. A run's folder is locked by the train that
// writes it, and by the kernel let go when that one dies, however it dies: so several of these may work on one study.
#pragma once

#include <string>
#include <vector>

#include "apps/experiment/plan.h"

namespace boxcam {

enum class RunState {
  missing,   ///< nothing there, or nothing that could be gone on with
  begun,     ///< stopped after a checkpoint
  running,   ///< another process holds its folder
  finished,  ///< test.json is there, which train writes last
};
RunState state_of(const PlannedRun& run);

struct Failure {
  const PlannedRun* run;
  std::string sentence;  ///< the last of its log
};

struct RunnerOptions {
  std::string train;  ///< the program
  int64_t jobs = 1;   ///< at a time
};

/// Makes all runs that are not finished, and waits for those that other processes make. One that fails is told at the
/// end; the others go on. When interrupted (catch_interrupts), the trains are told to stop, save and end, and what is
/// not finished stays so. Says on the terminal what begins, ends and remains.
std::vector<Failure> make_runs(const Study& study, const std::vector<PlannedRun>& runs, const RunnerOptions& options);

/// The program that was built or installed with this one. Throws Error where there is none.
std::string train_program();

}  // namespace boxcam
