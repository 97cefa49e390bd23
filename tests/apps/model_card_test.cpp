// Model files describe themselves: what reads one need not be told again what it is, cannot be told something else
// about it, and says where it is asked otherwise than it was trained.
#include <gtest/gtest.h>

#include "models/models.h"
#include "models/weights.h"
#include "nn/files/safetensors.h"
#include "tests/programs.h"

namespace boxcam {
namespace {

using nlohmann::json;

class ModelCards : public testing::Test {
 protected:
  /// The numbers of a finished run as evaluate finds them with nothing but the file.
  json evaluated(const std::string& run, const Arguments& more = {}) {
    const std::string file = folder / ("numbers" + std::to_string(count_++) + ".json");
    const Outcome result = run_program(
        "evaluate", with({{"--checkpoint", run + "/best.safetensors"}, {"--threads", "1"}, {"--json", file}}, more));
    EXPECT_EQ(result.status, 0) << result.err;
    said_ = result.out;
    return result.status == 0 ? json_of(file) : json();
  }

  /// To the digit.
  void expect_test_repeated(const std::string& run) {
    const json test = json_of(run + "/test.json"), numbers = evaluated(run);
    const json& split = numbers.at(test.at("split").get<std::string>());
    for (const char* key : {"images", "loss", "accuracy", "content_heatmap", "box_coverage", "empty_cams"})
      EXPECT_EQ(split.at(key), test.at("test_" + std::string(key))) << key;
    EXPECT_EQ(split.at("per_class_accuracy"), test.at("per_class_accuracy"));
    EXPECT_EQ(split.at("confusion"), test.at("confusion"));
    EXPECT_FALSE(numbers.contains("not_as_trained")) << said_;
    if (test.contains("out_of_context_loss")) {
      EXPECT_EQ(numbers.at("test (out of context)").at("loss"), test.at("out_of_context_loss"));
    }
  }

  void expect_refused(const Outcome& result, const std::vector<std::string>& parts) {
    EXPECT_NE(result.status, 0);
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    for (const std::string& part : parts) EXPECT_TRUE(contains(result.err, part));
  }

  /// A run on photographs with classes in another order than the default.
  std::string run_on_photographs(const std::string& name = "photographs") {
    write_photographs(folder, 16, {"train", "validation", "test"});
    train(folder / name, photographs);
    return folder / name;
  }

  const TemporaryFolder folder;
  const Arguments photographs = {{"--data", "open-images:" + folder.path().string()},
                                 {"--classes", "car,plane,ship"},
                                 {"--train-images", "0"},
                                 {"--val-images", "0"},
                                 {"--test-images", "12"},
                                 {"--data-seed", "3"}};
  std::string said_;

 private:
  int count_ = 0;
};

TEST_F(ModelCards, EvaluateRepeatsTheTestOfScenes) {
  train(folder / "run", {{"--image-size", "40"},
                         {"--lambda", "1"},
                         {"--margin", "3"},
                         {"--eval-margin", "1"},
                         {"--tap", "layer3,layer4"},
                         {"--cam-target", "centered"},
                         {"--explainer", "layer-cam"},
                         {"--cam-class", "predicted"},
                         {"--cam-profile", "paper"},
                         {"--content-heatmap", "pooled"},
                         {"--data-seed", "5"},
                         {"--context-correlation", "0.5"}});
  expect_test_repeated(folder / "run");
}

TEST_F(ModelCards, EvaluateRepeatsTheTestOfPhotographsInEitherLayout) {
  expect_test_repeated(run_on_photographs());
  // As FiftyOne lays them out.
  const std::string other = folder / "fiftyone";
  for (const std::string split : {"train", "validation", "test"}) {
    const std::string base = other + "/" + split;
    for (const char* part : {"/labels", "/metadata"}) std::filesystem::create_directories(base + part);
    std::filesystem::copy(folder / split, base + "/data");
    const std::string csv = (split == "train" ? "oidv6-train" : split) + "-annotations-bbox.csv";
    std::filesystem::copy_file(folder / csv, base + "/labels/detections.csv");
    std::filesystem::copy_file(folder / "class-descriptions-boxable.csv", base + "/metadata/classes.csv");
  }
  train(folder / "two", with(photographs, {{"--data", "open-images:" + other}, {"--resize", "crop"}}));
  expect_test_repeated(folder / "two");
}

TEST_F(ModelCards, EvaluateRepeatsTheTestOfPackedData) {
  write_photographs(folder, 16, {"train", "validation", "test"});
  Arguments packing = photographs;
  for (const char* option : {"--train-images", "--val-images", "--test-images"}) packing.erase(option);
  const Outcome packed = run_program(
      "prepare", with(packing, {{"--output", folder / "packed"}, {"--image-size", "40"}, {"--resize", "crop"}}));
  ASSERT_EQ(packed.status, 0) << packed.err;
  Arguments run = with(tiny_run(), {{"--data", "packed:" + (folder / "packed")}, {"--output", folder / "run"}});
  for (const char* option : {"--train-images", "--val-images", "--test-images", "--image-size"}) run.erase(option);
  ASSERT_EQ(run_program("train", run).status, 0);
  expect_test_repeated(folder / "run");
}

TEST_F(ModelCards, AnotherListOrOrderOfClassesIsRefusedWithBoth) {
  const std::string run = run_on_photographs(), file = run + "/best.safetensors";
  const std::string trained = "car,plane,ship,none";
  expect_refused(run_program("evaluate", {{"--checkpoint", file}, {"--classes", "plane,ship,car"}}),
                 {file, trained, "plane,ship,car,none"});
  expect_refused(run_program("evaluate", {{"--checkpoint", file}, {"--classes", "car,plane"}}),
                 {file, trained, "car,plane,none"});
  expect_refused(run_program("evaluate", {{"--checkpoint", file}, {"--data", "scenes"}}), {file, trained});
  expect_refused(run_program("explain", {{"--checkpoint", file},
                                         {"--image", folder / "test/test100.png"},
                                         {"--output", folder / "out"},
                                         {"--classes", "plane,ship,car"}}),
                 {file, trained});
  expect_refused(run_program("walkthrough", {{"--checkpoint", file}, {"--classes", "plane,ship,car"}}),
                 {file, trained});
}

TEST_F(ModelCards, AnotherNetworkIsRefusedWithBothValues) {
  train(folder / "run");
  const std::string file = folder / "run/last.safetensors";
  expect_refused(run_program("evaluate", {{"--checkpoint", file}, {"--model", "resnet18"}}),
                 {file, "resnet18", "resnet-mini"});
  expect_refused(run_program("evaluate", {{"--checkpoint", file}, {"--resize", "crop"}}), {file, "crop", "squash"});
  expect_refused(
      run_program("train",
                  with(tiny_run(), {{"--weights", file}, {"--model", "plain-mini"}, {"--output", folder / "other"}})),
      {file, "plain-mini", "resnet-mini"});
  // v1.5 of a file that says v1, whose tensors have the same names and shapes.
  TensorFile other = read_safetensors(file);
  other.metadata["model"] = "resnet50-v1";
  write_safetensors(folder / "v1.safetensors", other);
  expect_refused(
      run_program("train",
                  {{"--weights", folder / "v1.safetensors"}, {"--model", "resnet50"}, {"--output", folder / "other"}}),
      {"resnet50 ", "resnet50-v1"});
}

TEST_F(ModelCards, WhatIsMeasuredOtherwiseIsSaid) {
  train(folder / "run");
  const json numbers = evaluated(folder / "run", {{"--image-size", "48"}, {"--cam-target", "centered"}});
  EXPECT_EQ(numbers.at("not_as_trained"), json::parse(R"({"image-size": {"value": "48", "trained": "32"},
                            "cam-target": {"value": "centered", "trained": "logit"}})"));
  EXPECT_TRUE(contains(said_, "not as trained: --image-size 48 (trained with 32)"));
}

TEST_F(ModelCards, TrainingStartsFromTheNetworkAloneAndNotFromItsMethod) {
  train(folder / "run", {{"--model", "plain-mini"}, {"--cam-target", "centered"}, {"--image-size", "40"}});
  Arguments next = with(tiny_run(), {{"--weights", folder / "run/last.safetensors"}, {"--output", folder / "next"}});
  next.erase("--model");
  const Outcome result = run_program("train", next);
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(contains(result.out, "--model plain-mini"));
  const json options = json_of(folder / "next/run.json").at("options");
  EXPECT_EQ(options.at("model"), "plain-mini");
  EXPECT_EQ(options.at("cam-target"), "logit");
  EXPECT_EQ(options.at("image-size"), "32");
}

TEST_F(ModelCards, AHeadForTheSameNamesInAnotherOrderIsMappedByName) {
  const std::string run = run_on_photographs();
  const Arguments start = with(photographs, {{"--weights", run + "/last.safetensors"}, {"--lr", "1e-12"}});
  const Outcome mapped = train(folder / "mapped", with(start, {{"--classes", "ship,car,plane"}}));
  EXPECT_TRUE(contains(mapped.out, "put into the order ship,car,plane,none"));
  // The same network under other numbers: nothing was trained in between, so it answers as before.
  const TensorFile before = read_safetensors(run + "/last.safetensors");
  const TensorFile after = read_safetensors(folder / "mapped/last.safetensors");
  const auto row = [](const TensorFile& file, int64_t output) {
    const auto values = file.at("fc.weight").tensor.to_vector();
    const auto width = static_cast<std::ptrdiff_t>(values.size() / 4);
    return std::vector<double>(values.begin() + output * width, values.begin() + (output + 1) * width);
  };
  const std::pair<int64_t, int64_t> same[] = {{2, 0}, {0, 1}, {1, 2}, {3, 3}};  // ship, car, plane, none
  for (const auto& [was, is] : same)
    for (size_t i = 0; i < row(before, was).size(); ++i)
      ASSERT_NEAR(row(before, was)[i], row(after, is)[i], 1e-6) << was << " " << i;
}

TEST_F(ModelCards, AHeadForOtherNamesStartsFreshAndSaysSo) {
  const std::string run = run_on_photographs();
  std::ofstream(folder / "class-descriptions-boxable.csv", std::ios::app) << "/m/0h2r6,Van\n";
  std::string text = bytes_of(folder / "oidv6-train-annotations-bbox.csv");
  for (size_t at; (at = text.find("/m/0k4j")) != std::string::npos;) text.replace(at, 7, "/m/0h2r6");
  write_bytes(folder / "oidv6-train-annotations-bbox.csv", text);
  const Outcome result = train(
      folder / "other", with(photographs, {{"--weights", run + "/last.safetensors"}, {"--classes", "van,plane,ship"}}));
  EXPECT_TRUE(contains(result.out, "the head is for other classes (car,plane,ship,none) and starts fresh"));
}

TEST_F(ModelCards, EqualTensorsHaveEqualDigestsWhateverElseTheFilesSay) {
  train(folder / "plain");
  train(folder / "centred", {{"--cam-target", "centered"}});  // lambda is 0: no weight depends on it
  train(folder / "seed", {{"--seed", "1"}});
  const auto card = [&](const std::string& run) { return read_metadata(folder / (run + "/last.safetensors")); };
  EXPECT_NE(card("plain"), card("centred"));
  EXPECT_EQ(card("plain").at("tensors-sha256"), card("centred").at("tensors-sha256"));
  EXPECT_NE(card("plain").at("tensors-sha256"), card("seed").at("tensors-sha256"));
  EXPECT_EQ(card("plain").at("tensors-sha256"), tensors_sha256(read_safetensors(folder / "plain/last.safetensors")));
}

// A file of another program: names come from the user, from ImageNet where there are 1000, or are numbers.
TEST_F(ModelCards, FilesThatNameNoClassesAreExplainedAllTheSame) {
  const auto file_of = [&](int64_t classes) {
    const std::string path = folder / (std::to_string(classes) + ".safetensors");
    write_safetensors(path, export_weights(make_classifier("resnet-mini", classes)->named_tensors()));
    return path;
  };
  Image image(40, 50);
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<uint8_t>(i * 7 % 251);
  write_png(folder / "photo.png", image);
  int count = 0;
  const auto explain = [&](const std::string& file, const Arguments& more) {
    return run_program("explain", with({{"--checkpoint", file},
                                        {"--model", "resnet-mini"},
                                        {"--image", folder / "photo.png"},
                                        {"--output", folder / ("out" + std::to_string(count++))}},
                                       more));
  };
  const std::string imagenet = file_of(1000), seven = file_of(7);
  EXPECT_TRUE(contains(explain(imagenet, {{"--class", "tabby"}}).out, "of tabby"));
  EXPECT_TRUE(contains(explain(imagenet, {{"--class", "TABBY CAT"}}).out, "of tabby"));
  EXPECT_TRUE(contains(explain(imagenet, {{"--class", "281"}}).out, "of tabby"));
  expect_refused(explain(imagenet, {{"--class", "crane"}}), {"134", "517"});
  expect_refused(explain(imagenet, {{"--class", "tabbi"}}), {"tabbi", "'tabby'"});
  expect_refused(explain(imagenet, {{"--class", "1000"}}), {"1000", "999"});
  EXPECT_TRUE(contains(explain(seven, {{"--class", "6"}}).out, "of 6"));
  EXPECT_TRUE(contains(explain(seven, {{"--class", "c"}, {"--classes", "a,b,c,d,e,f"}}).out, "of c"));
  write_bytes(folder / "names.txt", "\xEF\xBB\xBFone\r\ntwo, deux\r\n3\r\n4\r\n5\r\n6\r\n7");
  EXPECT_TRUE(contains(explain(seven, {{"--class", "two, deux"}, {"--class-names", folder / "names.txt"}}).out,
                       "of two, deux"));
  expect_refused(explain(seven, {{"--classes", "a,b"}}), {"7 outputs", "2 names"});
  expect_refused(explain(seven, {{"--classes", "a,b,c,d,e,f,g"}, {"--class-names", folder / "names.txt"}}),
                 {"--class-names", "--classes"});
  // The five most probable of the 1000.
  const std::string top = explain(imagenet, {}).out;
  EXPECT_EQ(std::count(top.begin(), top.end(), '%'), 5) << top;
}

TEST_F(ModelCards, WhatAFileSaysAndThisBuildDoesNotKnowNamesTheFile) {
  train(folder / "run");
  const std::string path = folder / "run/last.safetensors";
  TensorFile file = read_safetensors(path);
  file.metadata["explainer"] = "one-of-tomorrow";
  write_safetensors(folder / "later.safetensors", file);
  expect_refused(run_program("evaluate", {{"--checkpoint", folder / "later.safetensors"}}),
                 {folder / "later.safetensors", "--explainer", "one-of-tomorrow"});
  json run = json_of(folder / "run/run.json");
  run["options"]["test-images"] = "some";
  std::ofstream(folder / "run/run.json") << run;
  expect_refused(run_program("evaluate", {{"--checkpoint", path}}), {folder / "run/run.json", "--test-images", "some"});
}

TEST_F(ModelCards, MetadataOfOthersAreNotTakenForOurs) {
  TensorFile file = export_weights(make_classifier("resnet-mini", 4)->named_tensors());
  file.metadata = {{"model", "somebody/model"}, {"batch", "none"}, {"classes", "four"}, {"format", "pt"}};
  write_safetensors(folder / "foreign.safetensors", file);
  const Outcome result = run_program("evaluate", {{"--checkpoint", folder / "foreign.safetensors"},
                                                  {"--model", "resnet-mini"},
                                                  {"--image-size", "32"},
                                                  {"--test-images", "4"}});
  EXPECT_EQ(result.status, 0) << result.err;
}

}  // namespace
}  // namespace boxcam
