// Data sets whose images are files: what a look into all of them finds, and by what their identity changes.
#include "nn/data/labelled_images.h"

#include <gtest/gtest.h>

#include <set>

#include "engine/base/check.h"
#include "nn/data/image.h"
#include "tests/weight_fixtures.h"

namespace boxcam {
namespace {

/// Three pictures of 20 x 10 pixels; the box of the second lies at its left edge.
std::vector<LabelledImage> three(const TemporaryFolder& folder) {
  for (const char* name : {"a.png", "b.png", "c.png"}) write_png(folder / name, Image(10, 20));
  return {{folder / "a.png", "a", "VOC2012", 0, {{0.4, 0.4, 0.6, 0.6}}},
          {folder / "b.png", "b", "", 1, {{0, 0, 0.05, 1}, {0, 0.5, 0.1, 1}}},
          {folder / "c.png", "c", "", 2, {}}};
}

const std::vector<std::string> kClasses = {"car", "ship", "none"};

std::string identity(const std::vector<LabelledImage>& files) {
  return LabelledImages("here", kClasses, files).identity();
}

TEST(LabelledImages, InspectLeavesOutWhatCannotBeReadAndSaysWhy) {
  const TemporaryFolder folder;
  LabelledImages data("here", kClasses, three(folder));
  EXPECT_TRUE(data.inspect({}).empty());
  EXPECT_EQ(data.size(), 3);

  const std::string bytes = bytes_of(folder / "b.png");
  write_bytes(folder / "b.png", bytes.substr(0, bytes.size() / 2));
  std::filesystem::remove(folder / "c.png");
  const std::vector<std::string> broken = data.inspect({});
  ASSERT_EQ(broken.size(), 2u);
  EXPECT_NE(broken[0].find(folder / "b.png"), std::string::npos) << broken[0];
  EXPECT_NE(broken[0].find("truncated"), std::string::npos) << broken[0];
  EXPECT_NE(broken[1].find(folder / "c.png"), std::string::npos) << broken[1];
  ASSERT_EQ(data.size(), 1);
  EXPECT_EQ(data.load(0).id, "a");
  EXPECT_EQ(data.content(), "1 images (car 1, ship 0, none 0)");
  EXPECT_EQ(data.describe(), "here: 1 images (car 1, ship 0, none 0)");
}

TEST(LabelledImages, InspectKeepsTheOrderOfManyFiles) {
  const TemporaryFolder folder;
  std::vector<LabelledImage> files;
  for (int i = 0; i < 100; ++i) {
    files.push_back({folder / (std::to_string(i) + ".png"), std::to_string(i), "", i % 3, {}});
    if (i % 10 != 3) write_png(files.back().path, Image(2, 2));
  }
  LabelledImages data("here", kClasses, files);
  const std::vector<std::string> broken = data.inspect({});
  ASSERT_EQ(broken.size(), 10u);
  for (size_t i = 0; i < 10; ++i)
    EXPECT_NE(broken[i].find("/" + std::to_string(10 * i + 3) + ".png"), std::string::npos);
  ASSERT_EQ(data.size(), 90);
  EXPECT_EQ(data.load(89).id, "99");
}

// The note before the first step counts what the crop then does.
TEST(LabelledImages, ImagesThatLoseEveryBoxInTheCentralCropAreCounted) {
  const TemporaryFolder folder;
  const Preprocess squash{.image_size = 32}, crop{.image_size = 32, .resize = Preprocess::Resize::crop};
  for (const auto& [preprocess, expected] : {std::pair{squash, 0}, std::pair{crop, 1}}) {
    LabelledImages data("here", kClasses, three(folder));
    data.inspect(preprocess);
    int lost = 0;
    for (int64_t i = 0; i < data.size(); ++i) lost += prepare(data.load(i), preprocess, nullptr).lost_boxes;
    EXPECT_EQ(lost, expected);
    ASSERT_EQ(data.notes().size(), static_cast<size_t>(expected));
    for (const Note& note : data.notes()) EXPECT_EQ(note.text, lost_boxes_note(1, 3));
  }
}

TEST(LabelledImages, IdentityIsWhatTheSamplesAreAndNotWhereTheyLie) {
  const TemporaryFolder folder, other;
  const std::vector<LabelledImage> files = three(folder), moved = three(other);
  EXPECT_EQ(identity(files).size(), 64u);
  EXPECT_EQ(identity(moved), identity(files));

  std::set<std::string> seen = {identity(files)};
  const auto expect_another = [&](const char* what, auto change) {
    std::vector<LabelledImage> changed = files;
    change(changed);
    EXPECT_TRUE(seen.insert(identity(changed)).second) << what;
  };
  expect_another("one fewer", [](auto& f) { f.pop_back(); });
  expect_another("another order", [](auto& f) { std::swap(f[0], f[1]); });
  expect_another("another label", [](auto& f) { f[0].label = 1; });
  expect_another("another source", [](auto& f) { f[0].source = ""; });
  expect_another("another id", [](auto& f) { f[0].id = "A"; });
  expect_another("another box", [](auto& f) { f[0].boxes[0].x_min = 0.39; });
  expect_another("a box fewer", [](auto& f) { f[1].boxes.pop_back(); });
  expect_another("boxes in another order", [](auto& f) { std::swap(f[1].boxes[0], f[1].boxes[1]); });
  EXPECT_TRUE(seen.insert(LabelledImages("here", {"ship", "car", "none"}, files).identity()).second) << "other classes";
  write_bytes(folder / "a.png", bytes_of(folder / "a.png") + "x");
  EXPECT_TRUE(seen.insert(identity(files)).second) << "another file";
}

}  // namespace
}  // namespace boxcam
