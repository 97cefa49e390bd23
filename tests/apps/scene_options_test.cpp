// --classes and --scenes-level of scenes in the programs: what a model file and a packed file keep of them.
#include <gtest/gtest.h>

#include "apps/training.h"
#include "tests/programs.h"

namespace boxcam {
namespace {

TEST(SceneOptionsOfPrograms, AModelFileKeepsClassesAndLevel) {
  const TemporaryFolder folder;
  const std::string run = folder / "run";
  const Outcome trained = run_program(
      "train",
      with(tiny_run(), {{"--output", run}, {"--classes", "car,motorbike,person"}, {"--scenes-level", "hard"}}));
  ASSERT_EQ(trained.status, 0) << trained.err;
  const Outcome measured = run_program(
      "evaluate", {{"--checkpoint", run + "/best.safetensors"}, {"--threads", "1"}, {"--json", folder / "e.json"}});
  ASSERT_EQ(measured.status, 0) << measured.err;
  EXPECT_TRUE(contains(measured.out, "car, motorbike, person, hard, seed 0"));
  EXPECT_EQ(json_of(folder / "e.json")["test (in context)"]["accuracy"], json_of(run + "/test.json")["test_accuracy"]);
  const Outcome other = run_program(
      "evaluate", {{"--checkpoint", run + "/best.safetensors"}, {"--threads", "1"}, {"--classes", "plane,ship,car"}});
  EXPECT_EQ(other.status, 1);
  EXPECT_TRUE(contains(other.err, "was trained on the classes car,motorbike,person,none, not on plane,ship,car,none"));
}

TEST(SceneOptionsOfPrograms, APackedFileKeepsThem) {
  const TemporaryFolder folder;
  const std::string packed = folder / "packed";
  const Arguments scenes = {{"--image-size", "32"},
                            {"--train-images", "16"},
                            {"--val-images", "8"},
                            {"--test-images", "8"},
                            {"--classes", "car,motorbike,person"},
                            {"--scenes-level", "hard"}};
  const Outcome made = run_program("prepare", with(scenes, {{"--output", packed}}));
  ASSERT_EQ(made.status, 0) << made.err;
  Arguments plain = tiny_run();
  plain.erase("--train-images"), plain.erase("--val-images"), plain.erase("--test-images");
  const Outcome from_packed =
      run_program("train", with(plain, {{"--data", "packed:" + packed}, {"--output", folder / "a"}}));
  ASSERT_EQ(from_packed.status, 0) << from_packed.err;
  const Outcome drawn = run_program("train", with(with(plain, scenes), {{"--output", folder / "b"}}));
  ASSERT_EQ(drawn.status, 0) << drawn.err;
  EXPECT_EQ(bytes_of(folder / "a/last.safetensors"), bytes_of(folder / "b/last.safetensors"));
  const Outcome other = run_program(
      "train", with(plain, {{"--data", "packed:" + packed}, {"--scenes-level", "plain"}, {"--output", folder / "c"}}));
  EXPECT_EQ(other.status, 1);
  EXPECT_TRUE(contains(other.err, "--scenes-level: "));
}

// Runs of before there were these options keep their names.
TEST(SceneOptionsOfPrograms, AtTheirDefaultsTheyPlayNoPartInARunsHash) {
  CLI::App app;
  TrainingOptions options;
  OptionTable table(app);
  declare_training(table, options);
  const auto hash = [&](const nlohmann::json& recorded) {
    return run_hash(table, {{"options", recorded}, {"data", nlohmann::json::object()}});
  };
  const nlohmann::json now = table.json();
  nlohmann::json before = now, tested = now;
  for (const char* option : {"scenes-level", "background-variants"}) ASSERT_EQ(before.erase(option), 1u) << option;
  EXPECT_EQ(hash(now), hash(before));
  tested["background-variants"] = true;  // test.json is another
  EXPECT_NE(hash(tested), hash(now));
}

TEST(SceneOptionsOfPrograms, OtherClassesAreNeverDrawnTogether) {
  const Outcome mixed = run_program("train", with(tiny_run(), {{"--classes", "plane,person"}}));
  EXPECT_EQ(mixed.status, 1);
  EXPECT_TRUE(
      contains(mixed.err, "--classes: scenes draws plane, ship, car or car, motorbike, person, found plane, person"));
  const Outcome level = run_program("train", {{"--data", "open-images:x"}, {"--scenes-level", "hard"}});
  EXPECT_EQ(level.status, 2);
  EXPECT_TRUE(contains(level.err, "--scenes-level: decides nothing of --data open-images:DIR"));
  for (const char* data : {"open-images:x", "folder:x"}) {
    const Outcome context = run_program("train", {{"--data", data}, {"--context-correlation", "0.5"}});
    EXPECT_EQ(context.status, 2);
    EXPECT_TRUE(contains(context.err, "--context-correlation: decides nothing of --data")) << context.err;
  }
  const Outcome boxes = run_program("train", {{"--data", "folder:x"}, {"--several-classes", "drop"}});
  EXPECT_TRUE(contains(boxes.err, "--several-classes: decides nothing of --data folder:DIR")) << boxes.err;
}

}  // namespace
}  // namespace boxcam
