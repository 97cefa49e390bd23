// Sections that the pages of a run and of a study have in common, as HTML.
#pragma once

#include "apps/common/report/report.h"
#include "apps/common/report/summary.h"

namespace boxcam {

/// Rules of the style sheet that both pages add to the house's.
extern const char* const kReportStyle;

/// "71.4", "0.532", "–"; `sign`: "+4.1".
std::string value_html(const Measure& measure, double value, bool sign = false);
/// "accuracy, %"
std::string title_html(const Measure& measure);

std::string section_html(const std::string& id, const std::string& title, const std::string& body);
std::string table_html(const std::string& caption, const std::vector<std::string>& header,
                       const std::vector<std::vector<std::string>>& rows, size_t numbers_from);  ///< cells are HTML
std::string facts_html(const std::vector<std::pair<std::string, std::string>>& facts);           ///< plain text

/// A picture with what the run says of it underneath.
std::string picture_html(const TestPicture& picture);
/// Those of one kind, of one split; the best and the worst first.
std::vector<TestPicture> pictures_of(const std::vector<TestPicture>& pictures, TestPicture::Why why,
                                     const std::string& split);
/// The same side by side.
std::string pictures_html(const std::vector<TestPicture>& pictures, TestPicture::Why why, const std::string& split);
/// In the order in which they come.
std::vector<std::string> splits_of(const std::vector<TestPicture>& pictures);

/// What computed the runs: one table, with every value that an entry has.
std::string machine_html(const std::vector<RunRecord>& runs);
std::string data_html(const RunRecord& run);
std::string summary_html(const Summary& summary);

}  // namespace boxcam
