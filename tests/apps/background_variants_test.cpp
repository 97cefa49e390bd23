// --background-variants in train and evaluate: what is measured, and that nothing else changes.
#include "apps/common/background_variants.h"

#include <gtest/gtest.h>

#include "apps/common/report/report.h"
#include "tests/programs.h"

namespace boxcam {
namespace {

const std::vector<std::string> kVariants = {"only-fg",    "no-fg",      "only-bg-b", "only-bg-t",
                                            "mixed-same", "mixed-rand", "mixed-next"};

std::string key_of(std::string variant) {
  std::replace(variant.begin(), variant.end(), '-', '_');
  return variant + "_accuracy";
}

TEST(BackgroundVariants, TheGapIsWhatTheGroundDecides) {
  BackgroundVariants variants{8, {{"mixed-same", 0.75}, {"mixed-rand", 0.5}}};
  EXPECT_EQ(variants.bg_gap(), 0.25);
  EXPECT_THROW(variants.accuracy_on("mixed-next"), Error);
}

TEST(BackgroundVariants, TablesOfExperimentShowThem) {
  BackgroundVariants variants{8, {}};
  for (const std::string& name : kVariants) variants.accuracy.emplace_back(name, 0.5);
  RunRecord run;
  run.test = {{"test_accuracy", 0.5}};
  EXPECT_EQ(measures_of({run}).size(), 1u);
  add_to_json(run.test, variants);
  std::vector<std::string> shown;
  for (const Measure& measure : measures_of({run})) shown.push_back(measure.key);
  for (const std::string& name : kVariants) EXPECT_TRUE(std::count(shown.begin(), shown.end(), key_of(name))) << name;
  EXPECT_TRUE(std::count(shown.begin(), shown.end(), "bg_gap"));
}

TEST(BackgroundVariants, TrainAndEvaluateMeasureWhatEvaluateMeasuresOneByOne) {
  const TemporaryFolder folder;
  const std::string run = folder / "run", plain = folder / "plain";
  const Outcome trained =
      run_program("train", with(tiny_run(), {{"--output", run}, {"--epochs", "4"}, {"--background-variants", ""}}));
  ASSERT_EQ(trained.status, 0) << trained.err;
  const nlohmann::json test = json_of(run + "/test.json");
  const Arguments measure = {{"--checkpoint", run + "/best.safetensors"}, {"--threads", "1"}};
  const Outcome all =
      run_program("evaluate", with(measure, {{"--background-variants", ""}, {"--json", folder / "all.json"}}));
  ASSERT_EQ(all.status, 0) << all.err;
  const nlohmann::json together = json_of(folder / "all.json")["background_variants"];
  for (const std::string& variant : kVariants) {
    const std::string file = folder / variant + ".json";
    const Outcome one = run_program("evaluate", with(measure, {{"--split", variant}, {"--json", file}}));
    ASSERT_EQ(one.status, 0) << one.err;
    const nlohmann::json entry = json_of(file)[variant];
    EXPECT_EQ(test[key_of(variant)], entry["accuracy"]) << variant;
    EXPECT_EQ(together[key_of(variant)], entry["accuracy"]) << variant;
    EXPECT_EQ(test["variant_images"], entry["images"]);
    EXPECT_EQ(entry["content_heatmap"].is_null(), variant == "no-fg" || variant.starts_with("only-bg")) << variant;
  }
  EXPECT_DOUBLE_EQ(test["bg_gap"].get<double>(),
                   test["mixed_same_accuracy"].get<double>() - test["mixed_rand_accuracy"].get<double>());
  EXPECT_TRUE(contains(trained.out, "BG-gap (mixed-same - mixed-rand) "));
  EXPECT_TRUE(contains(all.out, "images with objects: only-fg "));

  // Without them the run is the same, and says nothing of them.
  const Outcome without = run_program("train", with(tiny_run(), {{"--output", plain}, {"--epochs", "4"}}));
  ASSERT_EQ(without.status, 0) << without.err;
  EXPECT_EQ(bytes_of(plain + "/last.safetensors"), bytes_of(run + "/last.safetensors"));
  nlohmann::json rest = test;
  for (const std::string& variant : kVariants) rest.erase(key_of(variant));
  rest.erase("bg_gap");
  rest.erase("variant_images");
  EXPECT_EQ(json_of(plain + "/test.json"), rest);
}

TEST(BackgroundVariants, AreRefusedWhereTheyCannotBe) {
  const TemporaryFolder folder;
  const std::string packed = folder / "packed";
  ASSERT_EQ(run_program("prepare", {{"--image-size", "32"},
                                    {"--train-images", "8"},
                                    {"--val-images", "8"},
                                    {"--test-images", "8"},
                                    {"--output", packed}})
                .status,
            0);
  const Outcome other =
      run_program("train", {{"--data", "packed:" + packed}, {"--background-variants", ""}, {"--image-size", "32"}});
  EXPECT_EQ(other.status, 2);
  EXPECT_TRUE(contains(other.err, "train: --background-variants: --data packed:" + packed +
                                      " does not say which pixels are an object's: expected scenes"));
  const Outcome split =
      run_program("evaluate", {{"--checkpoint", "none"}, {"--split", "train"}, {"--background-variants", ""}});
  EXPECT_EQ(split.status, 2);
  EXPECT_TRUE(contains(split.err, "--background-variants: measures the test split, without --sanity, "));
}

// A test split may have no picture with an object.
TEST(BackgroundVariants, WithoutAnImageNothingIsMeasured) {
  const TemporaryFolder folder;
  uint64_t seed = 0;
  DataOptions options;
  options.none_class = NoneClass::on;
  options.test_images = 1;
  options.image_size = 32;
  for (; open_splits(options, {"test"})[0].data->label(0) != 3; options.data_seed = ++seed) continue;
  const Outcome trained = run_program("train", with(tiny_run(), {{"--output", folder / "run"},
                                                                 {"--test-images", "1"},
                                                                 {"--data-seed", std::to_string(seed)},
                                                                 {"--background-variants", ""}}));
  ASSERT_EQ(trained.status, 0) << trained.err;
  const nlohmann::json test = json_of(folder / "run/test.json");
  EXPECT_TRUE(test["bg_gap"].is_null() && test["only_fg_accuracy"].is_null());
  EXPECT_EQ(test["variant_images"], 0);
}

}  // namespace
}  // namespace boxcam
