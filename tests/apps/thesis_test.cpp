// The thesis' tables 3.1 to 3.4 of runs whose numbers are known.
#include <gtest/gtest.h>

#include "apps/experiment/thesis.h"
#include "engine/base/check.h"

namespace boxcam {
namespace {

/// Lambda and margin of a row, and of its runs the test's Content-Heatmap without a margin.
struct Row {
  std::string lambda, margin;
  std::vector<double> content_heatmap;
};

RunRecord run_of(const Row& row, double content_heatmap) {
  RunRecord run;
  const bool bare = row.margin == "0";
  run.run = {{"options", {{"lambda", row.lambda}, {"margin", row.margin}, {"eval-margin", row.margin}}}};
  run.epochs = {{{"epoch", 1}, {"train_accuracy", 0.1}, {"val_accuracy", 0.2}, {"val_content_heatmap", 0.3}},
                {{"epoch", 2}, {"train_accuracy", 0.9}, {"val_accuracy", 0.8}, {"val_content_heatmap", 0.7}}};
  // What was measured with the training's margin must not get into table 3.3.
  run.test = {{"best_epoch", 2},
              {"test_accuracy", bare ? 0.6 : 0.01},
              {"test_content_heatmap", bare ? content_heatmap : 0.02},
              {"at_margin", {{"0", {{"test_accuracy", 0.6}, {"test_content_heatmap", content_heatmap}}}}}};
  return run;
}

struct Made {
  Study study;
  std::vector<std::vector<RunRecord>> runs;
};

Made made_of(const std::vector<Row>& rows) {
  Made made;
  for (const Row& row : rows) {
    made.study.rows.push_back({"lambda=" + row.lambda + ",margin=" + row.margin, {}});
    made.runs.emplace_back();
    for (const double value : row.content_heatmap) made.runs.back().push_back(run_of(row, value));
  }
  return made;
}

const std::vector<Row> kGrid = {
    {"0", "0", {0.5, 0.7}}, {"25", "0", {0.6, 0.8}}, {"0", "15", {0.9}}, {"10", "15", {0.7, 0.75}}, {"1", "15", {}}};

TEST(ThesisTables, TakeTheTestedEpochAndTheMarginOfTheTable) {
  const Made made = made_of(kGrid);
  const std::vector<StudyTable> tables = thesis_tables(made.study, made.runs);
  ASSERT_EQ(tables.size(), 3u);
  ASSERT_EQ(tables[0].rows.size(), 2u);  // trained without a margin
  ASSERT_EQ(tables[1].rows.size(), 2u);  // with one
  ASSERT_EQ(tables[2].rows.size(), 4u);  // all that were run
  EXPECT_EQ(tables[0].rows[1].label, "lambda=25,margin=0");
  EXPECT_DOUBLE_EQ(tables[0].rows[1].cells[0].mean, 0.9);
  EXPECT_DOUBLE_EQ(tables[0].rows[1].cells[1].mean, 0.8);
  EXPECT_DOUBLE_EQ(tables[0].rows[1].cells[2].mean, 0.7);
  EXPECT_DOUBLE_EQ(tables[2].rows[3].cells[0].mean, 0.6);
  EXPECT_DOUBLE_EQ(tables[2].rows[3].cells[1].mean, 0.725);
  // sqrt(0.9776 (1 - 0.9776) / 2500) and sqrt(0.974 (1 - 0.974) / 1000), in percent
  EXPECT_EQ(tables[0].rows[1].cells[1].beside, "thesis 97.76 ± 0.30");
  EXPECT_EQ(tables[2].rows[3].cells[0].beside, "thesis 97.40 ± 0.50");
  EXPECT_EQ(tables[2].rows[3].cells[1].beside, "thesis 71.31");
}

TEST(ThesisTables, TheSheetShowsNoPenaltyAndTheBestOne) {
  const Made made = made_of(kGrid);
  const auto sheet = thesis_sheet(made.study, made.runs, thesis_tables(made.study, made.runs)[2]);
  ASSERT_TRUE(sheet.has_value());
  // 0.725 of lambda 10 is above 0.7 of lambda 25; lambda 0 with the margin has 0.9, but no penalty.
  EXPECT_EQ(sheet->rows, (std::vector<std::string>{"lambda=0,margin=0", "lambda=10,margin=15"}));
  const Made half = made_of({{"0", "0", {0.5}}, {"1", "0", {}}});
  EXPECT_FALSE(thesis_sheet(half.study, half.runs, thesis_tables(half.study, half.runs)[2]).has_value());
}

TEST(ThesisTables, SeveralMarginsAreRefused) {
  const Made made = made_of({{"0", "0", {0.5}}, {"1", "7", {0.5}}, {"1", "15", {0.5}}});
  EXPECT_THROW(thesis_tables(made.study, made.runs), Error);
}

}  // namespace
}  // namespace boxcam
