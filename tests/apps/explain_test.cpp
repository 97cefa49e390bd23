// apps/explain and apps/evaluate on a freshly trained model.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/programs.h"

namespace boxcam {
namespace {

class TrainedModel : public testing::Test {
 protected:
  void SetUp() override {
    train(folder / "run");
    Image image(50, 70);
    for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<uint8_t>(i * 7 % 251);
    write_png(folder / "first.png", image);
    write_png(folder / "second.png", image);
  }
  Outcome explain(const Arguments& options, const std::vector<std::string>& images) const {
    std::vector<std::string> words = {"--image"};
    for (const std::string& name : images) words.push_back(folder / name);
    return run_program("explain",
                       with({{"--checkpoint", checkpoint},
                             {"--image-size", "32"},
                             {"--threads", "1"},
                             {"--output", folder / "overlays"}},
                            options),
                       words);
  }
  nlohmann::json evaluate(const Arguments& options) const {
    const Outcome result = run_program("evaluate", with({{"--checkpoint", checkpoint},
                                                         {"--image-size", "32"},
                                                         {"--threads", "1"},
                                                         {"--batch", "8"},
                                                         {"--test-images", "16"},
                                                         {"--val-images", "16"},
                                                         {"--json", folder / "numbers.json"}},
                                                        options));
    EXPECT_EQ(result.status, 0) << result.err;
    EXPECT_EQ(result.err, "");
    return nlohmann::json::parse(bytes_of(folder / "numbers.json"));
  }

  const TemporaryFolder folder;
  const std::string checkpoint = folder / "run/best.safetensors";
};

using ExplainTest = TrainedModel;
using EvaluateTest = TrainedModel;

TEST_F(ExplainTest, WritesOverlayAndIntermediates) {
  const Outcome result = explain({{"--class", "ship"}, {"--dump", folder / "dump"}}, {"first.png"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(contains(result.out, "Grad-CAM of ship"));
  EXPECT_GE(read_image(folder / "overlays/first.png").width, 32);
  const std::pair<const char*, const char*> shapes[] = {{"logits", "(1, 4, )"},
                                                        {"activations", "(1, 4, 4, 64, )"},
                                                        {"alpha", "(1, 64, )"},
                                                        {"cam_raw", "(1, 4, 4, )"},
                                                        {"cam", "(1, 32, 32, )"}};
  for (const auto& [name, shape] : shapes) {
    const std::string bytes = bytes_of(folder / ("dump/" + std::string(name) + ".npy"));
    EXPECT_EQ(bytes.substr(1, 5), "NUMPY") << name;
    EXPECT_TRUE(contains(bytes.substr(0, 128), std::string("'shape': ") + shape)) << name;
  }
}

TEST_F(ExplainTest, SeveralImagesEachWithAFolderOfItsOwn) {
  const Outcome result = explain({{"--dump", folder / "dump"}}, {"first.png", "second.png"});
  EXPECT_EQ(result.status, 0) << result.err;
  for (const std::string name : {"first", "second"}) {
    EXPECT_TRUE(std::filesystem::exists(folder / ("overlays/" + name + ".png")));
    EXPECT_TRUE(std::filesystem::exists(folder / ("dump/" + name + "/cam.npy")));
  }
  // The same pixels, the same explanation.
  EXPECT_TRUE(bytes_of(folder / "dump/first/cam.npy") == bytes_of(folder / "dump/second/cam.npy"));
}

TEST_F(ExplainTest, AnEarlierTapGoesTheGeneralWay) {
  const Outcome result = explain({{"--tap", "layer2"}, {"--dump", folder / "dump"}}, {"first.png"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(contains(bytes_of(folder / "dump/activations.npy").substr(0, 128), "'shape': (1, 8, 8, 32, )"));
}

TEST_F(ExplainTest, RefusesWhatItCannotExplain) {
  const auto refuses = [&](const Outcome& result, const std::vector<std::string>& parts) {
    EXPECT_EQ(result.status, 1);
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    for (const std::string& part : parts) EXPECT_TRUE(contains(result.err, part));
  };
  refuses(explain({{"--class", "shp"}}, {"first.png"}), {"--class", "'shp'", "did you mean", "'ship'"});
  refuses(explain({}, {"gone.png"}), {"gone.png"});
  const std::string bytes = bytes_of(folder / "first.png");
  write_bytes(folder / "half.png", bytes.substr(0, bytes.size() / 2));
  refuses(explain({}, {"half.png"}), {"half.png"});
  write_bytes(folder / "text.png", "not a picture");
  refuses(explain({}, {"text.png"}), {"text.png"});
  refuses(explain({}, {"first.png", "first.png"}), {"--image", "first"});
}

TEST_F(EvaluateTest, RepeatsTheNumbersOfTheTrainingRun) {
  const nlohmann::json numbers = evaluate({});
  const nlohmann::json test = nlohmann::json::parse(bytes_of(folder / "run/test.json"));
  const auto& in = numbers.at("test (in context)");
  for (const std::string key : {"accuracy", "content_heatmap", "box_coverage", "empty_cams", "loss", "images"})
    EXPECT_EQ(in.at(key), test.at("test_" + key)) << key;
  EXPECT_EQ(in.at("confusion"), test.at("confusion"));
  EXPECT_EQ(in.at("content_heatmap"), in.at("content_heatmap_batch"));
  for (const char* key : {"content_heatmap_pooled", "content_heatmap_image_mean", "per_class_accuracy",
                          "worst_class_accuracy", "by_source"})
    EXPECT_TRUE(in.contains(key)) << key;
  EXPECT_EQ(numbers.at("test (out of context)").at("accuracy"), test.at("out_of_context_accuracy"));
}

TEST_F(EvaluateTest, MeasuresAnotherSplit) {
  const nlohmann::json numbers = evaluate({{"--split", "validation"}});
  ASSERT_EQ(numbers.size(), 1u);
  EXPECT_EQ(numbers.at("validation").at("images"), 16);
}

TEST_F(EvaluateTest, TheFileKnowsItsModel) { EXPECT_EQ(evaluate({{"--model", "resnet18"}}), evaluate({})); }

}  // namespace
}  // namespace boxcam
