// What a study says: files, presets, grids, seeds, and what is refused with its line and the nearest word.
#include "apps/experiment/study.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "apps/common/epoch_rules.h"
#include "apps/experiment/plan.h"
#include "apps/experiment/tables.h"
#include "engine/base/check.h"
#include "tests/temporary_folder.h"

namespace boxcam {
namespace {

std::string refusal(const std::function<void()>& function) {
  try {
    function();
  } catch (const Error& e) {
    return e.what();
  }
  return "nothing was refused";
}
std::string refusal_of(const std::string& text) {
  return refusal([&] { read_study(text, "a.toml"); });
}

TEST(StudyFile, SaysOptionsRowsAndSeedsInItsOrder) {
  const Study study = read_study(R"(
title = "T"
seeds = [3, 5]
reference = "b"
[options]
lr = 0.05
nesterov = true
classes = ["ship", "car"]
[[row]]
name = "z"
lambda = 4
note = "first"
[[row]]
name = "b"
head-bias = "off"
)",
                                 "a.toml");
  EXPECT_EQ(study.title, "T");
  EXPECT_EQ(study.reference, "b");
  EXPECT_EQ(study.seeds, (std::vector<uint64_t>{3, 5}));
  EXPECT_EQ(study.options, (OptionList{{"lr", "0.05"}, {"nesterov", "true"}, {"classes", "ship,car"}}));
  ASSERT_EQ(study.rows.size(), 2u);
  EXPECT_EQ(study.rows[0].name, "z");
  EXPECT_EQ(study.rows[0].note, "first");
  EXPECT_EQ(study.rows[0].options, (OptionList{{"lambda", "4"}}));
  EXPECT_EQ(study.rows[1].options, (OptionList{{"head-bias", "off"}}));
}

TEST(StudyFile, AGridIsEveryCombinationAndTheLastAxisChangesFastest) {
  const Study study = read_study("[grid]\nmargin = [0, 15]\nlambda = [0, 1.5]\n", "a.toml");
  std::vector<std::string> names;
  for (const auto& row : study.rows) names.push_back(row.name);
  EXPECT_EQ(names, (std::vector<std::string>{"margin=0,lambda=0", "margin=0,lambda=1.5", "margin=15,lambda=0",
                                             "margin=15,lambda=1.5"}));
  EXPECT_EQ(study.rows[3].options, (OptionList{{"margin", "15"}, {"lambda", "1.5"}}));
}

TEST(StudyFile, WhatIsWrongIsSaidWithTheLineAndTheNearestWord) {
  EXPECT_EQ(refusal_of("titel = 1\n[[row]]\nname='a'"),
            "a.toml:1: 'titel' is not a key of a study; did you mean 'title'?");
  EXPECT_EQ(refusal_of("[[row]]\nname='a'\nlamda=1"),
            "a.toml:3: 'lamda' is not an option of train; did you mean 'lambda'?");
  EXPECT_EQ(refusal_of("[options]\noutput='x'\n"),
            "a.toml:2: 'output' is not an option of a study's runs: each run gets a folder of its own");
  EXPECT_EQ(refusal_of("title='t'"), "a.toml has no row: expected [[row]] or [grid]");
  EXPECT_EQ(refusal_of("[[row]]\nname='a'\n[[row]]\nname='a'"), "a.toml: two rows are called 'a'");
  EXPECT_EQ(refusal_of("[[row]]\nlambda=1"), "a.toml:1: a row needs a name that can be a folder's, found ''");
  EXPECT_EQ(refusal_of("reference='b'\n[[row]]\nname='a'"),
            "a.toml: reference: there is no row 'b'; did you mean 'a'?");
  EXPECT_NE(refusal_of("[[row]\n").find("a.toml:1: "), std::string::npos);
  EXPECT_EQ(refusal_of("[[row]]\nname=3"), "a.toml:2: name: expected text in quotes");
}

TEST(StudyFile, GivesTrainNothingButValues) {
  // Its names and values end in commands that shells read line by line (--list-missing).
  EXPECT_EQ(refusal_of("[[row]]\nname=\"a\\ntouch b #\""),
            "a.toml:1: a row needs a name that can be a folder's, found 'a\ntouch b #'");
  EXPECT_EQ(refusal_of("[[row]]\nname='a'\nweights=\"a\\nb\""),
            "a.toml:3: weights: expected one line of text without control characters");
  EXPECT_EQ(refusal_of("[grid]\nweights=[\"a\\tb\"]"),
            "a.toml:2: weights: expected one line of text without control characters");
  EXPECT_EQ(refusal_of("[[row]]\nname='a'\ntensorboard='--profile=x'"),
            "a.toml:3: tensorboard: expected true or false, found --profile=x");
  EXPECT_EQ(refusal_of("[[row]]\nname='a'\nlambda=false"), "a.toml:3: lambda: expected a value, found false");
  EXPECT_EQ(refusal_of("[options]\nverify='x'\n"),
            "a.toml:2: 'verify' is not an option of a study's runs: it repeats one run, with train");
}

TEST(StudyFile, AShortFileCannotAskForAnyNumberOfRuns) {
  std::string grid = "[grid]\n";
  for (const char* option : {"lambda", "margin", "epochs", "batch", "lr"})
    grid += str(option, " = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n");
  EXPECT_EQ(refusal_of(grid), "the grid has more rows than the 10000 that a study may have");
  EXPECT_EQ(refusal_of("[grid]\nlambda = []\n"), "a.toml has no row: expected [[row]] or [grid]");
  std::string rows;
  for (int row = 0; row < 4000; ++row) rows += str("[[row]]\nname='", row, "'\n");
  EXPECT_EQ(refusal_of(rows), "a.toml has 78890 bytes: a study may have 65536");
  EXPECT_NE(refusal_of("a" + std::string(100'000, '.')), "");
  constexpr uint64_t last = std::numeric_limits<uint64_t>::max();
  EXPECT_EQ(read_seeds(str(last - 1, "-", last)), (std::vector<uint64_t>{last - 1, last}));
  std::string list = "0";
  for (int seed = 1; seed < 1001; ++seed) list += str(",", seed);
  EXPECT_THROW(read_seeds(list), Error);
  EXPECT_EQ(read_seeds(list.substr(0, list.rfind(','))).size(), 1000u);
}

TEST(StudyFile, ThePresetsCanBeRead) {
  ASSERT_EQ(presets().size(), 4u);
  for (const Preset& p : presets()) EXPECT_FALSE(preset(p.name).rows.empty()) << p.name;
  EXPECT_EQ(preset("thesis").rows.size(), 8u);
  EXPECT_EQ(refusal([] { preset("boxs"); }),
            "--preset: 'boxs' is not one of boxes, demo, readings, thesis; did you mean 'boxes'?");
}

TEST(StudySeeds, AreACountARangeOrAList) {
  EXPECT_EQ(read_seeds("3"), (std::vector<uint64_t>{0, 1, 2}));
  EXPECT_EQ(read_seeds("201-203"), (std::vector<uint64_t>{201, 202, 203}));
  EXPECT_EQ(read_seeds("7,3"), (std::vector<uint64_t>{7, 3}));
  for (const char* wrong : {"0", "", "3-1", "1,1", "a", "-3", "1.5"}) EXPECT_THROW(read_seeds(wrong), Error) << wrong;
}

/// Tiny runs.
OptionList tiny() {
  return {{"data", "scenes"}, {"model", "resnet-mini"}, {"image-size", "32"}, {"batch", "8"},
          {"epochs", "2"},    {"train-images", "32"},   {"val-images", "16"}, {"test-images", "16"}};
}
Study study_of(std::vector<StudyRowOptions> rows) {
  Study study;
  study.options = tiny();
  study.rows = std::move(rows);
  study.seeds = {1, 2};
  return study;
}

TEST(StudyPlan, AFolderIsNamedByWhatActs) {
  const TemporaryFolder folder;
  const auto hash = [&](const OptionList& options, const OptionList& given = {}, int threads = 1) {
    return plan_runs(study_of({{"a", options}}), given, folder / "x", threads)[0].hash;
  };
  const std::string plain = hash({});
  EXPECT_EQ(hash({{"lambda", "0"}}), plain);          // the default, said
  EXPECT_EQ(hash({{"loader-threads", "3"}}), plain);  // how it is computed
  EXPECT_EQ(hash({}, {}, 2), plain);
  EXPECT_EQ(hash({{"train-images", "32"}}), plain);  // the same data
  EXPECT_NE(hash({{"train-images", "31"}}), plain);  // other data
  EXPECT_NE(hash({{"lambda", "1"}}), plain);
  EXPECT_NE(hash({}, {{"epochs", "3"}}), plain);
  // What --thesis stands for is the same as the options it stands for.
  const OptionList literal = {{"cam-target", "logit"},          {"cam-model", "copy"},      {"cam-batch-norm", "eval"},
                              {"penalty-gradient", "constant"}, {"cam-profile", "pgc-1.4"}, {"lambda", "1"}};
  EXPECT_EQ(hash({{"thesis", "true"}, {"lambda", "1"}}), hash(literal));
  const auto runs = plan_runs(study_of({{"a", {}}, {"b", {{"lambda", "1"}}}}), {}, folder / "x", 1);
  ASSERT_EQ(runs.size(), 4u);  // seed by seed
  EXPECT_EQ(runs[1].row, 1u);
  EXPECT_EQ(runs[1].seed, 1u);
  EXPECT_EQ(runs[1].folder, (folder / "x") + "/b/1-" + runs[1].hash.substr(0, 8));
  EXPECT_NE(runs[1].hash, runs[3].hash);  // another seed
}

TEST(StudyPlan, RefusesWhatTrainWouldRefuseAndRowsThatAreTheSameRun) {
  const auto plan = [](std::vector<StudyRowOptions> rows, const OptionList& given = {}) {
    return refusal([&] { plan_runs(study_of(rows), given, "x", 1); });
  };
  EXPECT_NE(plan({{"a", {{"lambda", "-1"}}}}).find("row a: --lambda: expected a number of 0 or more, found '-1'"),
            std::string::npos);
  EXPECT_NE(plan({{"a", {{"evidence-split", "1"}, {"thesis", "true"}}}}).find("row a: --evidence-split: contradicts"),
            std::string::npos);
  EXPECT_NE(plan({{"a", {}}, {"b", {{"lambda", "0"}}}}).find("the rows a and b are the same run with seed 1"),
            std::string::npos);
  Study many = study_of({{"a", {}}, {"b", {{"lambda", "1"}}}});
  many.seeds.resize(5001);
  EXPECT_EQ(refusal([&] { plan_runs(many, {}, "x", 1); }),
            "the study has 2 rows and 5001 seeds: expected at most 10000 runs");
  EXPECT_NE(plan({{"a", {{"weights", "--profile=x"}}}}).find("row a: "), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists("x"));
  EXPECT_EQ(plan({{"a", {{"lambda", "1"}}}}, {{"lambda", "2"}}),
            "--lambda is what the rows of this study say (a: 1); make another study file, or leave it out");
}

TEST(StudyPlan, ScalesMarginsToTheSizeOfTheRuns) {
  Study study = study_of({{"a", {{"margin", "14"}}}});
  study.margins_at = 224;
  EXPECT_EQ(plan_runs(study, {}, "x", 1)[0].options.at("margin"), "2");
}

TEST(StudyOptions, OfTheCommandLineAreTrains) {
  EXPECT_EQ(read_options({"--lambda", "3", "--nesterov", "--lr=0.1"}),
            (OptionList{{"lambda", "3"}, {"nesterov", "true"}, {"lr", "0.1"}}));
  // One that run.json leaves out, because it decides nothing.
  EXPECT_EQ(read_options({"--loader-threads", "1"}), (OptionList{{"loader-threads", "1"}}));
  EXPECT_EQ(refusal([] {
              read_options({"--lamda", "3"});
            }),
            "unknown option --lamda; did you mean '--lambda' or '--data'? (see train --help)");
  EXPECT_EQ(refusal([] { read_options({"--lambda"}); }), "--lambda: needs a value");
  EXPECT_EQ(refusal([] {
              read_options({"--seed", "3"});
            }),
            "--seed is not an option of a study's runs (see experiment --help)");
  EXPECT_EQ(refusal([] {
              read_options({"--verify", "runs/a"});
            }),
            "--verify is not an option of a study's runs (see experiment --help)");
}

TEST(StudyTables, ARuleChoosesTheFirstOfTheBest) {
  const std::vector<nlohmann::json> epochs = {{{"epoch", 0}, {"val_accuracy", 0.5}, {"val_content_heatmap", nullptr}},
                                              {{"epoch", 1}, {"val_accuracy", 0.7}, {"val_content_heatmap", 0.2}},
                                              {{"epoch", 2}, {"val_accuracy", 0.7}, {"val_content_heatmap", 0.1}}};
  EXPECT_EQ(chosen_epoch(epochs, "accuracy"), 1);
  EXPECT_EQ(chosen_epoch(epochs, "last"), 2);
  EXPECT_EQ(chosen_epoch(epochs, "content-heatmap"), 1);
  EXPECT_EQ(chosen_epoch(epochs, "worst-group"), -1);
}

TEST(StudyTables, ANameIsOneCellWhateverIsInIt) {
  StudyRecord record;
  record.tables.push_back({"t", "", {{"test_accuracy", "accuracy"}}, {{"a|b, c & d", {{0.5, 0.25, 3}}}}});
  const auto holds = [](const std::string& text, const char* part) { return text.find(part) != std::string::npos; };
  EXPECT_TRUE(holds(as_markdown(record), "| a\\|b, c & d | 3   | 50.0 ± 25.0 |")) << as_markdown(record);
  EXPECT_TRUE(holds(as_csv(record), "\nt,\"a|b, c & d\",test_accuracy,0.5,0.25,3,")) << as_csv(record);
  EXPECT_TRUE(holds(as_latex(record), "\na\\textbar{}b, c \\& d & 3 & 50.0 ")) << as_latex(record);
}

// Six columns are as wide as a page of paper, however many measures there are.
TEST(StudyTables, LatexHasATableOfDifferencesForEachMeasure) {
  StudyCell few{0.6, 0.1, 3}, many{0.7, 0.1, 8};
  few.difference = PairedDifference{.mean = 0.1, .sd = 0.02, .pairs = 3, .p = 0.25, .holm_p = 0.25};
  many.difference = PairedDifference{
      .mean = -0.2, .sd = 0.03, .pairs = 8, .p = 0.0078125, .holm_p = 0.03, .low = -0.22, .high = -0.17};
  StudyRecord record;
  record.reference = "none";
  record.tables.push_back({"t",
                           "",
                           {{"test_accuracy", "accuracy"}, {"test_content_heatmap", "Content-Heatmap"}},
                           {{"none", {{0.5, 0.1, 8}, {0.5, 0.1, 8}}}, {"box", {few, many}}}});
  const std::string latex = as_latex(record);
  const auto holds = [&](const char* part) { return latex.find(part) != std::string::npos; };
  EXPECT_TRUE(holds("\\caption{accuracy. Difference from none")) << latex;
  EXPECT_TRUE(holds("\nbox & 3 & +10.0 $\\pm$ 2.0 & - & no verdict & - ")) << latex;
  EXPECT_TRUE(holds("\\caption{Content-Heatmap. Difference from none")) << latex;
  EXPECT_TRUE(holds("\nbox & 8 & -20.0 $\\pm$ 3.0 & -22.0 to -17.0 & 0.0078 & 0.030 ")) << latex;
}

TEST(StudyTables, SayWhereNoNumberOfAgreeingSeedsCouldGiveAVerdict) {
  // Six pairs of one sign have p = 2 / 2^6 = 0.031: below 0.05 for one row against the reference, above it for two.
  const TemporaryFolder folder;
  for (const auto& [row, gain] : {std::pair("plain", 0.0), {"one", 0.1}, {"other", 0.2}})
    for (int seed = 1; seed <= 6; ++seed) {
      const std::string run = folder / (std::string(row) + "/" + std::to_string(seed));
      std::filesystem::create_directories(run);
      std::ofstream(run + "/run.json") << R"({"options": {"best-by": "last", "seed": ")" << seed << R"("}})";
      std::ofstream(run + "/test.json") << R"({"test_accuracy": )" << 0.5 + gain + 0.01 * seed << "}";
      std::ofstream(run + "/epochs.jsonl") << "{}\n";
    }
  const auto difference_of = [](const StudyRecord& record, size_t row) {
    return record.tables.at(0).rows.at(row).cells.at(0).difference.value();
  };
  const StudyRecord two = record_of_folders(folder / "", {"plain", "one"});
  EXPECT_EQ(difference_of(two, 1).verdict, "larger");
  EXPECT_FALSE(difference_of(two, 1).out_of_reach);
  const StudyRecord three = record_of_folders(folder / "", {"plain", "one", "other"});
  for (const size_t row : {1, 2}) {
    EXPECT_NEAR(difference_of(three, row).holm_p, 0.0625, 1e-12);
    EXPECT_EQ(difference_of(three, row).verdict, "all seeds agree, too few for so many rows");
  }
  EXPECT_NE(as_markdown(three).find("p 0.031 (0.062)"), std::string::npos) << as_markdown(three);
  const std::string page = study_page(three);
  EXPECT_NE(page.find("In 2 of 2 comparisons"), std::string::npos);
  EXPECT_NE(page.find("all seeds agree, but with so many rows"), std::string::npos);
  EXPECT_EQ(page.find("no difference was seen"), std::string::npos);
}

}  // namespace
}  // namespace boxcam
