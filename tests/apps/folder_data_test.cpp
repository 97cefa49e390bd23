// --data folder:DIR in the programs: it trains, measures and explains; what needs boxes is refused with the reason.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/programs.h"

namespace boxcam {
namespace {

/// DIR/{train,val}/{dark,light}/*.png: eight and four images of two brightnesses.
void make_folder(const TemporaryFolder& folder) {
  for (const auto& [split, count] : {std::pair{"train", 8}, {"val", 4}})
    for (const auto& [name, value] : {std::pair{"dark", 40}, {"light", 200}}) {
      const std::string place = folder / (std::string("data/") + split + "/" + name);
      std::filesystem::create_directories(place);
      for (int i = 0; i < count; ++i) {
        Image image(32, 32);
        for (size_t k = 0; k < image.pixels.size(); ++k)
          image.pixels[k] = static_cast<uint8_t>(value + static_cast<int>(k * 7 + static_cast<size_t>(i) * 13) % 32);
        write_png(place + "/" + std::to_string(i) + ".png", image);
      }
    }
}

Arguments arguments(const TemporaryFolder& folder) {
  return {{"--data", "folder:" + folder / "data"},
          {"--model", "plain-mini"},
          {"--image-size", "32"},
          {"--batch", "4"},
          {"--epochs", "6"},
          {"--threads", "1"}};
}

TEST(FolderData, TrainsMeasuresAndExplainsWithoutTheOutputNone) {
  const TemporaryFolder folder;
  make_folder(folder);
  const Outcome trained = run_program("train", with(arguments(folder), {{"--output", folder / "run"}}));
  ASSERT_EQ(trained.status, 0) << trained.err;
  EXPECT_TRUE(contains(trained.out, "16 images without boxes (dark 8, light 8)"));
  const auto run = nlohmann::json::parse(bytes_of(folder / "run/run.json"));
  EXPECT_EQ(run["options"]["classes"], "dark,light");
  EXPECT_EQ(run["options"]["best-by"], "accuracy");
  const auto test = nlohmann::json::parse(bytes_of(folder / "run/test.json"));
  EXPECT_EQ(test["split"], "validation");
  EXPECT_EQ(test["test_accuracy"], 1.0);
  EXPECT_TRUE(test["test_content_heatmap"].is_null());
  EXPECT_EQ(test["per_class_accuracy"].size(), 2u);

  const Arguments model = {{"--checkpoint", folder / "run/best.safetensors"}, {"--image-size", "32"}};
  Arguments data = model;
  data["--data"] = "folder:" + folder / "data";
  const Outcome measured = run_program("evaluate", data);
  EXPECT_EQ(measured.status, 0) << measured.err;
  EXPECT_TRUE(contains(measured.out, "accuracy 100.00 %   Content-Heatmap -"));
  const Outcome explained = run_program("explain", with(model, {{"--classes", "dark,light"},
                                                                {"--image", folder / "data/val/light/0.png"},
                                                                {"--output", folder / "overlays"}}));
  EXPECT_EQ(explained.status, 0) << explained.err;
  EXPECT_TRUE(contains(explained.out, "0.png: light "));
}

// Also where there is "none", which a model file has among its outputs and not among its --classes.
TEST(FolderData, EvaluateTakesTheClassesInTheOrderOfTheModelFile) {
  const TemporaryFolder folder;
  make_folder(folder);
  for (const char* split : {"train", "val"})
    std::filesystem::copy(folder / (std::string("data/") + split + "/dark"),
                          folder / (std::string("data/") + split + "/none"));
  const Outcome trained =
      run_program("train", with(arguments(folder), {{"--classes", "light,dark,none"}, {"--output", folder / "run"}}));
  ASSERT_EQ(trained.status, 0) << trained.err;
  const Outcome measured =
      run_program("evaluate", {{"--checkpoint", folder / "run/best.safetensors"}, {"--json", folder / "e.json"}});
  ASSERT_EQ(measured.status, 0) << measured.err;
  EXPECT_EQ(nlohmann::json::parse(bytes_of(folder / "e.json"))["validation"]["images"], 12);
}

TEST(FolderData, RefusesWhatNeedsBoxes) {
  const TemporaryFolder folder;
  make_folder(folder);
  const auto refused = [&](const Arguments& more) {
    const Outcome result =
        run_program("train", with(with(arguments(folder), more), {{"--output", folder / "refused"}}));
    EXPECT_EQ(result.status, 2);
    EXPECT_FALSE(std::filesystem::exists(folder / "refused"));
    return result.err;
  };
  EXPECT_TRUE(contains(refused({{"--lambda", "1"}}), "train: --lambda: there are no boxes in --data folder:"));
  EXPECT_TRUE(contains(refused({{"--best-by", "content-heatmap"}}), "train: --best-by: there are no boxes in"));
}

TEST(FolderData, WhatIsNoKindOfDataIsAnsweredWithAllThereAre) {
  for (const std::string data : {"folders:x", "folder", "scenes:x"}) {
    const Outcome result = run_program("train", with(tiny_run(), {{"--data", data}}));
    EXPECT_EQ(result.status, 1);
    EXPECT_TRUE(contains(
        result.err,
        "--data: expected scenes, open-images:DIR, packed:FILE, folder:DIR, waterbirds:DIR, voc:DIR, coco:DIR or "
        "csv:FILE, found '" +
            data + "'"));
  }
}

}  // namespace
}  // namespace boxcam
