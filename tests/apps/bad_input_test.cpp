// What goes wrong in users' hands: every case ends with a status that is not 0 and one sentence that names the thing.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "engine/machine.h"
#include "tests/programs.h"

namespace boxcam {
namespace {

using Parts = std::vector<std::string>;

void expect_one_sentence(const Outcome& result, const Parts& parts) {
  EXPECT_TRUE(result.status == 1 || result.status == 2) << result.status << ": " << result.err;
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  for (const std::string& part : parts) EXPECT_TRUE(contains(result.err, part));
}

class BadInput : public testing::Test {
 protected:
  Outcome train_with(const Arguments& options) const {
    return run_program("train", with(with(tiny_run(), {{"--output", folder / "bad"}}), options));
  }
  Outcome train_on_photographs(const Arguments& options = {}) const {
    return train_with(with({{"--data", "open-images:" + folder.path().string()},
                            {"--train-images", "0"},
                            {"--val-images", "0"},
                            {"--test-images", "0"}},
                           options));
  }
  /// Replaces the first `from` of a file.
  void edit(const std::string& name, const std::string& from, const std::string& to) const {
    std::string text = bytes_of(folder / name);
    const size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos);
    write_bytes(folder / name, text.replace(at, from.size(), to));
  }
  std::string truncated(const std::string& path, const std::string& name) const {
    const std::string bytes = bytes_of(path);
    return write_bytes(folder / name, bytes.substr(0, bytes.size() / 2));
  }

  const TemporaryFolder folder;
  const std::string boxes = "oidv6-train-annotations-bbox.csv";
};

TEST_F(BadInput, MissingImage) {
  write_photographs(folder);
  std::filesystem::create_symlink(folder / "gone.png", folder / "train/train999.png");
  expect_one_sentence(train_on_photographs(), {"train999"});
}

TEST_F(BadInput, TruncatedImage) {
  write_photographs(folder);
  truncated(folder / "train/train105.png", "train/train105.png");
  expect_one_sentence(train_on_photographs(), {"train105.png"});
  truncated(std::string(BOXCAM_SOURCE_DIR) + "/tests/fixtures/rgb.jpg", "train/train100.jpg");
  std::filesystem::remove(folder / "train/train105.png");
  std::filesystem::remove_all(folder / "bad");
  expect_one_sentence(train_on_photographs(), {"train100.jpg"});
}

TEST_F(BadInput, TableWithoutANeededColumn) {
  write_photographs(folder);
  edit(boxes, "XMax", "Xmaximum");
  expect_one_sentence(train_on_photographs(), {boxes, "XMax"});
}

TEST_F(BadInput, BoxWithXMinAboveXMax) {
  write_photographs(folder);
  edit(boxes, "0.25,0.75", "0.75,0.25");
  expect_one_sentence(train_on_photographs(), {boxes, "XMin", "XMax"});
}

TEST_F(BadInput, UnknownClass) {
  write_photographs(folder);
  expect_one_sentence(train_on_photographs({{"--classes", "plane,ship,carr"}}), {"'carr'", "Car"});
  expect_one_sentence(train_with({{"--classes", "plane,cat"}}), {"--classes", "cat"});
}

TEST_F(BadInput, UnknownDataAndMissingFolder) {
  expect_one_sentence(train_with({{"--data", "scene"}}), {"--data", "scene"});
  expect_one_sentence(train_with({{"--data", "open-images:" + (folder / "none")}}), {folder / "none"});
}

TEST_F(BadInput, FileOfWeights) {
  train(folder / "run");
  const std::string good = folder / "run/last.safetensors";
  expect_one_sentence(train_with({{"--weights", folder / "none.pth"}}), {"none.pth"});
  expect_one_sentence(train_with({{"--weights", truncated(good, "half.safetensors")}}), {"half.safetensors"});
  expect_one_sentence(train_with({{"--weights", truncated(weight_fixture("zip.pth"), "half.pth")}}), {"half.pth"});
  expect_one_sentence(train_with({{"--weights", folder.path().string()}}), {folder.path().string()});
}

// The one case of several lines: each kind of misfit is a list.
TEST_F(BadInput, WeightsOfAnotherModelNameTheTensors) {
  train(folder / "run");
  TensorFile silent = read_safetensors(folder / "run/last.safetensors");
  silent.metadata.clear();  // else the file says which model it is of
  write_safetensors(folder / "last.safetensors", silent);
  const Outcome result = train_with({{"--weights", folder / "last.safetensors"}, {"--model", "resnet18"}});
  EXPECT_EQ(result.status, 1);
  for (const char* part : {"last.safetensors", "layer1.1.conv1.weight", "conv1.weight"})
    EXPECT_TRUE(contains(result.err, part));
}

TEST_F(BadInput, PickleThatCallsSystem) {
  for (const char* name : {"calls-system.pth", "calls-system-legacy.pth"}) {
    expect_one_sentence(train_with({{"--weights", weight_fixture(name)}}), {name, "posix.system"});
    expect_one_sentence(run_program("evaluate", {{"--checkpoint", weight_fixture(name)}}), {name, "posix.system"});
    std::filesystem::remove_all(folder / "bad");
  }
  EXPECT_FALSE(std::filesystem::exists("this-must-not-exist"));
}

TEST_F(BadInput, Numbers) {
  for (const char* value : {"-1", "nan", "-nan", "inf", "much", "1e", "0x"})
    expect_one_sentence(train_with({{"--lambda", value}}), {"--lambda", value});
  for (const auto& [name, value] : Arguments{{"--batch", "0"},
                                             {"--image-size", "8"},
                                             {"--epochs", "none"},
                                             {"--train-images", "-5"},
                                             {"--context-correlation", "1.5"},
                                             {"--seed", "-1"},
                                             {"--data-seed", "-1"},
                                             {"--lr", "nan"}})
    expect_one_sentence(train_with({{name, value}}), {name, value});
  EXPECT_FALSE(std::filesystem::exists(folder / "bad"));
}

TEST_F(BadInput, UnknownOptionsAndWords) {
  expect_one_sentence(train_with({{"--lamda", "1"}}), {"--lamda", "did you mean", "'--lambda'"});
  expect_one_sentence(run_program("evaluate", {{"--chekpoint", "x"}}), {"--chekpoint", "'--checkpoint'"});
  expect_one_sentence(run_program("explain", {{"--imgae", "x"}}), {"--imgae", "'--image'"});
  expect_one_sentence(run_program("evaluate", {}), {"--checkpoint", "required"});
  for (const auto& [name, value] : Arguments{{"--schedule", "cosin"},
                                             {"--optimizer", "sdg"},
                                             {"--cam-model", "shard"},
                                             {"--model", "resnet-min"},
                                             {"--penalty-gradient", "ful"},
                                             {"--augment", "flips"},
                                             {"--cam-target", "centred"}})
    expect_one_sentence(train_with({{name, value}}), {name, "'" + value + "'", "did you mean"});
  expect_one_sentence(train_with({{"--tap", "layer9"}}), {"layer9", "did you mean"});
}

TEST_F(BadInput, WhatThisBuildCannotDo) {
  if (!has_gpu()) expect_one_sentence(train_with({{"--device", "cuda"}}), {"--device cuda", "--device cpu"});
  if (!cpu_has_bf16()) expect_one_sentence(train_with({{"--precision", "bf16"}}), {"--precision bf16", "AVX-512 BF16"});
  expect_one_sentence(train_with({{"--precision", "f16"}}), {"--precision", "f32", "bf16"});
  expect_one_sentence(train_with({{"--cam-model", "copy"}}),
                      {"--penalty-gradient", "full", "--cam-model copy", "cannot reach the classifier"});
}

// A folder below a file cannot be made, not even by root.
TEST_F(BadInput, OutputThatCannotBeWritten) {
  train(folder / "run");
  write_bytes(folder / "file", "x");
  const std::string below = folder / "file/below", checkpoint = folder / "run/best.safetensors";
  expect_one_sentence(train_with({{"--output", below}}), {"--output", below});
  expect_one_sentence(train_with({{"--output", folder / "file"}}), {"--output", folder / "file"});
  write_png(folder / "picture.png", Image(32, 32));
  const Arguments explain = {{"--checkpoint", checkpoint}, {"--image", folder / "picture.png"}};
  expect_one_sentence(run_program("explain", with(explain, {{"--output", below}})), {"--output", below});
  expect_one_sentence(run_program("explain", with(explain, {{"--output", folder / "o"}, {"--dump", below}})),
                      {"--dump", below});
  expect_one_sentence(
      run_program("evaluate",
                  {{"--checkpoint", checkpoint}, {"--image-size", "32"}, {"--test-images", "4"}, {"--json", below}}),
      {below});
}

TEST_F(BadInput, Checkpoint) {
  train(folder / "run");
  write_png(folder / "picture.png", Image(32, 32));
  const std::string good = folder / "run/best.safetensors", half = truncated(good, "half.safetensors");
  for (const std::string& path : {folder / "none.safetensors", half, folder / "run"}) {
    expect_one_sentence(run_program("evaluate", {{"--checkpoint", path}}), {path});
    expect_one_sentence(
        run_program("explain",
                    {{"--checkpoint", path}, {"--image", folder / "picture.png"}, {"--output", folder / "overlays"}}),
        {path});
  }
  expect_one_sentence(run_program("evaluate", {{"--checkpoint", folder / "run/checkpoint.safetensors"}}),
                      {"checkpoint.safetensors", "best.safetensors"});
  expect_one_sentence(run_program("evaluate", {{"--checkpoint", good}, {"--split", "tset"}}), {"tset", "did you mean"});
  expect_one_sentence(run_program("explain", {{"--checkpoint", good},
                                              {"--image", folder / "picture.png"},
                                              {"--output", folder / "o"},
                                              {"--classes", "plane,ship"}}),
                      {"best.safetensors", "4 outputs"});
}

TEST_F(BadInput, DamagedRunFolder) {
  train(folder / "run");
  const Arguments resume = {{"--output", folder / "run"}, {"--resume", ""}};
  truncated(folder / "run/checkpoint.safetensors", "run/checkpoint.safetensors");
  expect_one_sentence(train_with(resume), {"checkpoint.safetensors"});
  truncated(folder / "run/run.json", "run/run.json");
  expect_one_sentence(train_with(resume), {"run.json"});
}

TEST_F(BadInput, LossThatIsNotFiniteStopsTheRunAndKeepsTheLastGoodCheckpoint) {
  const Outcome first = train_with({{"--lr", "1e30"}, {"--lambda", "1"}});
  expect_one_sentence(first, {"step ", "cross-entropy", "not finite", "checkpoint"});
  // The checkpoint still loads: going on meets the same step.
  const Outcome again = train_with({{"--lr", "1e30"}, {"--lambda", "1"}, {"--resume", ""}});
  EXPECT_EQ(again.err, first.err);
  EXPECT_TRUE(contains(again.out, "resumed at epoch 1"));
}

TEST_F(BadInput, WeightsThatDivergedInTheLastStepOfAnEpochAreNotKept) {
  const Arguments one_step = {{"--lr", "1e30"}, {"--train-images", "8"}};
  expect_one_sentence(train_with(one_step), {"epoch 1", "validation", "not finite", "checkpoint"});
  EXPECT_FALSE(std::filesystem::exists(folder / "bad/last.safetensors"));
  EXPECT_FALSE(std::filesystem::exists(folder / "bad/best.safetensors"));
}

}  // namespace
}  // namespace boxcam
