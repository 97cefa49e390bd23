// The thesis' own tables 3.1 to 3.4 (docs/method.md), in its shape, with its numbers beside those of a study.
#pragma once

#include <optional>
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

/// Table 3.4: the same test pictures without the penalty and with the best one, by table 3.3, which `thesis_tables`
/// gave last: the row with the highest mean Content-Heatmap. None where one of both has not been run.
std::optional<PictureSheet> thesis_sheet(const Study& study, const std::vector<std::vector<RunRecord>>& runs,
                                         const StudyTable& test);

}  // namespace boxcam
