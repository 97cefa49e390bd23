// The last words of a page, made from its numbers: what they show, and what they do not.
#pragma once

#include "apps/common/report/report.h"

namespace boxcam {

/// Sentences of plain text.
struct Summary {
  std::vector<std::string> shows, does_not_show;
};
Summary summary_of(const RunRecord& run);
Summary summary_of(const StudyRecord& study);

}  // namespace boxcam
