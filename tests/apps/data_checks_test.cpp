// Data as people bring them: everything that a run will use is looked into before its first step, and what is odd is
// said.
#include <gtest/gtest.h>

#include "apps/common/data/data.h"
#include "apps/train_step.h"
#include "nn/data/scenes/scenes.h"
#include "tests/programs.h"

namespace boxcam {
namespace {

const std::vector<std::string> kSplits = {"train", "validation", "test"};

class DataChecks : public testing::Test {
 protected:
  void SetUp() override { write_photographs(folder, 16, kSplits); }
  Arguments run(const Arguments& more = {}) const {
    return with({{"--model", "resnet-mini"},
                 {"--image-size", "32"},
                 {"--batch", "8"},
                 {"--epochs", "1"},
                 {"--threads", "1"},
                 {"--data", "open-images:" + folder.path().string()},
                 {"--output", output / "run"}},
                more);
  }
  /// What is said; no run has begun.
  std::string refused(const Arguments& more = {}) const {
    const Outcome result = run_program("train", run(more));
    EXPECT_NE(result.status, 0);
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    EXPECT_FALSE(std::filesystem::exists(output / "run"));
    return result.err;
  }
  void cut(const std::string& name) const {
    const std::string bytes = bytes_of(folder / name);
    write_bytes(folder / name, bytes.substr(0, bytes.size() / 2));
  }
  std::string train_table() const { return folder / "oidv6-train-annotations-bbox.csv"; }
  /// Leaves the table's first `rows`.
  void shorten_table(int rows) const {
    const std::string text = bytes_of(train_table());
    size_t end = text.find('\n') + 1;
    for (; rows > 0; --rows) end = text.find('\n', end) + 1;
    write_bytes(train_table(), text.substr(0, end));
  }

  const TemporaryFolder folder, output;
};

TEST_F(DataChecks, BrokenImagesOfAllSplitsAreListedBeforeTheFirstStep) {
  cut("train/train105.png");
  cut("validation/validation103.png");
  std::filesystem::remove(folder / "test/test107.png");
  std::filesystem::create_symlink(folder / "gone.png", folder / "test/test107.png");
  const std::string said = refused();
  for (const char* part :
       {"1 of 16 images of split 'train', 1 of 16 images of split 'validation', 1 of 16 images of "
        "split 'test' cannot be read",
        "train105.png is truncated", "validation103.png is truncated", "test107.png", "--missing-images skip"})
    EXPECT_TRUE(contains(said, part));
}

TEST_F(DataChecks, OfManyBrokenImagesTwentyAreNamed) {
  const TemporaryFolder many;
  write_photographs(many, 40);
  for (int i = 0; i < 25; ++i) write_bytes(many / ("validation/validation" + std::to_string(100 + i) + ".png"), "");
  const std::string said = refused({{"--data", "open-images:" + many.path().string()}});
  EXPECT_TRUE(contains(said, "25 of 40 images of split 'validation'"));
  EXPECT_TRUE(contains(said, "validation119.png"));
  EXPECT_FALSE(contains(said, "validation120.png"));
  EXPECT_TRUE(contains(said, "; and 5 more"));
}

TEST_F(DataChecks, ATestSplitThatCannotBeMeasuredIsFoundBeforeTheFirstStep) {
  EXPECT_TRUE(contains(refused({{"--test-images", "17"}}), "17 images of split 'test' were asked for"));
  std::filesystem::remove(folder / "test-annotations-bbox.csv");
  EXPECT_TRUE(contains(refused(), "cannot read " + folder / "test-annotations-bbox.csv"));
}

TEST_F(DataChecks, MissingImagesAreLeftOutAndRecorded) {
  cut("validation/validation103.png");
  const Outcome result = run_program("train", run({{"--missing-images", "skip"}}));
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(contains(result.out, "note: validation: 1 of 16 images are left out: image " +
                                       folder / "validation/validation103.png" + " is truncated"));
  const nlohmann::json data = json_of(output / "run/run.json")["data"];
  ASSERT_EQ(data["validation"]["skipped"].size(), 1u);
  EXPECT_TRUE(contains(data["validation"]["skipped"][0], "validation103.png is truncated"));
  EXPECT_EQ(data["validation"]["content"], "15 images (plane 4, ship 4, car 4, none 3)");
  EXPECT_FALSE(data["train"].contains("skipped"));
  EXPECT_EQ(json_of(output / "run/run.json")["options"]["missing-images"], "skip");

  const Outcome measured = run_program("evaluate", {{"--checkpoint", output / "run/best.safetensors"},
                                                    {"--data", "open-images:" + folder.path().string()},
                                                    {"--split", "validation"},
                                                    {"--missing-images", "skip"}});
  EXPECT_EQ(measured.status, 0) << measured.err;
  EXPECT_TRUE(contains(measured.out, "note: validation: 1 of 16 images are left out"));
}

TEST_F(DataChecks, MoreThanOnePercentAreNotLeftOutButOneAlwaysMayBe) {
  cut("train/train101.png");
  cut("train/train102.png");
  const std::string said = refused({{"--missing-images", "skip"}});
  EXPECT_TRUE(contains(said, "at most 1 % of a split, but 2 of 16 images of split 'train' cannot be read"));
  EXPECT_TRUE(contains(said, "train102.png"));
}

// So that a seed picks the same images whatever is broken.
TEST_F(DataChecks, ASubsetIsDrawnBeforeAnythingIsLeftOut) {
  const auto ids = [&] {
    DataOptions options;
    options.data = "open-images:" + folder.path().string();
    options.train_images = 12;
    options.missing_images = MissingImages::skip;
    const DataSplit split = open_splits(options, {"train"})[0];
    std::vector<std::string> list;
    for (int64_t i = 0; i < split.data->size(); ++i) list.push_back(split.data->load(i).id);
    return list;
  };
  std::vector<std::string> before = ids();
  ASSERT_EQ(before.size(), 12u);
  cut("train/" + before[3] + ".png");
  before.erase(before.begin() + 3);
  EXPECT_EQ(ids(), before);
}

TEST_F(DataChecks, APackedSplitWithoutItsBrokenImagesIsNotComplete) {
  cut("train/train105.png");
  const Arguments source = {{"--data", "open-images:" + folder.path().string()}, {"--image-size", "32"}};
  const Outcome stopped = run_program("prepare", with(source, {{"--output", output / "packed"}}));
  EXPECT_EQ(stopped.status, 1);
  EXPECT_TRUE(contains(stopped.err, "train105.png is truncated"));
  const Outcome packed =
      run_program("prepare", with(source, {{"--missing-images", "skip"}, {"--output", output / "packed"}}));
  ASSERT_EQ(packed.status, 0) << packed.err;
  EXPECT_TRUE(contains(packed.out, "note: train: 1 of 16 images are left out"));
  EXPECT_TRUE(contains(refused({{"--data", "packed:" + output / "packed"}, {"--train-images", "8"}}),
                       "was packed with a subset of 15"));
}

TEST_F(DataChecks, MissingImagesIsRefusedWhereThereAreNoFiles) {
  EXPECT_TRUE(contains(refused({{"--data", "scenes"}, {"--missing-images", "skip"}}),
                       "--missing-images: --data scenes has no image files"));
}

// ---- What is odd, but no error ----

TEST_F(DataChecks, ATableCutAtALinesEndIsSaid) {
  shorten_table(3);
  const Outcome result = run_program("train", run());
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(contains(result.out, "warning: train: 13 of 16 images have no row in " + train_table()));
  EXPECT_TRUE(contains(result.out, "note: validation: 4 of 16 images have no row in "));
  EXPECT_TRUE(contains(result.out, "note: test: 4 of 16 images have no row in "));
}

TEST_F(DataChecks, ImagesWithAnExifTurnAreCounted) {
  const std::string jpeg = bytes_of(folder / "train/train100.jpg");
  const std::string exif(
      "\xFF\xE1\0\x22"
      "Exif\0\0"
      "II*\0\x08\0\0\0"
      "\1\0\x12\1\3\0\1\0\0\0\6\0\0\0"
      "\0\0\0\0",
      36);
  write_bytes(folder / "train/train100.jpg", jpeg.substr(0, 2) + exif + jpeg.substr(2));
  const Outcome result = run_program("train", run());
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(contains(result.out, "note: train: 1 of 16 images carry an EXIF turn, which is not applied"));
  EXPECT_FALSE(result.out.find("note: validation: 1 of 16 images carry") != std::string::npos);
}

// ---- Whether there is an output "none" ----

TEST_F(DataChecks, NoneIsAnOutputWhereTheTrainingSplitShowsIt) {
  const auto trained = [&](const std::string& name, const Arguments& more) {
    const Outcome result = run_program("train", run(with({{"--output", output / name}}, more)));
    EXPECT_EQ(result.status, 0) << result.err;
    return json_of(output / (name + "/run.json"));
  };
  const nlohmann::json with_none = trained("with", {});
  EXPECT_EQ(with_none["options"]["none-class"], "on");
  EXPECT_EQ(with_none["data"]["classes"].size(), 4u);

  const nlohmann::json off = trained("off", {{"--none-class", "off"}});
  EXPECT_EQ(off["data"]["classes"], nlohmann::json({"plane", "ship", "car"}));
  EXPECT_EQ(off["data"]["train"]["content"], "12 images (plane 4, ship 4, car 4)");
  EXPECT_EQ(json_of(output / "off/test.json")["per_class_accuracy"].size(), 3u);
  const Outcome measured = run_program("evaluate", {{"--checkpoint", output / "off/best.safetensors"},
                                                    {"--data", "open-images:" + folder.path().string()}});
  EXPECT_EQ(measured.status, 0) << measured.err << " (the file says that there is no none)";

  // The other splits follow the training split.
  for (int i = 3; i < 16; i += 4) std::filesystem::remove(folder / ("train/train" + std::to_string(100 + i) + ".png"));
  const nlohmann::json without = trained("without", {});
  EXPECT_EQ(without["options"]["none-class"], "off");
  EXPECT_EQ(without["data"]["validation"]["content"], "12 images (plane 4, ship 4, car 4)");
  EXPECT_EQ(trained("on", {{"--none-class", "on"}})["data"]["classes"].size(), 4u);
}

TEST_F(DataChecks, NoneIsRefusedWhereItCannotBeAsAsked) {
  EXPECT_TRUE(contains(refused({{"--data", "scenes"}, {"--none-class", "off"}}),
                       "--none-class: scenes always draws images of none of the classes"));
  const Arguments packing = {{"--data", "open-images:" + folder.path().string()}, {"--image-size", "32"}};
  ASSERT_EQ(run_program("prepare", with(packing, {{"--output", output / "packed"}})).status, 0);
  EXPECT_TRUE(contains(refused({{"--data", "packed:" + output / "packed"}, {"--none-class", "off"}}),
                       "--none-class: " + output / "packed" + " was packed with 'on', but 'off' was asked for"));
  ASSERT_EQ(run_program("prepare", with(packing, {{"--none-class", "off"}, {"--output", output / "off"}})).status, 0);
  const Outcome result = run_program("train", run({{"--data", "packed:" + output / "off"}, {"--none-class", "auto"}}));
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(json_of(output / "run/run.json")["options"]["none-class"], "off");
}

TEST_F(DataChecks, NoneOfImageFoldersIsAFolderOfThatName) {
  const TemporaryFolder images;
  for (const char* split : {"train", "val"})
    for (const char* name : {"ant", "none", ".ipynb_checkpoints"}) {
      const std::string place = images / (std::string(split) + "/" + name);
      std::filesystem::create_directories(place);
      for (const char* file : {"1.png", "2.png", "._1.png"}) write_png(place + "/" + file, Image(32, 32));
    }
  const auto content = [&](const Arguments& more) {
    const Outcome result = run_program(
        "prepare", with(with({{"--data", "folder:" + images.path().string()}, {"--image-size", "32"}}, more),
                        {{"--output", output / std::to_string(std::rand())}}));
    return result.status == 0 ? result.out : result.err;
  };
  EXPECT_TRUE(contains(content({}), "4 images without boxes (ant 2, none 2)"));
  EXPECT_TRUE(contains(content({{"--none-class", "on"}}), "4 images without boxes (ant 2, none 2)"));
  EXPECT_TRUE(contains(content({{"--none-class", "off"}}), "2 images without boxes (ant 2)"));
  EXPECT_TRUE(contains(content({{"--none-class", "on"}, {"--classes", "ant"}}),
                       "--none-class: no class has a folder named 'none'"));
  EXPECT_TRUE(contains(content({{"--none-class", "off"}, {"--classes", "ant,none"}}), "--none-class: off contradicts"));
}

// ---- Identity ----

TEST_F(DataChecks, IdentityIsThatOfTheDataAndNotOfTheirPlace) {
  const auto identity = [&](const std::string& place) {
    DataOptions options;
    options.data = "open-images:" + place;
    return splits_json(open_splits(options, {"train"}))["train"]["identity"].get<std::string>();
  };
  const std::string before = identity(folder.path().string());
  EXPECT_EQ(identity(folder.path().string() + "/./"), before);
  std::filesystem::copy(folder.path().string(), output / "moved", std::filesystem::copy_options::recursive);
  EXPECT_EQ(identity(output / "moved"), before);
  std::string text = bytes_of(train_table());
  write_bytes(train_table(), text.replace(text.find("0.25"), 4, "0.26"));
  EXPECT_NE(identity(folder.path().string()), before) << "another box";
  std::filesystem::remove(output / "moved/train/train105.png");
  EXPECT_NE(identity(output / "moved"), before) << "an image fewer";
}

// ---- Boxes that a crop loses ----

TEST(LostBoxes, LeaveTheImageOutOfThePenalty) {
  Batch batch;
  batch.size = 3;
  batch.image_size = 32;
  batch.images.resize(3 * 32 * 32 * 3);
  batch.labels = {0, 1, 3};
  batch.boxes = {{{4, 4, 20, 20}}, {}, {}};
  batch.lost_boxes = {0, 1, 0};
  batch.ids = {"boxed", "lost", "none"};
  batch.indices = {0, 1, 2};
  const Scenes scenes(0, 8, ScenesSplit::train);
  Method method;
  const auto counted = [&] {
    const StepInputs inputs(method, scenes, {}, Device::cpu, 0);
    return counted_images(inputs(batch, 0), method.penalty);
  };
  EXPECT_EQ(counted(), (std::vector<char>{1, 0, 1}));
  method.boxes = BoxControl::shuffled;
  EXPECT_EQ(counted(), (std::vector<char>{1, 0, 1}));
  method.penalty.unboxed = Penalty::Unboxed::skip;
  EXPECT_EQ(counted(), (std::vector<char>{1, 0, 0}));
  method.penalty.unboxed = Penalty::Unboxed::penalise;
  batch.lost_boxes = {0, 0, 0};
  EXPECT_TRUE(counted().empty()) << "all";
}

/// The boxes of every photograph but the planes' lie at its left edge, outside of the central crop.
TEST_F(DataChecks, ImagesThatLoseTheirBoxesInTheCropAreCounted) {
  for (const std::string& split : kSplits) {
    const std::string table = folder / ((split == "train" ? "oidv6-train" : split) + "-annotations-bbox.csv");
    std::ifstream rows(table);
    std::string text;
    for (std::string row; std::getline(rows, row); text += row + "\n")
      if (const size_t at = row.find(",0.25,0.75,");
          at != std::string::npos && row.find("/m/0cmf2") == std::string::npos)
        row.replace(at, 11, ",0.00,0.05,");
    rows.close();
    write_bytes(table, text);
  }
  const Outcome result = run_program("train", run({{"--resize", "crop"}, {"--lambda", "1"}}));
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(contains(result.out, "note: train: 8 of 16 images lose every box in the central crop"));
  EXPECT_TRUE(contains(result.out, "images that lost their boxes 8"));
  EXPECT_EQ(json_of(output / "run/epochs.jsonl")["train_lost_boxes"], 8);
  const nlohmann::json test = json_of(output / "run/test.json");
  EXPECT_EQ(test["test_lost_boxes"], 8);
  EXPECT_EQ(test["test_images"], 16);

  // A packed file remembers: training from it takes the same steps.
  const Arguments packing = {
      {"--data", "open-images:" + folder.path().string()}, {"--image-size", "32"}, {"--resize", "crop"}};
  ASSERT_EQ(run_program("prepare", with(packing, {{"--output", output / "packed"}})).status, 0);
  const Outcome from_packed = run_program(
      "train",
      run({{"--data", "packed:" + output / "packed"}, {"--lambda", "1"}, {"--output", output / "from-packed"}}));
  ASSERT_EQ(from_packed.status, 0) << from_packed.err;
  EXPECT_TRUE(contains(from_packed.out, "note: train: 8 of 16 images lose every box in the central crop"));
  EXPECT_TRUE(bytes_of(output / "run/last.safetensors") == bytes_of(output / "from-packed/last.safetensors"));
}

}  // namespace
}  // namespace boxcam
