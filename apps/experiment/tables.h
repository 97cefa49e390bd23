// What a study found, in numbers: the record that its page and its tables are made from.
#pragma once

#include <string>
#include <vector>

#include "apps/common/report/report.h"
#include "apps/experiment/runner.h"

namespace boxcam {

/// Of the runs that are finished, wherever their folders lie. Intervals are over seeds and test images where the runs
/// kept their images (test_images.jsonl), else over seeds alone, and the record says so.
StudyRecord study_record(const Study& study, const std::vector<PlannedRun>& runs, const std::vector<Failure>& failures);

/// Finished runs in folders, DIR/<row>/<any>: for rows whose runs no study made.
StudyRecord record_of_folders(const std::string& folder, const std::vector<std::string>& rows);

/// The same runs by the pages that lie in their folders, each what evaluate --explainers --json wrote: a table for each
/// split and metric, an explainer a column. Throws Error where a run has no page, or not a whole one.
StudyRecord record_of_pages(const std::string& folder, const std::vector<std::string>& rows, const std::string& page);

// The tables as text; percent where a measure is a share.
std::string as_markdown(const StudyRecord& record);
/// One line for each cell: table, row, measure, mean, sd, n, and of the difference mean, sd, pairs, p, Holm's p, the
/// interval and the verdict.
std::string as_csv(const StudyRecord& record);
/// Tables to \input, no wider than the line, for which they need the package graphicx.
std::string as_latex(const StudyRecord& record);

}  // namespace boxcam
