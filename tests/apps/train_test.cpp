// apps/train as a user meets it: equal runs, interrupted runs, the thesis' literal step, and what a run leaves behind.
#include <gtest/gtest.h>

#include <cstdlib>
#include <set>
#include <sstream>

#include "engine/machine.h"
#include "nn/files/safetensors.h"
#include "tests/programs.h"

namespace boxcam {
namespace {

using nlohmann::json;

void expect_same(const std::string& a, const std::string& b, const std::vector<std::string>& files) {
  for (const std::string& name : files)
    EXPECT_TRUE(bytes_of(a + "/" + name) == bytes_of(b + "/" + name)) << name << " differs";
}
const std::vector<std::string> kEverything = {"best.safetensors", "last.safetensors", "checkpoint.safetensors"};
const std::vector<std::string> kWeights = {"best.safetensors", "last.safetensors"};

bool same_weights(const std::string& a, const std::string& b) {
  return bytes_of(a + "/last.safetensors") == bytes_of(b + "/last.safetensors");
}

TEST(Train, TheSameCommandTwiceGivesTheSameBytes) {
  const TemporaryFolder folder;
  const Arguments options = {{"--lambda", "5"}, {"--augment", "crop-flip"}};
  train(folder / "a", options);
  train(folder / "b", options);
  expect_same(folder / "a", folder / "b", kEverything);
  train(folder / "c", with(options, {{"--seed", "1"}}));
  EXPECT_FALSE(same_weights(folder / "a", folder / "c"));
  train(folder / "d", with(options, {{"--threads", "2"}}));
  train(folder / "e", with(options, {{"--threads", "2"}}));
  expect_same(folder / "d", folder / "e", kEverything);
}

TEST(Train, APenaltyWithoutGradientChangesNoWeight) {
  const TemporaryFolder folder;
  train(folder / "plain");
  for (const char* model : {"shared", "copy"}) {
    const Arguments constant = {{"--penalty-gradient", "constant"}, {"--cam-model", model}};
    train(folder / (std::string(model) + "0"), with(constant, {{"--lambda", "0"}}));
    train(folder / (std::string(model) + "25"), with(constant, {{"--lambda", "25"}}));
    expect_same(folder / "plain", folder / (std::string(model) + "0"), kWeights);
    expect_same(folder / "plain", folder / (std::string(model) + "25"), kWeights);
  }
  train(folder / "thesis", {{"--thesis", ""}, {"--lambda", "25"}});
  expect_same(folder / "plain", folder / "thesis", kWeights);
  // Yet the penalty is measured and enters the reported loss.
  const json epoch = epochs_of(folder / "thesis")[0];
  EXPECT_NEAR(epoch["loss"].get<double>(), epoch["cross_entropy"].get<double>() + 25 * epoch["penalty"].get<double>(),
              1e-9);
}

TEST(Train, APenaltyWithGradientChangesTheWeights) {
  const TemporaryFolder folder;
  train(folder / "plain");
  train(folder / "full", {{"--lambda", "25"}});
  EXPECT_FALSE(same_weights(folder / "plain", folder / "full"));
  train(folder / "centered", {{"--lambda", "25"}, {"--cam-target", "centered"}});
  EXPECT_FALSE(same_weights(folder / "full", folder / "centered"));
  train(folder / "shuffled", {{"--lambda", "25"}, {"--boxes", "shuffled"}});
  EXPECT_FALSE(same_weights(folder / "full", folder / "shuffled"));
  train(folder / "skip", {{"--lambda", "25"}, {"--unboxed", "skip"}});
  EXPECT_FALSE(same_weights(folder / "full", folder / "skip"));
}

/// Takes the digest of the step after which a run was interrupted out of its proof.jsonl, if it is there: what a run
/// leaves that could not write it.
void lose_proof_of_last_step(const std::string& run, const std::string& said) {
  long long epoch = 0, batch = 0, batches = 0;
  const size_t at = said.find("in epoch ");
  if (at == std::string::npos ||
      std::sscanf(said.c_str() + at, "in epoch %lld after batch %lld of %lld", &epoch, &batch, &batches) != 3)
    return;
  std::string kept;
  std::istringstream lines(bytes_of(run + "/proof.jsonl"));
  for (std::string line; std::getline(lines, line);)
    if (json::parse(line)["step"] != (epoch - 1) * batches + batch) kept += line + "\n";
  write_bytes(run + "/proof.jsonl", kept);
}

/// Interrupts a run as soon as it trains, resumes it, interrupts that, and so on: it stops after every batch once, and
/// (with patience that grows while it stands still) in validation and test. Then it must equal the uninterrupted run.
void expect_interruptions_leave_no_trace(const Arguments& options) {
  const TemporaryFolder folder;
  train(folder / "whole", options);
  const std::string parts = folder / "parts";
  Arguments arguments = with(with(tiny_run(), options), {{"--output", parts}});
  std::set<std::string> moments;
  std::string last;
  std::chrono::milliseconds patience{0};
  for (int stops = 0;; ++stops) {
    ASSERT_LT(stops, 60) << last;
    Program program("train", words_of(arguments));
    program.wait_for("output ");
    std::this_thread::sleep_for(patience);
    program.interrupt();
    const Outcome result = program.finish();
    if (result.status == 0) break;
    ASSERT_EQ(result.status, 130) << result.err;
    EXPECT_TRUE(contains(result.err, "interrupted"));
    EXPECT_TRUE(contains(result.err, "--resume"));
    patience = moments.insert(result.err).second ? patience / 2 : 2 * patience + std::chrono::milliseconds(10);
    last = result.err;
    lose_proof_of_last_step(parts, last);
    arguments["--resume"] = "";
  }
  EXPECT_GE(moments.size(), 6u) << "the run was over before it could be interrupted: " << last;
  expect_same(folder / "whole", parts, kEverything);
  EXPECT_EQ(bytes_of(folder / "whole/proof.jsonl"), bytes_of(parts + "/proof.jsonl"));
  EXPECT_EQ(epochs_of(folder / "whole"), epochs_of(parts));
  EXPECT_EQ(json_of(folder / "whole/test.json"), json_of(parts + "/test.json"));
}

TEST(TrainResume, PlainRun) { expect_interruptions_leave_no_trace({}); }

TEST(TrainResume, PenaltyMomentumCosineWarmupAugmentationShuffledBoxes) {
  expect_interruptions_leave_no_trace({{"--lambda", "5"},
                                       {"--boxes", "shuffled"},
                                       {"--momentum", "0.9"},
                                       {"--nesterov", ""},
                                       {"--schedule", "cosine"},
                                       {"--warmup", "0.25"},
                                       {"--augment", "crop-flip"}});
}

TEST(TrainResume, EvidenceSplitBackgroundSwapFixedShuffledBoxes) {
  expect_interruptions_leave_no_trace({{"--evidence-split", "1"},
                                       {"--background-swap", "0.5"},
                                       {"--swap-consistency", "0.5"},
                                       {"--context-only", "0.1"},
                                       {"--boxes", "fixed-shuffled"},
                                       {"--augment", "flip"}});
}

TEST(TrainResume, CopyAdamwAndGradientNorm) {
  expect_interruptions_leave_no_trace(
      {{"--thesis", ""}, {"--lambda", "25"}, {"--optimizer", "adamw"}, {"--clip-grad-norm", "1"}});
}

TEST(TrainResume, Bf16) {
  if (!cpu_has_bf16()) GTEST_SKIP() << "no bf16 on this processor, or no oneDNN";
  expect_interruptions_leave_no_trace({{"--precision", "bf16"}, {"--lambda", "5"}});
}

TEST(TrainOptions, Bf16IsAnotherRunAndSaysSo) {
  if (!cpu_has_bf16()) GTEST_SKIP() << "no bf16 on this processor, or no oneDNN";
  const TemporaryFolder folder;
  train(folder / "f32");
  train(folder / "bf16", {{"--precision", "bf16"}});
  EXPECT_FALSE(same_weights(folder / "f32", folder / "bf16"));
  EXPECT_EQ(json_of(folder / "f32/run.json")["identity"]["precision"], "f32");
  EXPECT_EQ(json_of(folder / "bf16/run.json")["identity"]["precision"], "bf16");
  for (const FileTensor& t : read_safetensors(folder / "bf16/last.safetensors").tensors)
    EXPECT_TRUE(t.is_int64() || t.tensor.dtype() == DType::f32) << t.name;
}

TEST(TrainResume, RefusesAnotherValueAndNamesTheOption) {
  const TemporaryFolder folder;
  train(folder / "run");
  const Arguments others = {{"--lambda", "3"}, {"--augment", "flip"}, {"--epochs", "1"}, {"--thesis", ""}};
  for (const auto& [name, value] : others) {
    const Outcome result =
        run_program("train", with(tiny_run(), {{"--output", folder / "run"}, {"--resume", ""}, {name, value}}));
    EXPECT_EQ(result.status, 1);
    EXPECT_TRUE(contains(result.err, name == "--epochs" ? "planned for 2 epochs" : name + " is"));
  }
}

// Without a GPU too: run.json is made to say that the run came from one.
TEST(TrainResume, ARunMayGoOnOnAnotherDeviceAndSaysSo) {
  const TemporaryFolder folder;
  const Outcome first = train(folder / "run");
  EXPECT_FALSE(contains(first.err, "the machine is not as it was"));
  json run = json_of(folder / "run/run.json");
  EXPECT_FALSE(run.contains("moved"));
  run["options"]["device"] = "cuda";
  run["identity"]["device"] = "cuda";
  std::ofstream(folder / "run/run.json") << run;
  const Arguments here = {{"--resume", ""}, {"--device", "cpu"}};
  EXPECT_TRUE(contains(train(folder / "run", here).err, "device was cuda and is cpu"));
  run["moved"] = {{{"epoch", 2}, {"batch", 0}, {"device", "cpu"}}};
  EXPECT_EQ(json_of(folder / "run/run.json"), run);
  EXPECT_FALSE(contains(train(folder / "run", here).err, "device was"));  // only when it moves
  EXPECT_EQ(json_of(folder / "run/run.json"), run);
}

TEST(TrainResume, TakesEveryOptionFromTheRun) {
  const TemporaryFolder folder;
  const Arguments options = {{"--lambda", "2"},    {"--margin", "3"},     {"--eval-margin", "0"}, {"--lr", "0.005"},
                             {"--nesterov", ""},   {"--epochs", "20"},    {"--thesis", ""},       {"--seed", "4"},
                             {"--data-seed", "2"}, {"--augment", "flip"}, {"--best-by", "last"}};
  train(folder / "whole", options);
  train_and_interrupt(with(with(tiny_run(), options), {{"--output", folder / "parts"}}));
  const Outcome resumed = run_program("train", {{"--resume", ""}, {"--output", folder / "parts"}});
  ASSERT_EQ(resumed.status, 0) << resumed.err;
  EXPECT_EQ(resumed.err.find("machine"), std::string::npos) << resumed.err;
  expect_same(folder / "whole", folder / "parts", kEverything);
}

TEST(TrainResume, AMovedRunWithMovedDataGoesOnOnOneCoreWithoutItsFirstWeights) {
  const TemporaryFolder folder;
  train(folder / "start");
  const TemporaryFolder data;
  write_photographs(data);
  const Arguments options = {{"--data", "open-images:" + data.path().string()},
                             {"--train-images", "0"},
                             {"--val-images", "0"},
                             {"--epochs", "20"},
                             {"--threads", "2"},
                             {"--weights", folder / "start/last.safetensors"}};
  train_and_interrupt(with(with(tiny_run(), options), {{"--output", folder / "run"}}));
  std::filesystem::remove_all(folder / "start");
  std::filesystem::rename(folder / "run", folder / "moved");
  std::filesystem::create_directory(folder / "elsewhere");
  for (const auto& entry : std::filesystem::directory_iterator(data.path()))
    std::filesystem::rename(entry.path(), folder.path() / "elsewhere" / entry.path().filename());
  const Outcome resumed = run_program("train", {{"--resume", ""},
                                                {"--output", folder / "moved"},
                                                {"--data", "open-images:" + (folder / "elsewhere/")},
                                                {"--threads", "1"}});
  ASSERT_EQ(resumed.status, 0) << resumed.err;
  EXPECT_TRUE(contains(resumed.err, "threads was 2 and is 1"));
  const json run = json_of(folder / "moved/run.json");
  ASSERT_EQ(run.at("moved").size(), 1u);
  EXPECT_EQ(run["moved"][0].at("threads"), 1);
  EXPECT_EQ(run["options"].at("data"), "open-images:" + (folder / "elsewhere/"));  // for evaluate
}

TEST(TrainResume, MoreEpochsThanPlannedAreRefusedWithTheCommandThatTrainsOn) {
  const TemporaryFolder folder;
  train(folder / "run", {{"--lambda", "2"}});
  const Outcome refused = run_program("train", {{"--resume", ""}, {"--output", folder / "run"}, {"--epochs", "5"}});
  EXPECT_EQ(refused.status, 1);
  EXPECT_TRUE(contains(refused.err, "planned for 2 epochs"));
  // The command works as it stands, but for the folder.
  std::string command = refused.err.substr(refused.err.find(": train --") + 2);
  EXPECT_TRUE(contains(command, "--lambda 2"));
  EXPECT_TRUE(contains(command, "--epochs 3"));
  EXPECT_TRUE(contains(command, "--weights " + (folder / "run/last.safetensors")));
  std::istringstream text(command);
  std::vector<std::string> words;
  for (std::string word; text >> word;) words.push_back(word == "DIR" ? folder / "more" : word);
  EXPECT_EQ(Program("train", {words.begin() + 1, words.end()}).finish().status, 0) << command;
  EXPECT_EQ(epochs_of(folder / "more").size(), 3u);
}

TEST(TrainResume, OtherDataInAnySplitAreRefusedAndDescribed) {
  const TemporaryFolder folder;
  write_photographs(folder, 16, {"train", "validation", "test"});
  const Arguments options = {{"--data", "open-images:" + folder.path().string()},
                             {"--train-images", "0"},
                             {"--val-images", "0"},
                             {"--test-images", "0"}};
  train(folder / "run", options);
  const auto resume = [&] { return run_program("train", {{"--resume", ""}, {"--output", folder / "run"}}); };
  for (const std::string split : {"train", "validation", "test"}) {
    const std::string picture = folder / (split + "/" + split + "107.png");
    std::filesystem::rename(picture, folder / "away.png");
    const Outcome refused = resume();
    EXPECT_EQ(refused.status, 1);
    EXPECT_TRUE(contains(refused.err, "the " + split + " split is 15 images"));
    EXPECT_TRUE(contains(refused.err, "was 16 images"));
    std::filesystem::rename(folder / "away.png", picture);
  }
  // A box that is another, too.
  const std::string boxes = folder / "validation-annotations-bbox.csv", text = bytes_of(boxes);
  std::string other = text;
  write_bytes(boxes, other.replace(other.find("0.75"), 4, "0.74"));
  EXPECT_TRUE(contains(resume().err, "the validation split is"));
  write_bytes(boxes, text);
  EXPECT_EQ(resume().status, 0);
}

TEST(TrainMachine, ThreadsAreThoseOfTheEnvironment) {
  const TemporaryFolder folder;
  const char* value = std::getenv("OMP_NUM_THREADS");
  const std::string kept = value ? value : "";
  setenv("OMP_NUM_THREADS", "3", 1);
  train(folder / "run", {{"--threads", "0"}, {"--epochs", "1"}});
  value ? setenv("OMP_NUM_THREADS", kept.c_str(), 1) : unsetenv("OMP_NUM_THREADS");
  const json run = json_of(folder / "run/run.json");
  EXPECT_EQ(run.at("identity").at("threads"), 3);
  EXPECT_EQ(run.at("options").at("threads"), "3");
  EXPECT_GT(run.at("loader").at("threads"), 0);
  EXPECT_GT(run.at("loader").at("cache_bytes"), 0);
}

TEST(TrainResume, ASecondProcessOnTheSameFolderIsRefused) {
  const TemporaryFolder folder;
  const Arguments options = with(tiny_run(), {{"--epochs", "1000"}, {"--output", folder / "run"}});
  Program first("train", words_of(options));
  first.wait_for("epoch 1/");
  const Outcome second = run_program("train", {{"--resume", ""}, {"--output", folder / "run"}});
  EXPECT_EQ(second.status, 1);
  EXPECT_TRUE(contains(second.err, "another process is training in the folder " + (folder / "run")));
  first.interrupt();
  EXPECT_EQ(first.finish().status, 130);
}

TEST(TrainOnGpu, TheSameCommandTwiceGivesTheSameBytesAndResumesOnTheCpu) {
  if (!has_gpu()) GTEST_SKIP() << "there is no GPU, or boxcam was built without CUDA";
  const TemporaryFolder folder;
  const Arguments options = {{"--device", "cuda"}, {"--lambda", "5"}};
  train(folder / "a", options);
  train(folder / "b", options);
  expect_same(folder / "a", folder / "b", kEverything);
  const Outcome there = run_program(
      "train", with(with(tiny_run(), options), {{"--output", folder / "a"}, {"--resume", ""}, {"--device", "cpu"}}));
  EXPECT_EQ(there.status, 0) << there.err;
  EXPECT_TRUE(contains(there.err, "device was cuda and is cpu"));
  expect_same(folder / "a", folder / "b", kEverything);  // it was over: what the GPU wrote is kept
}

TEST(TrainResume, AFinishedRunOnlyRepeatsTheTest) {
  const TemporaryFolder folder;
  train(folder / "run");
  const std::string before = bytes_of(folder / "run/checkpoint.safetensors");
  const json test = json_of(folder / "run/test.json");
  train(folder / "run", {{"--resume", ""}});
  EXPECT_TRUE(before == bytes_of(folder / "run/checkpoint.safetensors"));
  EXPECT_EQ(test, json_of(folder / "run/test.json"));
}

TEST(TrainFolder, HoldsWhatTheDocumentationSays) {
  const TemporaryFolder folder;
  const std::string run = folder / "run";
  const Outcome result = train(run, {{"--lambda", "2"}});
  EXPECT_TRUE(contains(result.out, "nothing to copy"));
  EXPECT_TRUE(contains(result.out, "test (out of context)"));

  const json record = json_of(run + "/run.json");
  EXPECT_EQ(record["options"]["lambda"], "2");
  EXPECT_EQ(record["options"]["lr"], "0.01");
  EXPECT_EQ(record["options"]["tap"], "layer4");
  for (const char* key : {"boxcam", "onednn", "processor", "native_kernels", "threads", "compiler"})
    EXPECT_TRUE(record["identity"].contains(key)) << key;
  EXPECT_EQ(record["data"]["classes"], json({"plane", "ship", "car", "none"}));

  const json first = json::parse(bytes_of(run + "/epochs.jsonl").substr(0, bytes_of(run + "/epochs.jsonl").find('\n')));
  for (const char* key : {"epoch", "learning_rate", "loss", "cross_entropy", "penalty", "train_accuracy",
                          "train_content_heatmap", "val_loss", "val_accuracy", "val_content_heatmap",
                          "val_box_coverage", "val_empty_cams", "images_per_second", "seconds"})
    EXPECT_TRUE(first.contains(key)) << key;
  EXPECT_EQ(epochs_of(run).size(), 2u);

  const json test = json_of(run + "/test.json");
  for (const char* key :
       {"test_accuracy", "per_class_accuracy", "confusion", "test_content_heatmap", "test_box_coverage",
        "test_empty_cams", "out_of_context_accuracy", "out_of_context_content_heatmap"})
    EXPECT_TRUE(test.contains(key)) << key;
  int64_t counted = 0;
  for (const auto& row : test["confusion"])
    for (const auto& count : row) counted += count.get<int64_t>();
  EXPECT_EQ(counted, 16);

  EXPECT_GT(read_image(run + "/overlays.png").width, 32);
  for (const auto& entry : std::filesystem::directory_iterator(run))
    EXPECT_NE(entry.path().extension(), ".partial") << entry.path();
}

TEST(TrainFolder, WeightFilesNameNoPlaceAndNoTime) {
  const TemporaryFolder folder;
  train(folder / "run");
  for (const std::string& name : kEverything) {
    const TensorFile file = read_safetensors(folder / ("run/" + name));
    for (const auto& [key, value] : file.metadata) EXPECT_EQ(value.find('/'), std::string::npos) << key << " " << value;
    for (const FileTensor& t : file.tensors) EXPECT_EQ(t.name.find('/'), std::string::npos) << t.name;
  }
}

TEST(TrainFolder, RefusesAFolderThatIsNotEmpty) {
  const TemporaryFolder folder;
  train(folder / "run");
  const std::string before = bytes_of(folder / "run/checkpoint.safetensors");
  const Outcome again = run_program("train", with(tiny_run(), {{"--output", folder / "run"}}));
  EXPECT_EQ(again.status, 1);
  EXPECT_TRUE(contains(again.err, "not empty"));
  EXPECT_TRUE(contains(again.err, "--resume"));
  EXPECT_TRUE(before == bytes_of(folder / "run/checkpoint.safetensors"));

  const Outcome nothing = run_program("train", with(tiny_run(), {{"--output", folder / "new"}, {"--resume", ""}}));
  EXPECT_EQ(nothing.status, 1);
  EXPECT_TRUE(contains(nothing.err, "holds no run"));
  EXPECT_FALSE(std::filesystem::exists(folder / "new"));
}

TEST(TrainOptions, AnEarlierTapWithTheWholeGradientAndRunningStatistics) {
  const TemporaryFolder folder;
  const Arguments layer3 = {{"--tap", "layer3"}, {"--cam-batch-norm", "eval"}};
  train(folder / "plain", layer3);
  train(folder / "penalty", with(layer3, {{"--lambda", "5"}}));
  EXPECT_FALSE(same_weights(folder / "plain", folder / "penalty"));
  train(folder / "again", with(layer3, {{"--lambda", "5"}}));
  expect_same(folder / "penalty", folder / "again", kEverything);
}

TEST(TrainOptions, ThesisRefusesWhatContradictsIt) {
  const TemporaryFolder folder;
  for (const auto& [name, value] : Arguments{{"--cam-target", "centered"},
                                             {"--cam-model", "shared"},
                                             {"--cam-batch-norm", "train"},
                                             {"--penalty-gradient", "full"}}) {
    const Outcome result =
        run_program("train", with(tiny_run(), {{"--thesis", ""}, {name, value}, {"--output", folder / "run"}}));
    EXPECT_EQ(result.status, 2);
    EXPECT_TRUE(contains(result.err, name + ": contradicts --thesis"));
  }
}

TEST(TrainWeights, StartsFromAnotherRunAndReplacesTheHeadForOtherClasses) {
  const TemporaryFolder folder;
  train(folder / "first");
  const Arguments weights = {{"--weights", folder / "first/last.safetensors"}};
  const Outcome second = train(folder / "second", weights);
  EXPECT_TRUE(contains(second.out, "tensors were loaded from"));
  EXPECT_FALSE(same_weights(folder / "first", folder / "second"));

  write_photographs(folder);
  const Outcome two = train(folder / "two", with(weights, {{"--data", "open-images:" + folder.path().string()},
                                                           {"--classes", "plane,ship"},
                                                           {"--train-images", "0"},
                                                           {"--val-images", "0"},
                                                           {"--test-images", "0"}}));
  EXPECT_TRUE(contains(two.out, "fc.weight"));
  EXPECT_EQ(read_safetensors(folder / "two/last.safetensors").at("fc.bias").shape(), (Shape{3}));
}

TEST(TrainData, PhotographsWithoutATestSplitMeasureTheValidationSplitAndSaySo) {
  const TemporaryFolder folder;
  write_photographs(folder);
  const Arguments data = {{"--data", "open-images:" + folder.path().string()},
                          {"--lambda", "1"},
                          {"--train-images", "16"},
                          {"--val-images", "8"},
                          {"--test-images", "8"}};
  const Outcome result = train(folder / "run", data);
  EXPECT_TRUE(contains(result.out, "note: "));
  EXPECT_TRUE(contains(result.out, "no test split"));
  const json test = json_of(folder / "run/test.json");
  EXPECT_TRUE(contains(test["note"], "no test split"));
  EXPECT_EQ(test["split"], "validation");
  EXPECT_FALSE(test.contains("out_of_context_accuracy"));
}

TEST(TrainTests, AtOtherMarginsAndOfOtherRulesEpochs) {
  const TemporaryFolder folder;
  train(folder / "run", {{"--lambda", "1"}, {"--margin", "2"}, {"--test-margins", "0,2"}, {"--keep-epochs", ""}});
  const nlohmann::json test = json_of(folder / "run/test.json");
  EXPECT_EQ(test.at("at_margin").at("2").at("test_content_heatmap"), test.at("test_content_heatmap"));
  EXPECT_LT(test.at("at_margin").at("0").at("test_content_heatmap"), test.at("test_content_heatmap"));
  EXPECT_EQ(test.at("at_margin").at("0").at("out_of_context_accuracy"), test.at("out_of_context_accuracy"));
  // The rule of the run chose what was tested; every rule's epoch has its weights and its test.
  const nlohmann::json& own = test.at("by_rule").at("content-heatmap");
  EXPECT_EQ(own.at("epoch"), test.at("best_epoch"));
  EXPECT_EQ(own.at("test_accuracy"), test.at("test_accuracy"));
  EXPECT_EQ(test.at("by_rule").at("last").at("epoch"), 1);
  EXPECT_TRUE(bytes_of(folder / "run/epoch-2.safetensors") == bytes_of(folder / "run/last.safetensors"));
  EXPECT_TRUE(std::filesystem::exists(folder / "run/epoch-1.safetensors"));
  const Outcome wrong = run_program("train", with(tiny_run(), {{"--test-margins", "0,x"}}));
  EXPECT_EQ(wrong.status, 2);
  EXPECT_TRUE(contains(wrong.err, "--test-margins: expected numbers of 0 or more, found 'x'"));
}

}  // namespace
}  // namespace boxcam
