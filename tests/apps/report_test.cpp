// Pages of a run and of a study: whole, self-contained, the same for the same records, and true to them.
#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <sstream>

#include "apps/common/html.h"
#include "apps/common/report/chart.h"
#include "apps/common/report/report.h"
#include "apps/common/report/summary.h"
#include "apps/common/report/values.h"
#include "tests/programs.h"

namespace boxcam {
namespace {

using nlohmann::json;

/// Elements that are closed in their order, attributes that are quoted, no bare & or >; the first thing that is wrong.
std::string fault_in(const std::string& html) {
  static const std::set<std::string> alone = {"meta", "link", "img", "br", "!DOCTYPE"};
  std::vector<std::string> open;
  for (size_t at = 0; at < html.size();) {
    if (html[at] == '>') return "a bare > at " + html.substr(at > 40 ? at - 40 : 0, 80);
    if (html[at] == '&' && html.find(';', at) > at + 8) return "a bare & at " + html.substr(at, 40);
    if (html[at] != '<') {
      ++at;
      continue;
    }
    size_t end = at;
    for (bool quoted = false; end < html.size() && (quoted || html[end] != '>'); ++end)
      if (html[end] == '"') quoted = !quoted;
    const std::string tag = html.substr(at + 1, end - at - 1), name = tag.substr(0, tag.find_first_of(" \n/", 1));
    at = end + 1;
    if (tag.starts_with("/")) {
      if (open.empty() || "/" + open.back() != name) return "<" + tag + "> closes nothing";
      open.pop_back();
    } else if (!tag.ends_with("/") && !alone.contains(name)) {
      open.push_back(name);
      if (name == "style") at = html.find("</style>", at);
    }
  }
  return open.empty() ? "" : "<" + open.back() + "> is never closed";
}

void expect_whole(const std::string& page) {
  EXPECT_EQ(fault_in(page), "");
  EXPECT_TRUE(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"));
  for (const char* outside : {"http:", "https:", "<script", "url(", "@import", " nan", "\"nan", "inf\""})
    EXPECT_EQ(page.find(outside), std::string::npos) << page.substr(page.find(outside), 60);
  for (size_t at = 0; (at = page.find("src=\"", at)) != std::string::npos; ++at)
    EXPECT_EQ(page.compare(at + 5, 5, "data:"), 0) << page.substr(at, 40);
}

TEST(ReportPage, TheCheckBites) {
  EXPECT_EQ(fault_in("<p>a &amp; b<br><img alt=\"a > b\"/></p>"), "");
  for (const char* bad : {"<p><b></p></b>", "<p>", "a & b", "a > b", "</p>"}) EXPECT_NE(fault_in(bad), "") << bad;
}

TestPicture picture(const std::string& split, int64_t index, TestPicture::Why why) {
  TestPicture p;
  p.why = why;
  p.split = split;
  p.index = index;
  p.id = "image<" + std::to_string(index) + ">";
  p.label = "ship";
  p.predicted = index % 2 ? "car" : "ship";
  p.score = 0.875;
  p.content_heatmap = 0.25 + 0.01 * static_cast<double>(index);
  p.png = png_bytes(Image(4, 4));
  return p;
}

/// A run whose numbers are unlike any other's.
RunRecord run_of(const std::string& row, int seed, double shift, const std::string& boxes = "own") {
  RunRecord r;
  r.row = row;
  r.seed = std::to_string(seed);
  r.run = {{"options",
            {{"lambda", row == "plain" ? "0" : "4"},
             {"boxes", boxes},
             {"model", "tiny"},
             {"data", "scenes"},
             {"seed", r.seed},
             {"output", "/somewhere/" + row}}},
           {"identity", {{"processor", "A <processor> & more"}, {"threads", 2}}},
           {"data", {{"classes", {"ship", "car"}}, {"train", {{"content", "20 images"}, {"identity", "ab"}}}}}};
  const double s = 0.001 * seed + shift;
  r.test = {{"split", "test"},
            {"test_images", 50},
            {"test_accuracy", 0.9 + s},
            {"out_of_context_accuracy", 0.4 + s},
            {"test_content_heatmap", 0.5 + s},
            {"out_of_context_content_heatmap", 0.3 + 4 * s},
            {"test_empty_cams", 0.0},
            {"out_of_context_empty_cams", nullptr},
            {"per_class_accuracy", {{"ship", 0.811 + s}, {"car", nullptr}}}};
  for (int epoch = 0; epoch < 3; ++epoch)
    r.epochs.push_back({{"epoch", epoch}, {"val_accuracy", 0.1 * epoch + s}, {"val_content_heatmap", nullptr}});
  for (const auto why : {TestPicture::Why::fixed, TestPicture::Why::worst, TestPicture::Why::best})
    r.pictures.push_back(picture("test", why == TestPicture::Why::worst ? 3 : 2, why));
  return r;
}

StudyRecord study_of(int seeds) {
  StudyRecord study;
  study.title = "A & B";
  study.reference = "plain";
  study.selection = "the last epoch";
  for (const auto& [row, shift] : {std::pair<std::string, double>{"plain", 0.0}, {"boxes <4>", 0.05}}) {
    study.rows.push_back({row, {}});
    for (int seed = 1; seed <= seeds; ++seed) study.rows.back().runs.push_back(run_of(row, seed, shift));
  }
  StudyTable table{"Table 3.1", "Means & spreads", {{"out_of_context_accuracy", "accuracy out of context"}}, {}};
  StudyCell reference{0.4123, 0.0216, seeds, {}, "thesis 39.9 ± 0.7"};
  StudyCell cell{0.4567, 0.0321, seeds,
                 PairedDifference{0.0444, 0.0123, seeds, 0.0078, 0.0156, 0.0222, 0.0666, "higher"}};
  table.rows = {{"plain", {reference}}, {"boxes <4>", {cell}}};
  study.tables = {table};
  study.more = {{"Other rules", "", {"row", "epoch"}, {{"plain", "17"}}}};
  study.failed = {{"plain", "9", "the loss is not finite"}};
  study.options = options_that_differ(study.rows);
  study.remarks = {"A remark of the runner."};
  return study;
}

std::string all_of(const std::vector<std::string>& sentences) {
  std::string text;
  for (const std::string& sentence : sentences) text += sentence + "\n";
  return text;
}

TEST(ReportPage, AStudyIsWholeAndHasEveryNumber) {
  const std::string page = study_page(study_of(8));
  expect_whole(page);
  for (const char* text :
       {"A &amp; B", "boxes &lt;4&gt;", "41.2 ± 2.2", "thesis 39.9 ± 0.7", "45.7 ± 3.2", "+4.4 ± 1.2", "+2.2 to +6.7",
        "0.008", "0.016", "higher", "the last epoch", "Other rules", ">17<", "the loss is not finite", "--lambda",
        "A remark of the runner.", "A &lt;processor&gt; &amp; more", "81.5", "20 images"})
    EXPECT_TRUE(page.find(text) != std::string::npos) << text;
  EXPECT_EQ(page.find("/somewhere"), std::string::npos);  // where a run lies is no part of it
  EXPECT_EQ(page, study_page(study_of(8)));
}

TEST(ReportPage, ASheetShowsItsRowsAlone) {
  StudyRecord study = study_of(2);
  const auto pictures = [](const std::string& page) {
    size_t n = 0;
    for (size_t at = page.find("class=\"label\""); at != std::string::npos; at = page.find("class=\"label\"", at + 1))
      ++n;
    return n;
  };
  const size_t without = pictures(study_page(study));
  study.sheets = {{"Table 3.4", "Without & with", {"boxes <4>"}}};
  const std::string page = study_page(study);
  expect_whole(page);
  EXPECT_NE(page.find("<h3>Table 3.4</h3>\n<p>Without &amp; with</p>"), std::string::npos);
  EXPECT_EQ(without, 2u);
  EXPECT_EQ(pictures(page), 3u);
}

TEST(ReportPage, WhatIsMissingIsLeftOut) {
  expect_whole(run_page({}));
  expect_whole(study_page({}));
  StudyRecord study = study_of(2);
  for (StudyRow& row : study.rows)
    for (RunRecord& run : row.runs) run.pictures.clear(), run.epochs.clear(), run.test = json::object();
  study.rows.push_back({"no run yet", {}});
  const std::string page = study_page(study);
  expect_whole(page);
  EXPECT_EQ(page.find("id=\"pictures\""), std::string::npos);
  EXPECT_EQ(page.find("id=\"front\""), std::string::npos);
}

TEST(ReportPage, EveryRunIsAPoint) {
  const std::string chart = scatter_chart({"x"}, {"y"}, {{"a", {{0.1, 0.2}, {0.2, 0.3}, {kUnknown, 0.1}}}});
  size_t marks = 0;
  for (size_t at = 0; (at = chart.find("class=\"mark", at)) != std::string::npos; ++at) ++marks;
  EXPECT_EQ(marks, 2u);  // the third has no place
  EXPECT_EQ(chart.find("nan"), std::string::npos);
}

TEST(ReportWords, BelowSixPairsThereIsNoVerdict) {
  const Summary few = summary_of(study_of(3)), enough = summary_of(study_of(8));
  EXPECT_TRUE(contains(all_of(few.shows), "nothing in this study differs"));
  EXPECT_TRUE(
      contains(all_of(few.does_not_show), "n = 3 pairs of seeds the exact sign-flip test cannot give a p below 0.25"));
  EXPECT_TRUE(contains(all_of(enough.shows),
                       "“boxes <4>” has accuracy out of context higher by 4.4 points (95 % interval of the difference "
                       "2.2 to 6.7, n = 8, p = 0.008, after Holm = 0.016)"));
  EXPECT_EQ(all_of(enough.does_not_show).find("no verdict"), std::string::npos);
}

TEST(ReportWords, ControlsEmptyCamsAndFailuresAreSaid) {
  StudyRecord study = study_of(8);
  EXPECT_TRUE(contains(all_of(summary_of(study).does_not_show), "No row trains with wrong boxes"));
  EXPECT_TRUE(contains(all_of(summary_of(study).does_not_show), "1 run failed"));
  study.rows.push_back({"control", {run_of("control", 1, 0.02, "shuffled")}});
  study.rows.back().runs[0].test["test_empty_cams"] = 0.42;
  const std::string words = all_of(summary_of(study).does_not_show);
  EXPECT_TRUE(contains(words, "The best control, “control”, has an accuracy out of context of 42.1 %"));
  EXPECT_TRUE(contains(words, "In “control”, 42.0 % of the CAMs are empty"));
  study.rows[1].runs[0].run["identity"]["threads"] = 1;
  EXPECT_TRUE(contains(all_of(summary_of(study).does_not_show), "they differ in threads (1, 2)"));
}

TEST(ReportWords, ACamThatMovedAloneIsSaid) {
  StudyRecord study = study_of(8);
  for (RunRecord& run : study.rows[1].runs) run.test["out_of_context_accuracy"] = 0.4;
  EXPECT_TRUE(contains(all_of(summary_of(study).does_not_show), "a CAM in the right place is no proof"));
}

TEST(ReportWords, OptionsThatDifferLeaveOutThePlace) {
  const auto options = options_that_differ(study_of(1).rows);
  ASSERT_EQ(options.size(), 1u);
  EXPECT_EQ(options[0].name, "lambda");
  EXPECT_EQ(options[0].values, (std::vector<std::string>{"0", "4"}));
}

TEST(ReportOfARun, IsWrittenByTrainAndTellsTheRun) {
  const TemporaryFolder folder;
  const std::string run = folder / "run";
  train(run, {{"--lambda", "2"}});
  train(folder / "again", {{"--lambda", "2"}});
  const std::string page = bytes_of(run + "/report.html");
  expect_whole(page);
  EXPECT_TRUE(page == bytes_of(folder / "again" + "/report.html"));
  const json test = json::parse(bytes_of(run + "/test.json"));
  for (const char* key :
       {"test_accuracy", "out_of_context_accuracy", "test_content_heatmap", "out_of_context_empty_cams"})
    EXPECT_TRUE(page.find(formatted("%.1f", 100 * test[key].get<double>())) != std::string::npos) << key;
  EXPECT_TRUE(page.find("data:image/png;base64,") != std::string::npos);
  EXPECT_EQ(page.find(folder.path().string()), std::string::npos);
}

// A page is shown to others: a record of another's must not put any file of the disk into it.
TEST(ReportOfARun, ShowsOnlyPicturesOfItsFolder) {
  const TemporaryFolder folder;
  for (const char* name : {"run/run.json", "run/test.json", "run/epochs.jsonl"}) {
    std::filesystem::create_directories(folder / "run/pictures");
    write_bytes(folder / name, "{}");
  }
  write_bytes(folder / "secret", "secret");
  write_bytes(folder / "run/pictures/a.png", "\x89PNG");
  const auto show = [&](const std::string& picture) {
    write_bytes(folder / "run/test_images.jsonl", json{{"picture", picture}, {"shown", {"fixed"}}}.dump() + "\n");
    return read_run_record(folder / "run");
  };
  EXPECT_EQ(show("pictures/a.png").pictures.at(0).index, 0);  // found by fuzzing: without one, NaN became an integer
  for (const std::string& picture : {std::string("../secret"), std::string("pictures/../../secret"), folder / "secret"})
    EXPECT_THROW(show(picture), Error) << picture;
  std::filesystem::create_symlink(folder / "secret", folder / "run/pictures/link.png");
  write_bytes(folder / "run/pictures/text.png", "secret");
  for (const char* picture : {"pictures/link.png", "pictures/text.png"}) EXPECT_THROW(show(picture), Error) << picture;
}

TEST(ReportOfARun, WhatARecordHoldsIsTextAndNoNumberEndsIt) {
  const TemporaryFolder folder;
  const std::string script = "<script>alert(1)</script>";
  write_bytes(folder / "run.json",
              json{{"data", {{"classes", {script, "b"}}}}, {"options", {{"lambda", script}}}}.dump());
  write_bytes(folder / "test.json", json{{"confusion", {{script, 1}, {2, 3}}}, {"note", script}}.dump());
  write_bytes(folder / "epochs.jsonl", json{{"epoch", 0}, {"train_accuracy", -1.7e308}, {"val_accuracy", 0.5}}.dump() +
                                           "\n" + json{{"epoch", 1}, {"train_accuracy", 0.5}}.dump() + "\n");
  const std::string page = run_page(read_run_record(folder.path()));
  expect_whole(page);
  EXPECT_TRUE(contains(page, "&lt;script&gt;"));
  EXPECT_TRUE(contains(page, "default-src 'none'"));
  EXPECT_LT(page.size(), 200'000u);
}

TEST(ReportOfARun, TestImagesAddUpToTheTest) {
  const TemporaryFolder folder;
  const std::string run = folder / "run";
  train(run, {{"--lambda", "2"}, {"--content-heatmap", "pooled"}});
  const json test = json::parse(bytes_of(run + "/test.json"));
  struct Sums {
    double images = 0, right = 0, inside = 0, total = 0;
  };
  std::map<std::string, Sums> splits;
  std::set<std::string> why;
  std::istringstream text(bytes_of(run + "/test_images.jsonl"));
  for (std::string line; std::getline(text, line);) {
    const json image = json::parse(line);
    Sums& s = splits[image["split"]];
    ++s.images;
    s.right += image["label"] == image["predicted"];
    if (image["box_area"] > 0) s.inside += image["inside"].get<double>(), s.total += image["total"].get<double>();
    if (!image.contains("picture")) continue;
    EXPECT_GE(read_image(run + "/" + image["picture"].get<std::string>()).width, 128);
    for (const auto& reason : image["shown"]) why.insert(reason);
  }
  EXPECT_TRUE(why.contains("fixed") && why.contains("worst"));
  ASSERT_EQ(splits.size(), 2u);
  for (const auto& [split, s] : splits) {
    const std::string prefix = split == test["split"] ? "test_" : "out_of_context_";
    EXPECT_EQ(s.images, test[prefix + "images"]);
    EXPECT_DOUBLE_EQ(s.right / s.images, test[prefix + "accuracy"]);
    ASSERT_GT(s.total, 0);
    EXPECT_NEAR(s.inside / s.total, test[prefix + "content_heatmap"].get<double>(), 1e-12);
  }
  const RunRecord record = read_run_record(run);
  EXPECT_EQ(record.seed, "0");
  EXPECT_FALSE(record.pictures.empty());
  EXPECT_EQ(run_page(record), bytes_of(run + "/report.html"));
}

}  // namespace
}  // namespace boxcam
