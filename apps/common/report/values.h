// Numbers and texts out of records, for the pages; what is not there is NaN or empty.
#pragma once

#include "apps/common/report/report.h"

namespace boxcam {

/// The objects of a file with one a line. Throws Error naming the file.
std::vector<nlohmann::json> json_lines(const std::string& path);
/// NaN where there is none, or one that no page can show.
double number_in(const nlohmann::json& json, const std::string& key);
/// A string of an object; `otherwise` where there is none.
std::string text_in(const nlohmann::json& json, const std::string& key, const std::string& otherwise = "");
std::string option_of(const RunRecord& run, const std::string& name);
/// Of test.json, one a run.
std::vector<double> values_of(const std::vector<RunRecord>& runs, const std::string& key);
double mean_of(const std::vector<double>& values);  ///< of those that are not NaN
std::vector<RunRecord> runs_of(const std::vector<StudyRow>& rows);

}  // namespace boxcam
