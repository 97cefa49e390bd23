// apps/explain and apps/evaluate on a freshly trained model.
#include <gtest/gtest.h>

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
  EXPECT_TRUE(contains(result.out, "grad-cam of ship"));
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

TEST_F(ExplainTest, NothingIsWrittenOverWhateverItsNameIs) {
  const std::string photo = bytes_of(folder / "first.png");
  const Outcome onto_itself = explain({{"--output", folder.path().string()}}, {"first.png"});
  EXPECT_EQ(onto_itself.status, 1);
  EXPECT_TRUE(contains(onto_itself.err, folder / "first.png"));
  EXPECT_TRUE(bytes_of(folder / "first.png") == photo);
  // Nor what an earlier run wrote: overlay, dump, numbers, page.
  const Arguments dumping = {{"--dump", folder / "dump"}};
  ASSERT_EQ(explain(dumping, {"first.png"}).status, 0);
  EXPECT_TRUE(contains(explain({}, {"first.png"}).err, folder / "overlays/first.png"));
  EXPECT_TRUE(contains(explain(with(dumping, {{"--output", folder / "new"}}), {"first.png"}).err, folder / "dump"));
  write_bytes(folder / "mine", "mine");
  const std::pair<const char*, const char*> outputs[] = {
      {"evaluate", "--json"}, {"walkthrough", "--html"}, {"walkthrough", "--dump"}, {"evaluate", "--profile"}};
  for (const auto& [program, option] : outputs) {
    const Outcome result = run_program(program, {{"--checkpoint", checkpoint}, {option, folder / "mine"}});
    EXPECT_EQ(result.status, 1) << program;
    EXPECT_TRUE(contains(result.err, std::string(option) + ": " + (folder / "mine") + " exists already"));
  }
  EXPECT_EQ(bytes_of(folder / "mine"), "mine");
}

TEST_F(ExplainTest, ABrokenFileInAFolderDoesNotHoldUpTheOthers) {
  std::filesystem::create_directory(folder / "many");
  for (const char* name : {"many/a.png", "many/b.PNG", "many/d.png"})
    std::filesystem::copy_file(folder / "first.png", folder / name);
  write_bytes(folder / "many/c.jpg", "not a picture");
  write_bytes(folder / "many/._a.png", "a Mac's note on a.png");
  write_bytes(folder / "many/list.csv", "not an image");
  const Outcome result = explain({}, {"many"});
  EXPECT_EQ(result.status, 1);
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  EXPECT_TRUE(contains(result.err, "many/c.jpg"));
  for (const char* name : {"a", "b", "d"})
    EXPECT_GT(read_image(folder / ("overlays/" + std::string(name) + ".png")).width, 0);
}

TEST_F(ExplainTest, AListNamesImagesAndNamesThatDifferByTheExtensionAloneKeepIt) {
  std::filesystem::copy_file(std::string(BOXCAM_SOURCE_DIR) + "/tests/fixtures/rgb.jpg", folder / "first.jpg");
  write_bytes(folder / "list.txt",
              (folder / "first.png") + "\r\n" + (folder / "first.jpg") + "\n\n" + (folder / "second.png"));
  const Outcome result = explain({}, {"list.txt"});
  EXPECT_EQ(result.status, 0) << result.err;
  for (const char* name : {"first.png.png", "first.jpg.png", "second.png"})
    EXPECT_TRUE(std::filesystem::exists(folder / ("overlays/" + std::string(name)))) << name;
}

TEST_F(ExplainTest, TheOverlayHasThePhotographsShapeAndSize) {
  const auto shape = [&](const Arguments& options) {
    const std::string output = folder / ("shape" + std::to_string(options.size()));
    EXPECT_EQ(explain(with(options, {{"--output", output}}), {"first.png"}).status, 0);
    const Image image = read_image(output + "/first.png");
    return std::pair(image.height, image.width);
  };
  EXPECT_EQ(shape({}), std::pair(50, 70));
  const auto [height, width] = shape({{"--overlay-size", "input"}});
  EXPECT_EQ(width, 224);  // a multiple of the input's 32 that can be seen, and a caption below
  EXPECT_GT(height, 224);
}

TEST_F(ExplainTest, APhonesPictureIsTurnedAndItIsSaid) {
  const std::string upright = std::string(BOXCAM_SOURCE_DIR) + "/tests/fixtures/rgb.jpg";
  const std::string exif(
      "\xFF\xE1\x00\x22"
      "Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0",
      36);
  std::string bytes = bytes_of(upright);
  write_bytes(folder / "phone.jpg", bytes.insert(2, exif));
  const Outcome result = explain({}, {"phone.jpg"});
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(contains(result.out, "EXIF orientation 6"));
  const Image as_stored = read_image(upright), overlay = read_image(folder / "overlays/phone.png");
  EXPECT_EQ(std::pair(overlay.height, overlay.width), std::pair(as_stored.width, as_stored.height));
}

TEST_F(ExplainTest, WhatTheCropDoesNotShowIsDarkened) {
  const TemporaryFolder other;
  train(other / "run", {{"--resize", "crop"}});
  Image image(40, 120);
  std::fill(image.pixels.begin(), image.pixels.end(), 90);
  write_png(other / "wide.png", image);
  ASSERT_EQ(run_program("explain", {{"--checkpoint", other / "run/best.safetensors"},
                                    {"--image", other / "wide.png"},
                                    {"--output", other / "out"}})
                .status,
            0);
  const Image overlay = read_image(other / "out/wide.png");
  ASSERT_EQ(overlay.width, 120);
  // The square that is shown is 7/8 of the shorter side, in the middle: 35 pixels from (2.5, 42.5) on.
  for (const auto& [y, x] :
       {std::pair(20, 5), std::pair(20, 41), std::pair(20, 79), std::pair(1, 60), std::pair(38, 60)})
    EXPECT_EQ(overlay.at(y, x)[0], 30) << y << " " << x;
  for (const auto& [y, x] : {std::pair(20, 44), std::pair(20, 76), std::pair(4, 60), std::pair(36, 60)})
    EXPECT_NE(overlay.at(y, x)[1], 30) << y << " " << x;
}

TEST_F(ExplainTest, SeveralExplainersAreOneSheetWithARowForEachImage) {
  const Outcome result = explain({{"--explainer", "grad-cam,eigen-cam,full-grad"}, {"--dump", folder / "dump"}},
                                 {"first.png", "second.png"});
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(contains(result.out, "grad-cam, eigen-cam, full-grad"));
  const Image sheet = read_image(folder / "overlays/explainers.png");
  const Outcome one = explain({{"--output", folder / "one"}, {"--overlay-size", "input"}}, {"first.png"});
  ASSERT_EQ(one.status, 0) << one.err;
  const Image tile = read_image(folder / "one/first.png");
  EXPECT_GT(sheet.width, 3 * tile.width);
  EXPECT_LT(sheet.width, 4 * tile.width);
  EXPECT_GT(sheet.height, 2 * tile.height);
  EXPECT_LT(sheet.height, 3 * tile.height);
  EXPECT_FALSE(std::filesystem::exists(folder / "overlays/first.png"));
  EXPECT_TRUE(std::filesystem::exists(folder / "dump/first/grad-cam/alpha.npy"));
  EXPECT_FALSE(std::filesystem::exists(folder / "dump/first/eigen-cam/alpha.npy"));  // it has no weights
  EXPECT_TRUE(
      contains(bytes_of(folder / "dump/second/full-grad/cam_raw.npy").substr(0, 128), "'shape': (1, 32, 32, )"));
  constexpr int margin = 12, line = 17;
  EXPECT_EQ(sheet.height, 3 * margin + 2 * (tile.height + line));  // one score: one line more
  const Outcome measured = explain(
      {{"--explainer", "grad-cam,eigen-cam"}, {"--metrics", "all"}, {"--output", folder / "all"}}, {"first.png"});
  ASSERT_EQ(measured.status, 0) << measured.err;
  EXPECT_EQ(read_image(folder / "all/explainers.png").height, 2 * margin + tile.height + 3 * line);  // six: three
  // The sheet is written over as little as an overlay.
  EXPECT_TRUE(
      contains(explain({{"--explainer", "grad-cam,random"}}, {"first.png"}).err, "explainers.png exists already"));
  for (const auto& [names, reason] :
       std::vector<std::pair<std::string, std::string>>{{"grad-cam,score-cm", "'score-cm' is not one of"},
                                                        {"random,random", "'random' is named twice"},
                                                        {"all,random", "'all' stands for every one"}}) {
    const Outcome refused = explain({{"--explainer", names}}, {"first.png"});
    EXPECT_EQ(refused.status, 2) << names;
    EXPECT_TRUE(contains(refused.err, "--explainer: " + reason)) << refused.err;
  }
  const Outcome boxes = explain({{"--explainer", "all"}, {"--metrics", "epg"}}, {"first.png"});
  EXPECT_EQ(boxes.status, 2);
  EXPECT_TRUE(contains(boxes.err, "--metrics: 'epg' is not one of")) << boxes.err;
  const Outcome one_map = explain({{"--metrics", "drop"}}, {"first.png"});
  EXPECT_EQ(one_map.status, 2);
  EXPECT_TRUE(contains(one_map.err, "--metrics: is written beneath the maps of a sheet")) << one_map.err;
  const Outcome large = explain({{"--explainer", "all"}, {"--overlay-size", "photograph"}}, {"first.png"});
  EXPECT_EQ(large.status, 2);
  EXPECT_TRUE(contains(large.err, "--overlay-size: photograph does not go with several maps"));
}

TEST_F(ExplainTest, EveryClassIsAColumnOfTheSheet) {
  const Outcome result = explain(
      {{"--class", "each"}, {"--explainer", "hires-cam"}, {"--cam-target", "logit"}, {"--dump", folder / "dump"}},
      {"first.png", "second.png"});
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(contains(result.out, "hires-cam of plane, ship, car, none")) << result.out;
  const Outcome one = explain({{"--class", "ship"},
                               {"--explainer", "hires-cam"},
                               {"--cam-target", "logit"},
                               {"--output", folder / "one"},
                               {"--overlay-size", "input"},
                               {"--dump", folder / "ship"}},
                              {"first.png"});
  ASSERT_EQ(one.status, 0) << one.err;
  const Image sheet = read_image(folder / "overlays/explainers.png"), tile = read_image(folder / "one/first.png");
  EXPECT_GT(sheet.width, 4 * tile.width);
  EXPECT_LT(sheet.width, 5 * tile.width);
  EXPECT_GT(sheet.height, 2 * tile.height);
  EXPECT_EQ(bytes_of(folder / "dump/first/hires-cam/1/cam_raw.npy"), bytes_of(folder / "ship/cam_raw.npy"));
  EXPECT_NE(bytes_of(folder / "dump/first/hires-cam/0/cam_raw.npy"), bytes_of(folder / "ship/cam_raw.npy"));
}

TEST_F(ExplainTest, EveryExplainerExplainsAndIsMeasured) {
  const Outcome result = explain({{"--explainer", "all"}, {"--tap", "layer3"}, {"--class", "ship"}}, {"first.png"});
  EXPECT_EQ(result.status, 0) << result.err;
  for (const std::string name : {"eigen-cam", "score-cam", "ablation-cam", "finer-cam", "integrated-gradients"}) {
    const Outcome measured = run_program("evaluate", {{"--checkpoint", checkpoint},
                                                      {"--explainer", name},
                                                      {"--threads", "1"},
                                                      {"--split", "validation"},
                                                      {"--val-images", "8"}});
    EXPECT_EQ(measured.status, 0) << measured.err;
    EXPECT_TRUE(contains(measured.out, "Content-Heatmap")) << name;
  }
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
  refuses(explain({{"--output", folder / "twice"}}, {"first.png", "first.png"}), {"--image", "first"});
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

}  // namespace
}  // namespace boxcam
