#include "xai/overlay.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/base/check.h"

namespace boxcam {
namespace {

using Rgb = std::array<uint8_t, 3>;
constexpr Rgb white{255, 255, 255}, black{0, 0, 0}, middle{120, 120, 120};

Image grey(int height, int width) {
  Image image(height, width);
  std::fill(image.pixels.begin(), image.pixels.end(), uint8_t{120});
  return image;
}

Rgb pixel(const Image& image, int y, int x) { return {image.at(y, x)[0], image.at(y, x)[1], image.at(y, x)[2]}; }

std::vector<float> no_heat(const Image& image) { return std::vector<float>(size_t(image.height) * image.width); }

int warmth(Rgb colour) { return colour[0] - colour[2]; }

// Columns with a pixel of this colour within rows [top, bottom): first and one past the last; {0, 0} when none.
std::pair<int, int> extent(const Image& image, Rgb colour, int top, int bottom) {
  std::pair<int, int> found{0, 0};
  for (int x = 0; x < image.width; ++x)
    for (int y = top; y < bottom; ++y)
      if (pixel(image, y, x) == colour) {
        if (found.second == 0) found.first = x;
        found.second = x + 1;
      }
  return found;
}

TEST(Overlay, ColoursRunFromBlueToRed) {
  // Steps of 1/50, because nearer colours may round to the same bytes.
  for (int i = 0; i <= 196; ++i)
    EXPECT_LT(warmth(heat_colour(i / 200.0)), warmth(heat_colour((i + 4) / 200.0))) << "at " << i;
  EXPECT_GT(heat_colour(0)[2], 2 * heat_colour(0)[0]);
  EXPECT_GT(heat_colour(1)[0], 10 * heat_colour(1)[2]);
  EXPECT_EQ(heat_colour(-3), heat_colour(0));
  EXPECT_EQ(heat_colour(7), heat_colour(1));
}

TEST(Overlay, SmallPicturesAreEnlargedByAWholeFactor) {
  const auto size = [](int height, int width, const OverlayText& text, int min_side = 224) {
    const Image image = grey(height, width);
    const Image result = overlay(image, no_heat(image), {}, text, {.min_side = min_side});
    return std::pair{result.height, result.width};
  };
  EXPECT_EQ(size(96, 96, {"car"}), (std::pair{288 + 23, 288}));
  EXPECT_EQ(size(96, 96, {"car", "true: ship"}), (std::pair{288 + 40, 288}));
  EXPECT_EQ(size(50, 100, {"car"}), (std::pair{150 + 23, 300}));
  EXPECT_EQ(size(224, 224, {"car"}), (std::pair{224 + 23, 224}));
  EXPECT_EQ(size(200, 320, {"car"}), (std::pair{200 + 23, 320}));
  EXPECT_EQ(size(96, 96, {"car"}, 96), (std::pair{96 + 23, 96}));
  EXPECT_EQ(size(800, 900, {"car"}), (std::pair{800 + 2 * 23, 900}));
}

TEST(Overlay, HeatTintsThePictureAndNoHeatLeavesIt) {
  const Image image = grey(224, 256);
  std::vector<float> cam(image.pixels.size() / 3);
  for (size_t i = 0; i < cam.size(); ++i) cam[i] = static_cast<float>(i % 256) / 255;
  const Image result = overlay(image, cam, {}, {"car"});
  EXPECT_EQ(pixel(result, 100, 0), middle);
  // Above a quarter the tint is strong enough for the colour's order to be the picture's order.
  for (int x = 64; x < 248; x += 8) EXPECT_LT(warmth(pixel(result, 100, x)), warmth(pixel(result, 100, x + 8)));
  for (int c = 0; c < 3; ++c) EXPECT_NEAR(result.at(100, 255)[c], 120 + 0.6 * (heat_colour(1)[c] - 120), 1);

  const Image faint = overlay(image, cam, {}, {"car"}, {.opacity = 0});
  EXPECT_EQ(pixel(faint, 100, 255), middle);
}

TEST(Overlay, BoxesMoveWithTheScale) {
  const Image image = grey(96, 96);  // enlarged three times
  const Image result = overlay(image, no_heat(image), {{10, 20, 50.2, 80}}, {"car"});
  for (int y = 60; y < 240; ++y)
    for (int x = 30; x < 151; ++x) {
      const int depth = std::min({y - 60, 239 - y, x - 30, 150 - x});
      ASSERT_EQ(pixel(result, y, x), depth < 2 ? white : depth == 2 ? black : middle) << y << " " << x;
    }
  for (int y = 59; y < 241; ++y) {
    ASSERT_EQ(pixel(result, y, 29), black);
    ASSERT_EQ(pixel(result, y, 151), black);
    ASSERT_EQ(pixel(result, y, 28), middle);
    ASSERT_EQ(pixel(result, y, 152), middle);
  }
  for (int x = 29; x < 152; ++x) {
    ASSERT_EQ(pixel(result, 59, x), black);
    ASSERT_EQ(pixel(result, 240, x), black);
    ASSERT_EQ(pixel(result, 58, x), middle);
    ASSERT_EQ(pixel(result, 241, x), middle);
  }
}

TEST(Overlay, BoxesAreClippedAndKeepTheirLinesWhereTheyCross) {
  const Image image = grey(300, 300);
  const std::vector<Box> boxes{{-50, 100, 350, 200}, {100, -9, 200, 900}, {400, 0, 500, 9}};
  const Image result = overlay(image, no_heat(image), boxes, {"car"});
  EXPECT_EQ(pixel(result, 150, 0), white);
  EXPECT_EQ(pixel(result, 150, 299), white);
  EXPECT_EQ(pixel(result, 299, 150), white);
  for (int i = 0; i < 300; ++i) EXPECT_EQ(pixel(result, i, 100), white);
  for (int i = 0; i < 300; ++i) EXPECT_EQ(pixel(result, 100, i), white);
  EXPECT_NE(pixel(result, 302, 150), white);  // never over the caption
}

TEST(Overlay, LinesOfLargePicturesAreWider) {
  const Image image = grey(800, 900);
  const Image result = overlay(image, no_heat(image), {{100, 100, 400, 400}}, {"car"});
  for (const auto& [x, colour] : {std::pair{97, middle},
                                  {98, black},
                                  {99, black},
                                  {100, white},
                                  {103, white},
                                  {104, black},
                                  {105, black},
                                  {106, middle}})
    EXPECT_EQ(pixel(result, 250, x), colour) << x;
}

TEST(Overlay, CaptionsAreShortenedToTheTile) {
  const Image image = grey(224, 224);
  std::vector<float> cam = no_heat(image);
  cam[0] = 1;
  const auto title = [&](const std::string& text) { return extent(overlay(image, cam, {}, {text}), white, 225, 247); };
  EXPECT_EQ(title(std::string(26, 'M')).second, title(std::string(26, 'M')).first + 26 * 8 - 1);
  for (const int length : {27, 28, 200}) {
    const auto [first, last] = title(std::string(length, 'M'));
    EXPECT_GE(first, 6);
    EXPECT_LE(last, 224 - 6);
  }
  EXPECT_EQ(overlay(image, cam, {}, {std::string(27, 'M')}).pixels,
            overlay(image, cam, {}, {std::string(99, 'M')}).pixels);
  EXPECT_EQ(overlay(image, cam, {}, {"caf\xc3\xa9\n"}).pixels, overlay(image, cam, {}, {"caf? "}).pixels);

  const Image sliver = grey(224, 3);
  EXPECT_EQ(overlay(sliver, no_heat(sliver), {}, {"car", "ship"}).width, 3);
}

TEST(Overlay, EmptyMapsAreMarked) {
  constexpr Rgb amber{255, 190, 60};
  const Image image = grey(224, 224);
  std::vector<float> cam = no_heat(image);
  const Image empty = overlay(image, cam, {}, {std::string(99, 'M')});
  const auto [first, last] = extent(empty, amber, 224, 247);
  EXPECT_GT(first, 224 / 2);
  EXPECT_LE(last, 224 - 6);
  EXPECT_LE(extent(empty, white, 224, 247).second, first);  // the title makes way
  cam[77] = 1e-6f;
  EXPECT_EQ(extent(overlay(image, cam, {}, {"car"}), amber, 224, 247), (std::pair{0, 0}));
}

TEST(Overlay, TheMarkTellsRightFromWrong) {
  const Image image = grey(224, 224);
  const auto mark = [&](std::optional<bool> correct) {
    return pixel(overlay(image, no_heat(image), {}, {"car", "", correct}), 235, 1);
  };
  EXPECT_GT(mark(true)[1], mark(true)[0]);
  EXPECT_GT(mark(false)[0], mark(false)[1]);
  EXPECT_LT(std::abs(warmth(mark({}))), 20);
}

TEST(Overlay, PanelShowsImageHeatAndOverlay) {
  const Image image = grey(96, 96);
  const std::vector<float> cam(96 * 96, 1.0f);
  const std::vector<Box> boxes{{10, 10, 30, 30}};
  const Image result = panel(image, cam, boxes, {"car"});
  const Image single = overlay(image, cam, boxes, {"car"});
  ASSERT_EQ(result.height, single.height);
  const int third = result.width - single.width;
  EXPECT_EQ(pixel(result, 200, 200), middle);
  EXPECT_EQ(pixel(result, 30, 30), white);
  EXPECT_EQ(pixel(result, 30, 288 + 8 + 30), heat_colour(1));
  for (int y = 0; y < 288; ++y)
    for (int x = 0; x < 288; ++x) ASSERT_EQ(pixel(result, y, third + x), pixel(single, y, x));
  EXPECT_GT(warmth(pixel(result, 3, 2 * 288 + 16 + 6)), 100);     // the colour bar: red on top,
  EXPECT_LT(warmth(pixel(result, 284, 2 * 288 + 16 + 6)), -100);  // blue at the bottom
}

TEST(Overlay, SheetTilesItsPictures) {
  const std::vector<Image> tiles{grey(100, 200), grey(150, 120), grey(90, 200)};
  const Image bare = sheet(tiles, 2, "");
  EXPECT_EQ(bare.width, 12 + 2 * (200 + 12));
  EXPECT_EQ(bare.height, 12 + 150 + 12 + 90 + 12);
  EXPECT_EQ(pixel(bare, 12, 12), middle);
  EXPECT_EQ(pixel(bare, 12 + 149, 224 + 40), middle);  // centred in its cell
  EXPECT_NE(pixel(bare, 12 + 149, 224 + 39), middle);
  EXPECT_EQ(pixel(bare, 12 + 150 + 12, 12), middle);
  EXPECT_NE(pixel(bare, 12 + 150 + 12, 12 + 212), middle);  // no fourth

  const Image titled = sheet(tiles, 3, "title");
  EXPECT_EQ(titled.width, 12 + 3 * (200 + 12));
  EXPECT_EQ(titled.height, 12 + 13 + 12 + 150 + 12);
  EXPECT_GT(extent(titled, white, 0, 37).second, 12);
  EXPECT_EQ(sheet(tiles, 9, "").width, titled.width);  // no empty columns

  const Image narrow = sheet({grey(90, 120)}, 1, std::string(99, 'M'));  // the legend gets a line of its own
  EXPECT_EQ(narrow.width, 12 + 120 + 12);
  EXPECT_EQ(narrow.height, 12 + 13 + 6 + 13 + 12 + 90 + 12);
  EXPECT_LE(extent(narrow, white, 0, 25).second, 132);
}

TEST(Overlay, WrongInputIsRefused) {
  const Image image = grey(10, 10);
  std::vector<float> cam = no_heat(image);
  EXPECT_THROW(overlay({}, {}, {}, {"car"}), Error);
  EXPECT_THROW(overlay(image, std::span(cam).first(99), {}, {"car"}), Error);
  EXPECT_THROW(overlay(image, cam, {}, {"car"}, {.opacity = 1.1}), Error);
  EXPECT_THROW(panel(image, {}, {}, {"car"}), Error);
  cam[5] = NAN;
  EXPECT_THROW(overlay(image, cam, {}, {"car"}), Error);
  EXPECT_THROW(sheet({}, 3, "title"), Error);
  EXPECT_THROW(sheet({image}, 0, "title"), Error);
  EXPECT_THROW(sheet({image, Image()}, 3, "title"), Error);
}

}  // namespace
}  // namespace boxcam
