// The thesis' own tables 3.1 to 3.3 (docs/method.md), in its shape, with its numbers beside those of a study.
#pragma once

#include <vector>

#include "apps/common/report/report.h"
#include "apps/experiment/study.h"

namespace boxcam {

/// Of rows that differ in lambda and margin; `runs` are those of each row. Accuracy and Content-Heatmap of the
/// validation split at the epoch that was tested (3.1: trained without a margin, 3.2: with one) and of the test split
/// measured without one (3.3). Beside each accuracy stands the thesis' with its standard error, of 2,500 and 1,000
/// images; beside each Content-Heatmap the thesis' alone: its spread over images was not told. Throws Error where the
/// rows have other margins than none and one, or the runs did not measure their tests without a margin.
std::vector<StudyTable> thesis_tables(const Study& study, const std::vector<std::vector<RunRecord>>& runs);

}  // namespace boxcam
