// A run or a study as a page: one HTML file that holds all it shows (pictures as data URIs, figures as inline SVG), so
// that it can be read without a network, printed, and sent to somebody. What the pages say is taken from the records
// below alone: whoever fills them, from a folder or from memory, gets the same bytes for the same records. Times that
// were measured are left out, and so is where a run lies: a run that was stopped and resumed has the same page.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "apps/common/json.h"

namespace boxcam {

inline constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

/// A test picture as one run explains it.
struct TestPicture {
  enum class Why {
    fixed,  ///< by its place in the split, so that every run on the same data shows the same ones
    best,   ///< of those classified right, the CAM most inside the boxes
    worst,  ///< classified wrong with the highest score, then, right, the CAM least inside
  };
  Why why = Why::fixed;
  std::string split;     ///< "test (out of context)"
  int64_t index = 0;     ///< in its split
  std::string id;        ///< the data set's name of it
  std::string source{};  ///< SourceSet, or the background of scenes; may be empty
  std::string label, predicted;
  double score = kUnknown;            ///< probability of `predicted`
  double content_heatmap = kUnknown;  ///< the CAM's share in the boxes; kUnknown: no box, or an empty CAM
  bool empty_cam = false;
  std::string png;  ///< bytes of the overlay, without a caption
};

/// All that is shown of a run.
struct RunRecord {
  std::string row;                     ///< the label it has in a study, "lambda=10"; may be empty
  std::string seed;                    ///< runs of two rows with the same seed are a pair
  nlohmann::json run;                  ///< run.json
  nlohmann::json test;                 ///< test.json
  std::vector<nlohmann::json> epochs;  ///< the lines of epochs.jsonl, in order
  std::vector<TestPicture> pictures;   ///< may be empty
};

/// The record of a finished run's folder: run.json, test.json, epochs.jsonl and, where it is, test_images.jsonl
/// with the pictures it names; `row` is empty, `seed` the option's value. Throws Error naming a file that is missing or
/// no JSON.
RunRecord read_run_record(const std::string& folder);

/// A number that runs have and pages show: its key in test.json, and its name.
struct Measure {
  std::string key;    ///< "out_of_context_accuracy"
  std::string title;  ///< "accuracy out of context"
  bool share = true;  ///< a fraction, shown in percent; false: shown as it is
};

/// Those of test.json that a study is read by, of the ones that some run has: accuracy, Content-Heatmap and empty CAMs,
/// in and out of context, worst class and worst group.
std::vector<Measure> measures_of(const std::vector<RunRecord>& runs);

/// A row against the reference row, seed by seed.
struct PairedDifference {
  double mean = kUnknown, sd = kUnknown;
  int64_t pairs = 0;
  double p = kUnknown;                     ///< exact two-sided sign-flip
  double holm_p = kUnknown;                ///< over the rows
  double low = kUnknown, high = kUnknown;  ///< bootstrap interval of the mean, over images and seeds
  std::string verdict{};                   ///< a word or two: "larger", "no difference seen", "n < 6: no verdict"
  /// All pairs have one sign, but over so many rows no p that so few pairs can give is below 0.05 after Holm.
  bool out_of_reach = false;
};

/// What a table says of one measure of one row. All numbers are as in test.json: fractions are not yet percent.
struct StudyCell {
  double mean = kUnknown, sd = kUnknown;
  int64_t n = 0;                                 ///< runs that have the number
  std::optional<PairedDifference> difference{};  ///< none: this is the reference row, or there is no pair
  std::string beside{};                          ///< what others found: "thesis 84.2 ± 0.6"
};

struct StudyTableRow {
  std::string label;
  std::vector<StudyCell> cells;  ///< one a column
};
struct StudyTable {
  std::string title, caption;  ///< of plain text; the caption may be empty
  std::vector<Measure> columns;
  std::vector<StudyTableRow> rows;
};

/// A table of plain text, for what has no place elsewhere: what other selection rules would have chosen.
struct TextTable {
  std::string title, caption;
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows;
};

struct StudyRow {
  std::string label;
  std::vector<RunRecord> runs;  ///< by seed
};

struct FailedRun {
  std::string row, seed;
  std::string sentence;  ///< what it ended with
};

/// An option that is not the same in all rows, and its value in each.
struct DifferingOption {
  std::string name;                 ///< without dashes
  std::vector<std::string> values;  ///< one a row; empty: the row has no such option
};

/// From the options that the first run of each row recorded, but for those that only say where and how it is computed.
std::vector<DifferingOption> options_that_differ(const std::vector<StudyRow>& rows);

/// The same test pictures under some of the rows.
struct PictureSheet {
  std::string title, caption;     ///< of plain text
  std::vector<std::string> rows;  ///< labels, in the order shown
};

struct StudyRecord {
  std::string title;                 ///< "thesis", "lambda x margin"
  std::string reference;             ///< label of the row that the others are compared with
  std::string selection;             ///< which epoch of a run is tested: "the epoch with the best validation accuracy"
  std::vector<StudyRow> rows;        ///< in the order of the tables, the reference among them
  std::vector<StudyTable> tables;    ///< in the order they are shown; the first is the one that the summary speaks of
  std::vector<TextTable> more;       ///< after the tables
  std::vector<PictureSheet> sheets;  ///< besides the one of every row
  std::vector<FailedRun> failed;
  std::vector<DifferingOption> options;
  std::vector<std::string> remarks;  ///< sentences that belong to what the study shows, or does not
};

/// The whole text of an HTML file. Throws nothing that depends on what is missing in a record: what is not there is
/// left out, or said not to be there.
std::string run_page(const RunRecord& run);
std::string study_page(const StudyRecord& study);

/// Reads the finished run in a folder and writes its report.html.
void write_run_page(const std::string& folder);

}  // namespace boxcam
