#include "nn/data/image.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "engine/base/check.h"

namespace boxcam {
namespace {

namespace fs = std::filesystem;

const fs::path fixtures = fs::path(BOXCAM_SOURCE_DIR) / "tests" / "fixtures";

std::string read_bytes(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class ImageFiles : public testing::Test {
 protected:
  void SetUp() override {
    const char* name = testing::UnitTest::GetInstance()->current_test_info()->name();
    folder_ = fs::temp_directory_path() / str("boxcam_image_test_", getpid(), "_", name);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string write(const std::string& name, const std::string& bytes) const {
    std::ofstream(folder_ / name, std::ios::binary) << bytes;
    return folder_ / name;
  }

  fs::path folder_;
};

template <class Action>
std::string error_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

#define EXPECT_ERROR(action, ...)                                         \
  do {                                                                    \
    const std::string message = error_of([&] { action; });                \
    for (const std::string& part : std::vector<std::string>{__VA_ARGS__}) \
      EXPECT_TRUE(has(message, part)) << message << "\nlacks: " << part;  \
  } while (false)

// The picture of make_resize_fixture.py.
Image picture(int height, int width) {
  Image image(height, width);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < 3; ++c) {
        const bool edge = (x + 2 * y + 40 * c) % 97 < 30;
        const int value = edge ? 255 * ((x / 5 + y / 7) % 2) : (x * x * 3 + x * y * 7 + y * 11 + c * 85) % 256;
        image.at(y, x)[c] = static_cast<uint8_t>(value);
      }
  return image;
}

int largest_difference(const uint8_t* a, const uint8_t* b, size_t count) {
  int largest = 0;
  for (size_t i = 0; i < count; ++i) largest = std::max(largest, std::abs(int{a[i]} - int{b[i]}));
  return largest;
}

void expect_box(const Box& box, double x_min, double y_min, double x_max, double y_max) {
  EXPECT_DOUBLE_EQ(box.x_min, x_min);
  EXPECT_DOUBLE_EQ(box.y_min, y_min);
  EXPECT_DOUBLE_EQ(box.x_max, x_max);
  EXPECT_DOUBLE_EQ(box.y_max, y_max);
}

Sample sample_of(int height, int width, std::vector<Box> boxes) {
  Sample sample;
  sample.image = picture(height, width);
  sample.boxes = std::move(boxes);
  return sample;
}

TEST(Resize, AgreesWithTorchvisionAndPillowWithinOneLevel) {
  const std::string fixture = read_bytes(fixtures / "resize.bin");
  ASSERT_FALSE(fixture.empty());
  size_t at = 0;
  int cases = 0;
  for (; at < fixture.size(); ++cases) {
    int32_t size[4];
    std::memcpy(size, fixture.data() + at, sizeof size);
    at += sizeof size;
    const Image ours = resize(picture(size[0], size[1]), size[2], size[3]);
    ASSERT_EQ(ours.height, size[2]);
    ASSERT_EQ(ours.width, size[3]);
    for (const char* whose : {"torchvision", "Pillow"}) {
      ASSERT_LE(at + ours.pixels.size(), fixture.size());
      const auto* theirs = reinterpret_cast<const uint8_t*>(fixture.data() + at);
      EXPECT_LE(largest_difference(ours.pixels.data(), theirs, ours.pixels.size()), 1)
          << whose << ", " << size[0] << " x " << size[1] << " -> " << size[2] << " x " << size[3];
      at += ours.pixels.size();
    }
  }
  EXPECT_EQ(cases, 7);
}

TEST(Resize, KeepsFlatPicturesAndTheSameSizeExactly) {
  Image flat(50, 70);
  for (size_t i = 0; i < flat.pixels.size(); ++i) flat.pixels[i] = std::array<uint8_t, 3>{255, 0, 131}[i % 3];
  const Image smaller = resize(flat, 13, 31);
  for (size_t i = 0; i < smaller.pixels.size(); ++i) ASSERT_EQ(smaller.pixels[i], flat.pixels[i % 3]);
  const Image image = picture(9, 14);
  EXPECT_EQ(resize(image, 9, 14).pixels, image.pixels);
  EXPECT_ERROR(resize(image, 0, 5), "resize", "0 x 5");
  EXPECT_ERROR(resize(Image(), 4, 5), "resize", "0 x 0");
}

TEST(Geometry, BoxesMoveWithResizeCropAndFlip) {
  Sample sample = sample_of(40, 80, {{10, 4, 30, 20}, {60, 30, 80, 40}});
  resize(sample, 20, 20);
  expect_box(sample.boxes[0], 2.5, 2, 7.5, 10);
  expect_box(sample.boxes[1], 15, 15, 20, 20);

  sample = sample_of(40, 80, {{10, 4, 30, 20}, {60, 30, 80, 40}, {15, 0, 20, 6}});
  const Image before = sample.image;
  crop(sample, 5, 15, 30, 45);  // x 15..60, y 5..35: the second box only touches it, the third keeps one row
  ASSERT_EQ(sample.boxes.size(), 2u);
  expect_box(sample.boxes[0], 0, 0, 15, 15);
  expect_box(sample.boxes[1], 0, 0, 5, 1);
  EXPECT_EQ(std::memcmp(sample.image.at(29, 44), before.at(34, 59), 3), 0);
  EXPECT_TRUE(sample.box_classes.empty());

  sample = sample_of(40, 80, {{60, 30, 80, 40}, {10, 4, 30, 20}, {15, 0, 20, 6}});
  sample.box_classes = {7, 8, 9};
  sample.shown = {7, 8, 9};
  crop(sample, 5, 15, 30, 45);
  ASSERT_EQ(sample.boxes.size(), 2u);
  EXPECT_EQ(sample.box_classes, (std::vector<int32_t>{8, 9})) << "a class goes with its box";
  EXPECT_EQ(sample.shown, (std::vector<int32_t>{7, 8, 9})) << "and is still shown where a crop left no box of it";
  EXPECT_FALSE(sample.lost_boxes);

  sample = sample_of(4, 10, {{1, 0, 3, 4}});
  flip_horizontal(sample);
  expect_box(sample.boxes[0], 7, 0, 9, 4);
  EXPECT_EQ(std::memcmp(sample.image.at(2, 0), picture(4, 10).at(2, 9), 3), 0);
  flip_horizontal(sample);
  EXPECT_EQ(sample.image.pixels, picture(4, 10).pixels);
  expect_box(sample.boxes[0], 1, 0, 3, 4);

  EXPECT_ERROR(crop(sample.image, 0, 5, 4, 6), "crop", "4 x 6", "4 x 10");
  EXPECT_ERROR(crop(sample.image, -1, 0, 2, 2), "crop");
}

// A high one is summed along y before it is resized along x, a wide one after.
TEST(Resize, AHighPictureIsAWideOneTurned) {
  const auto transposed = [](const Image& image) {
    Image result(image.width, image.height);
    for (int y = 0; y < image.height; ++y)
      for (int x = 0; x < image.width; ++x) std::copy_n(image.at(y, x), 3, result.at(x, y));
    return result;
  };
  for (const auto& [height, width] : {std::pair{1, 5000}, {3, 777}, {7, 700}, {7, 699}, {2, 210}}) {
    SCOPED_TRACE(str(height, " x ", width));
    const Image wide = picture(height, width);
    const Image expected = transposed(resize(wide, 19, 23)), high = resize(transposed(wide), 23, 19);
    EXPECT_LE(largest_difference(high.pixels.data(), expected.pixels.data(), high.pixels.size()), 1);
  }
}

TEST(Prepare, SquashAndCropWithoutAugmentation) {
  Preprocess preprocess{.image_size = 28};
  Sample squashed = prepare(sample_of(56, 112, {{0, 0, 112, 56}, {28, 14, 56, 28}}), preprocess, nullptr);
  EXPECT_EQ(squashed.image.height, 28);
  EXPECT_EQ(squashed.image.width, 28);
  expect_box(squashed.boxes[0], 0, 0, 28, 28);
  expect_box(squashed.boxes[1], 7, 7, 14, 14);

  // 28 * 256 / 224 = 32: 56 x 112 becomes 32 x 64, of which rows 2..30 and columns 18..46 stay.
  preprocess.resize = Preprocess::Resize::crop;
  const Sample cropped = prepare(sample_of(56, 112, {{0, 0, 112, 56}, {0, 0, 7, 7}}), preprocess, nullptr);
  EXPECT_EQ(cropped.image.pixels, crop(resize(picture(56, 112), 32, 64), 2, 18, 28, 28).pixels);
  ASSERT_EQ(cropped.boxes.size(), 1u);
  expect_box(cropped.boxes[0], 0, 0, 28, 28);

  EXPECT_ERROR(prepare(sample_of(5, 5, {}), Preprocess{.image_size = 0}, nullptr), "image size", "0");
}

TEST(Prepare, OfACropOnlyWhatIsShownIsResized) {
  const Preprocess preprocess{.image_size = 28, .resize = Preprocess::Resize::crop};
  for (const auto& [height, width] : {std::pair{300, 7}, {5, 211}, {61, 90}, {32, 40}, {1, 1}, {28, 400}}) {
    SCOPED_TRACE(str(height, " x ", width));
    const Sample sample =
        sample_of(height, width, {{0, 0, width / 2.0, height / 3.0}, {0, 0, double(width), double(height)}});
    const int64_t longer = 32 * std::max(height, width) / std::min(height, width);
    Sample expected = sample;
    resize(expected, static_cast<int>(height <= width ? 32 : longer), static_cast<int>(height <= width ? longer : 32));
    const auto middle = [](int side) { return static_cast<int>(std::nearbyint((side - 28) / 2.0)); };
    crop(expected, middle(expected.image.height), middle(expected.image.width), 28, 28);
    const Sample shown = prepare(sample, preprocess, nullptr);
    EXPECT_EQ(shown.image.pixels, expected.image.pixels);
    ASSERT_EQ(shown.boxes.size(), expected.boxes.size());
    for (size_t i = 0; i < shown.boxes.size(); ++i)
      EXPECT_EQ(std::memcmp(&shown.boxes[i], &expected.boxes[i], sizeof(Box)), 0);
  }
}

/// The most memory that this process has held, in MiB.
double peak_memory() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

TEST(Prepare, ALongPictureAsksForNoMoreThanItsPixels) {
  const double before = peak_memory();
  for (const auto method : {Preprocess::Resize::squash, Preprocess::Resize::crop})
    for (const auto& [height, width] : {std::pair{1'000'000, 1}, {1, 1'000'000}}) {
      Sample sample;
      sample.image = Image(height, width);
      std::fill(sample.image.pixels.begin(), sample.image.pixels.end(), uint8_t{77});
      sample.boxes = {{0, 0, double(width), double(height)}};
      const Sample shown = prepare(std::move(sample), {.resize = method}, nullptr);
      EXPECT_EQ(shown.image.pixels, std::vector<uint8_t>(224 * 224 * 3, 77));
      ASSERT_EQ(shown.boxes.size(), 1u);
      expect_box(shown.boxes[0], 0, 0, 224, 224);
    }
  EXPECT_LT(peak_memory() - before, 200) << "MiB, for pictures of 3";
}

TEST(Prepare, AugmentationFollowsItsRandomNumbersAlone) {
  const Preprocess preprocess{.image_size = 24, .augment = Preprocess::Augment::crop_flip};
  int distinct = 0;
  std::vector<uint8_t> previous;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const Sample original = sample_of(60, 90, {{70, 40, 90, 60}});
    Random a(seed), b(seed);
    const Sample first = prepare(original, preprocess, &a), second = prepare(original, preprocess, &b);
    ASSERT_EQ(first.image.pixels, second.image.pixels);
    ASSERT_EQ(first.image.height, 24);
    ASSERT_EQ(first.image.width, 24);
    ASSERT_EQ(first.boxes.size(), 1u) << "a crop lost the only box, seed " << seed;
    const Box& box = first.boxes[0];
    ASSERT_TRUE(0 <= box.x_min && box.x_min < box.x_max && box.x_max <= 24) << box.x_min << " " << box.x_max;
    ASSERT_TRUE(0 <= box.y_min && box.y_min < box.y_max && box.y_max <= 24) << box.y_min << " " << box.y_max;
    distinct += first.image.pixels != previous;
    previous = first.image.pixels;
  }
  EXPECT_GT(distinct, 190);
}

TEST(Prepare, FlipsHalfOfTheTime) {
  const Preprocess preprocess{.image_size = 10, .augment = Preprocess::Augment::flip};
  int flipped = 0;
  for (uint64_t seed = 0; seed < 400; ++seed) {
    Random random(seed);
    const Sample sample = prepare(sample_of(10, 10, {{0, 0, 2, 10}}), preprocess, &random);
    const bool mirrored = sample.boxes[0].x_min == 8;
    flipped += mirrored;
    ASSERT_EQ(sample.image.pixels, (mirrored ? flip_horizontal(picture(10, 10)) : picture(10, 10)).pixels);
  }
  EXPECT_NEAR(flipped, 200, 50);
}

TEST_F(ImageFiles, WritesPngThatReadsBackExactly) {
  const Image image = picture(37, 53);
  const std::string path = folder_ / "picture.png";
  write_png(path, image);
  EXPECT_EQ(read_image(path).pixels, image.pixels);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 1) << "a temporary file was left behind";

  EXPECT_ERROR(write_png(folder_ / "absent" / "a.png", image), (folder_ / "absent" / "a.png").string(), "No such file");
  EXPECT_ERROR(write_png(path, Image()), path, "0 x 0");
}

}  // namespace
}  // namespace boxcam
