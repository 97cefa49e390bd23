// evaluate --explainers --metrics: the page, its files, and what is kept when it is interrupted.
#include <gtest/gtest.h>

#include <set>
#include <sstream>

#include "apps/common/explainer_page.h"
#include "models/resnet.h"
#include "tests/programs.h"
#include "xai/cam_metrics.h"
#include "xai/explainers.h"

namespace boxcam {
namespace {

class ExplainerPage : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TemporaryFolder;
    train(*folder_ / "run");
  }
  static void TearDownTestSuite() { delete folder_; }

  static Arguments with_run(const Arguments& more) {
    return with({{"--checkpoint", *folder_ / "run/best.safetensors"}, {"--threads", "1"}}, more);
  }
  static nlohmann::json page(const std::string& name, const Arguments& more) {
    const std::string file = *folder_ / name;
    const Outcome outcome = run_program("evaluate", with_run(with({{"--json", file}}, more)));
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return json_of(file);
  }
  static TemporaryFolder* folder_;
};
TemporaryFolder* ExplainerPage::folder_ = nullptr;

TEST_F(ExplainerPage, HasEveryExplainerAndEveryMetric) {
  const std::string csv = *folder_ / "all.csv";
  const nlohmann::json all =
      page("all.json", {{"--explainers", "all"}, {"--metrics", "all"}, {"--split", "test"}, {"--csv", csv}});
  EXPECT_EQ(all["interrupted"], false);
  size_t columns = 0;
  for (const CamMetric& metric : cam_metrics()) columns += metric.columns.size();
  const nlohmann::json& test = all["test (in context)"];
  EXPECT_EQ(test["images"], 16);
  EXPECT_EQ(test["explainers"].size(), explainers().size());
  for (const auto& [explainer, of_explainer] : test["explainers"].items()) {
    EXPECT_EQ(of_explainer.size(), columns) << explainer;
    for (const auto& [metric, e] : of_explainer.items()) {
      EXPECT_EQ(e["scored"].get<int>() + e["undefined"].get<int>() + e["without_box"].get<int>(), 16) << metric;
      if (e["value"].is_null()) continue;
      EXPECT_LE(e["low"], e["value"]) << explainer << " " << metric;
      EXPECT_GE(e["high"], e["value"]) << explainer << " " << metric;
    }
  }
  int of_classes = 0;
  for (const auto& [name, group] : test["by_class"].items()) of_classes += group["images"].get<int>();
  EXPECT_EQ(of_classes, 16);
  EXPECT_TRUE(test.contains("by_source") && test.contains("by_group"));

  // The file of lines says what the other file says.
  std::istringstream lines(bytes_of(csv));
  std::string line;
  std::getline(lines, line);
  EXPECT_EQ(line, "split,by,group,images,explainer,metric,value,low,high,chance,scored,undefined,without_box");
  size_t of_all = 0;
  while (std::getline(lines, line)) of_all += line.starts_with("test (in context),,,16,");
  EXPECT_EQ(of_all, columns * explainers().size());
}

TEST_F(ExplainerPage, AgreesWithTheEvaluationWithoutAPage) {
  const nlohmann::json plain = page("plain.json", {})["test (in context)"];
  const nlohmann::json of_page = page("page.json", {{"--metrics", "content-heatmap"}})["test (in context)"];
  const nlohmann::json& columns = of_page["explainers"]["grad-cam"];
  for (const auto& [key, column] : {std::pair{"content_heatmap_batch", "content-heatmap.batch"},
                                    {"content_heatmap_pooled", "content-heatmap.pooled"},
                                    {"content_heatmap_image_mean", "content-heatmap.image-mean"}})
    EXPECT_NEAR(plain[key].get<double>(), columns[column]["value"].get<double>(), 1e-6) << key;
  EXPECT_EQ(plain["accuracy"], of_page["accuracy"]);
}

TEST_F(ExplainerPage, TheSameCommandGivesTheSameBytesAndAnotherSeedOtherIntervals) {
  const Arguments what = {{"--explainers", "grad-cam,layer-cam"}, {"--metrics", "epg,road"}};
  const nlohmann::json one = page("one.json", what);
  page("two.json", what);
  EXPECT_EQ(bytes_of(*folder_ / "one.json"), bytes_of(*folder_ / "two.json"));
  const nlohmann::json other = page("other.json", with(what, {{"--seed", "3"}}));
  const auto epg = [](const nlohmann::json& json) {
    return json["test (in context)"]["explainers"]["grad-cam"]["epg"];
  };
  EXPECT_EQ(epg(one)["value"], epg(other)["value"]);
  EXPECT_NE(epg(one)["low"], epg(other)["low"]);
}

TEST_F(ExplainerPage, AnInterruptKeepsWhatWasMeasured) {
  const std::string json = *folder_ / "cut.json", csv = *folder_ / "cut.csv";
  Program program("evaluate", words_of(with_run({{"--metrics", "epg,insertion"},
                                                 {"--test-images", "100000"},
                                                 {"--batch", "2"},
                                                 {"--json", json},
                                                 {"--csv", csv}})));
  std::this_thread::sleep_for(std::chrono::seconds(3));
  program.interrupt();
  const Outcome outcome = program.finish();
  EXPECT_EQ(outcome.status, 130) << outcome.err;
  EXPECT_TRUE(contains(outcome.out, "interrupted: "));
  EXPECT_EQ(json_of(json)["interrupted"], true);
  EXPECT_TRUE(contains(bytes_of(csv), "split,by,group"));
}

// A batch that was begun is left out for every explainer and metric, so that all of them are of the same images.
TEST(MeasuredPage, IsOfWholeBatchesWhereverItIsStopped) {
  DataOptions data;
  data.test_images = 6, data.batch = 2, data.image_size = 32;
  const DataSplit split = open_splits(data, {"test"}).front();
  ResNet model(resnet_config("resnet-mini"), static_cast<int64_t>(split.data->classes().size()));
  ExplainOptions explain;
  settle_taps(explain, model);
  const PagePlan plan = settle_page({.explainers = {&explainer("grad-cam"), &explainer("layer-cam")},
                                     .metrics = {&cam_metric("epg"), &cam_metric("drop"), &cam_metric("iou")},
                                     .csv = ""},
                                    explain);
  const MeasuredPage whole = measure_page(model, split, data, explain, {}, plan, 0);
  EXPECT_TRUE(whole.whole());
  std::set<int64_t> seen;
  for (int calls = 1; calls < 40; calls += 2) {
    int asked = 0;
    const MeasuredPage cut = measure_page(model, split, data, explain, {}, plan, 0, [&] { return ++asked > calls; });
    seen.insert(cut.images());
    EXPECT_EQ(cut.images() % 2, 0);
    for (size_t e = 0; e < 2; ++e)
      for (size_t m = 0; m < 3; ++m) {
        EXPECT_EQ(cut.scores[e][m].size(), cut.images());
        EXPECT_TRUE(std::equal(cut.scores[e][m].states.begin(), cut.scores[e][m].states.end(),
                               whole.scores[e][m].states.begin()));
      }
  }
  EXPECT_EQ(seen, (std::set<int64_t>{0, 2, 4, 6}));
}

TEST_F(ExplainerPage, SaysWhatIsWrong) {
  const auto refused = [](const Arguments& options, int status, const std::vector<std::string>& parts) {
    const Outcome outcome = run_program("evaluate", with_run(options));
    EXPECT_EQ(outcome.status, status) << outcome.out;
    for (const std::string& part : parts) EXPECT_TRUE(contains(outcome.err, part));
  };
  refused({{"--explainers", "grad-cm"}}, 2, {"grad-cm", "did you mean 'grad-cam'"});
  refused({{"--metrics", "epg,ioo"}}, 2, {"ioo", "'iou'"});
  refused({{"--metrics", "epg,epg"}}, 2, {"--metrics", "epg", "twice"});
  refused({{"--explainers", "all"}, {"--explainer", "layer-cam"}}, 2, {"--explainer", "--explainers"});
  refused({{"--csv", *folder_ / "never.csv"}}, 2, {"--csv", "--metrics"});
  refused({{"--seed", "1"}}, 2, {"--seed", "--metrics"});
}

}  // namespace
}  // namespace boxcam
