// Image folders: order, labels and ids as torchvision's ImageFolder, and what is wrong as a sentence.
#include "nn/data/image_folder.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "engine/base/check.h"
#include "nn/data/image.h"
#include "tests/weight_fixtures.h"

namespace boxcam {
namespace {

/// `value`: of every pixel's red.
void add_image(const TemporaryFolder& folder, const std::string& name, uint8_t value) {
  std::filesystem::create_directories(std::filesystem::path(folder / name).parent_path());
  Image image(3, 4);
  for (size_t i = 0; i < image.pixels.size(); i += 3) image.pixels[i] = value;
  write_png(folder / name, image);
}

std::string error_of(const TemporaryFolder& folder, const std::string& split, const ImageFolderOptions& options = {}) {
  try {
    image_folder(folder.path(), split, options);
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

TEST(ImageFolder, ReadsClassesAndImagesInOrder) {
  const TemporaryFolder folder;
  add_image(folder, "train/none/x.png", 1);
  add_image(folder, "train/zebra/b.PNG", 2);
  add_image(folder, "train/zebra/a.png", 3);
  add_image(folder, "train/ant/deep/er/c.png", 4);
  add_image(folder, "train/ant/.hidden/d.png", 5);
  add_image(folder, "train/.git/e.png", 6);
  write_bytes(folder / "train/ant/notes.txt", "no image");
  const auto data = image_folder(folder.path(), "train");
  EXPECT_EQ(data->classes(), (std::vector<std::string>{"ant", "zebra", "none"}));
  ASSERT_EQ(data->size(), 4);
  const std::vector<std::pair<std::string, int>> expected = {{"deep/er/c", 4}, {"a", 3}, {"b", 2}, {"x", 1}};
  for (int64_t i = 0; i < 4; ++i) {
    const Sample sample = data->load(i);
    EXPECT_EQ(sample.id, expected[static_cast<size_t>(i)].first);
    EXPECT_EQ(sample.image.pixels[0], expected[static_cast<size_t>(i)].second);
    EXPECT_EQ(sample.label, data->label(i));
    EXPECT_TRUE(sample.boxes.empty());
  }
  EXPECT_EQ(data->label(0), 0);
  EXPECT_EQ(data->label(3), 2);
  EXPECT_NE(data->describe().find("4 images without boxes (ant 1, zebra 2, none 1)"), std::string::npos);
  EXPECT_THROW(data->load(4), Error);
}

TEST(ImageFolder, TakesChosenClassesInTheirOrderAndASubsetBySeed) {
  const TemporaryFolder folder;
  for (int i = 0; i < 20; ++i) add_image(folder, "val/a/" + std::to_string(i) + ".png", 1);
  add_image(folder, "val/b/b.png", 2);
  add_image(folder, "val/c/c.png", 3);
  const auto two = image_folder(folder.path(), "validation", {.classes = {"c", "b"}});
  EXPECT_EQ(two->size(), 2);
  EXPECT_EQ(two->load(0).image.pixels[0], 3);
  const auto ids = [&](uint64_t seed) {
    const auto data = image_folder(folder.path(), "validation", {.max_images = 8, .seed = seed});
    std::vector<std::string> list;
    for (int64_t i = 0; i < data->size(); ++i) list.push_back(data->load(i).id);
    return list;
  };
  EXPECT_EQ(ids(1).size(), 8u);
  EXPECT_EQ(ids(1), ids(1));
  EXPECT_NE(ids(1), ids(2));
  EXPECT_TRUE(has_image_folder(folder.path(), "validation"));
  EXPECT_FALSE(has_image_folder(folder.path(), "test"));
}

TEST(ImageFolder, WhatIsWrongIsASentence) {
  const TemporaryFolder folder;
  EXPECT_EQ(error_of(folder, "train"),
            "there is no folder " + folder / "train" + " with a folder of images for each class");
  std::filesystem::create_directories(folder / "train");
  EXPECT_EQ(error_of(folder, "train"),
            folder / "train" + " holds no folders: expected one for each class, with its images");
  add_image(folder, "train/ship/a.png", 1);
  EXPECT_EQ(error_of(folder, "train", {.classes = {"shp"}}),
            folder / "train" + " has no folder 'shp'; did you mean 'ship'?");
  EXPECT_EQ(error_of(folder, "train", {.classes = {"ship", "ship"}}), "the class ship is named twice");
  EXPECT_EQ(error_of(folder, "train", {.max_images = 2}),
            "2 images were asked for, but " + folder / "train" + " has 1");
  std::filesystem::create_directories(folder / "train/car");
  EXPECT_EQ(error_of(folder, "train"), folder / "train/car" + " holds no image");
}

}  // namespace
}  // namespace boxcam
