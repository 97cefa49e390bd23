// Runs that were made elsewhere, or before there were studies.
#pragma once

#include <string>
#include <vector>

#include "apps/experiment/plan.h"

namespace boxcam {

/// Lets each run that is not finished be the one that lies in a folder under `from` and is the same by its hash (from
/// its run.json), if it is finished: from then on its folder is that one, which is only read. Returns how many. Throws
/// Error where `from` is no folder.
int64_t import_runs(const std::string& from, std::vector<PlannedRun>& runs);

}  // namespace boxcam
