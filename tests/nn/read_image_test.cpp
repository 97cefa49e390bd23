// Pictures as people have them: every kind of JPEG to Pillow's pixels, what viewers open, what is refused and how, and
// what a file's header says without decoding.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <random>

#include "nn/data/image.h"
#include "tests/weight_fixtures.h"

namespace boxcam {
namespace {

using namespace std::literals;

const std::string kFixtures = std::string(BOXCAM_SOURCE_DIR) + "/tests/fixtures/";
const bool kLibjpeg = jpeg_decoder() == "libjpeg-turbo";

/// A JPEG of make_jpeg_fixture.py and what Pillow makes of it.
struct Case {
  std::string name, jpeg;
  Image pillow;
  bool four_components() const { return name.find("CMYK") != name.npos || name == "YCCK"; }
};

std::vector<Case> read_cases() {
  const std::string file = bytes_of(kFixtures + "jpegs.bin");
  size_t at = 0;
  const auto number = [&] {
    uint32_t value = 0;
    std::memcpy(&value, file.data() + at, sizeof value);
    at += sizeof value;
    return value;
  };
  const auto part = [&](size_t size) {
    at += size;
    return file.substr(at - size, size);
  };
  std::vector<Case> list;
  while (at < file.size()) {
    Case c;
    c.name = part(number());
    c.jpeg = part(number());
    const uint32_t height = number(), width = number();
    c.pillow = Image(static_cast<int>(height), static_cast<int>(width));
    const std::string pixels = part(c.pillow.pixels.size());
    std::memcpy(c.pillow.pixels.data(), pixels.data(), pixels.size());
    list.push_back(std::move(c));
  }
  return list;
}

/// What this build decodes as Pillow does: stb_image errs in the last columns of 4:2:2.
const std::vector<Case>& cases() {
  static const std::vector<Case> list = [] {
    std::vector<Case> read = read_cases();
    if (!kLibjpeg) std::erase_if(read, [](const Case& c) { return c.four_components() || c.name == "colour 4:2:2"; });
    return read;
  }();
  return list;
}

const Case& named(const std::string& name) {
  for (const Case& c : cases())
    if (c.name == name) return c;
  throw std::logic_error("no case " + name);
}

int largest_difference(const Image& a, const Image& b) {
  if (a.height != b.height || a.width != b.width) return 256;
  int largest = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i) largest = std::max(largest, std::abs(int{a.pixels[i]} - b.pixels[i]));
  return largest;
}

class ReadImage : public testing::Test {
 protected:
  std::string write(const std::string& bytes) const { return write_bytes(folder_ / "a.jpg", bytes); }

  void expect_same_picture(const Case& c, const std::string& bytes) const {
    SCOPED_TRACE(c.name);
    Image image;
    ASSERT_NO_THROW(image = read_image(write(bytes)));
    EXPECT_LE(largest_difference(image, c.pillow), kLibjpeg ? 0 : 3);
  }
  /// From both ways of reading; the message is a sentence about the file.
  void expect_refused(const std::string& bytes, const std::string& what) const {
    const std::string path = write(bytes);
    for (const std::string& error : {error_of([&] { read_image(path); }), error_of([&] { inspect_image(path); })}) {
      EXPECT_TRUE(error.starts_with("image " + path + " is ")) << error;
      EXPECT_NE(error.find(what), error.npos) << error << "\nlacks: " << what;
    }
  }
  std::string error_of_reading(const std::string& bytes) const {
    return error_of([path = write(bytes)] { read_image(path); });
  }

  const TemporaryFolder folder_;
};
using InspectImage = ReadImage;

std::string segment(unsigned char marker, const std::string& data) {
  const size_t length = data.size() + 2;
  return {'\xFF', static_cast<char>(marker), static_cast<char>(length >> 8), static_cast<char>(length & 255)};
}

/// `jpeg` with a segment after its first two bytes.
std::string with_segment(const std::string& jpeg, unsigned char marker, const std::string& data) {
  return jpeg.substr(0, 2) + segment(marker, data) + data + jpeg.substr(2);
}

/// Where the n-th of a marker is; there are none of these within these segments.
size_t find_marker(const std::string& jpeg, unsigned char marker, int n = 0) {
  const std::string bytes = {'\xFF', static_cast<char>(marker)};
  size_t at = jpeg.find(bytes);
  for (; n > 0; --n) at = jpeg.find(bytes, at + 1);
  EXPECT_NE(at, jpeg.npos);
  return at;
}

std::string without_end(const Case& c) { return c.jpeg.substr(0, c.jpeg.size() - 2); }

TEST_F(ReadImage, DecodesEveryKindOfJpegAsPillowDoes) {
  EXPECT_EQ(cases().size(), kLibjpeg ? 12u : 8u);
  for (const Case& c : cases()) expect_same_picture(c, c.jpeg);
  for (const Case& c : read_cases())
    if (!kLibjpeg && c.four_components()) {
      EXPECT_NE(error_of_reading(c.jpeg).find("is a CMYK JPEG"), std::string::npos) << c.name;
    }
}

TEST_F(ReadImage, DecodesGreyAlphaAndPalettePng) {
  const int colours[4][3] = {{200, 40, 40}, {40, 200, 40}, {40, 40, 200}, {200, 200, 200}};
  for (const char* name : {"rgb.jpg", "grey.jpg", "grey_alpha.png", "palette.png"}) {
    const Image image = read_image(kFixtures + name);
    ASSERT_EQ(image.height, 16) << name;
    ASSERT_EQ(image.width, 32) << name;
    for (int quarter = 0; quarter < 4; ++quarter)
      for (int c = 0; c < 3; ++c) {
        const int* colour = colours[quarter];
        int expected = colour[c];
        if (name == "grey.jpg"s) expected = (299 * colour[0] + 587 * colour[1] + 114 * colour[2]) / 1000;
        if (name == "grey_alpha.png"s) expected = colour[0];
        EXPECT_NEAR(image.at(4 + 8 * (quarter / 2), 8 + 16 * (quarter % 2))[c], expected, 3) << name << " " << quarter;
      }
  }
}

// Cameras, drones and scanners: what lies around the picture does it no harm.
TEST_F(ReadImage, OpensWhatViewersOpen) {
  const std::string zeros(64, '\0'), end = "\xFF\xD9";
  for (const Case& c : cases()) {
    expect_same_picture(c, c.jpeg + "MotionPhoto_Data" + std::string(5000, '\0'));
    expect_same_picture(c, c.jpeg + c.jpeg);  // a second picture
    expect_same_picture(c, without_end(c) + zeros + end);
    expect_same_picture(c, without_end(c) + "\xFF\xFF\xFF" + end);
    expect_same_picture(c, c.jpeg.substr(0, 2) + "\xFF\xFF" + c.jpeg.substr(2));
    expect_same_picture(c, with_segment(c.jpeg, 0xE1, "thumbnail \xFF\xD9"));
    if (!kLibjpeg) continue;
    expect_same_picture(c, without_end(c) + zeros + "\xFF\x00"s + zeros + end);
    expect_same_picture(c, without_end(c));
    expect_same_picture(c, without_end(c) + "\xFF");
    expect_same_picture(c, without_end(c) + zeros);
  }
  // A scanner that goes on below the height that it has announced.
  if (kLibjpeg) {
    const Case& c = named("restarts");
    expect_same_picture(c, without_end(c) + "\xFF\xD2 more rows \xFF\xD3 more rows \xFF\x12" + end);
  }
}

TEST_F(ReadImage, AnyCutIsTruncatedAndNeverGrey) {
  for (const Case& c : cases())
    for (size_t size = 2; size + 2 < c.jpeg.size(); ++size) {
      const std::string error = error_of_reading(c.jpeg.substr(0, size));
      ASSERT_NE(error.find(" is truncated: "), error.npos) << c.name << " cut to " << size << ": " << error;
    }
  if (!kLibjpeg) return;
  for (const Case& c : cases()) {  // an end marker that somebody added does not help
    const size_t scan = find_marker(c.jpeg, 0xDA);
    const bool one_scan = c.jpeg.find("\xFF\xDA", scan + 1) == c.jpeg.npos;
    for (size_t size = scan + 40; size + 2 < c.jpeg.size(); size += 7) {
      const std::string error = error_of_reading(c.jpeg.substr(0, size) + "\xFF\xD9");
      EXPECT_NE(error.find(one_scan ? " is truncated: " : " is "), error.npos)
          << c.name << ", " << size << ": " << error;
    }
  }
}

TEST_F(ReadImage, MissingScansAreTruncation) {
  if (!kLibjpeg) GTEST_SKIP() << "stb_image draws what is there";
  for (const std::string name : {"progressive", "progressive grey", "a scan for each component"}) {
    const Case& c = named(name);
    for (int scan = 1; scan < 3; ++scan) expect_refused(c.jpeg.substr(0, find_marker(c.jpeg, 0xDA, scan)), "truncated");
    const std::string error = error_of_reading(c.jpeg.substr(0, find_marker(c.jpeg, 0xDA, 2)) + "\xFF\xD9");
    EXPECT_NE(error.find("without the last scans of the picture"), error.npos) << name << ": " << error;
  }
}

TEST_F(ReadImage, DamagedDataAreBroken) {
  if (!kLibjpeg) GTEST_SKIP() << "stb_image passes over some damage";
  std::string jpeg = named("colour 4:2:0").jpeg;
  const size_t middle = find_marker(jpeg, 0xDA) + 200;
  std::string ones = jpeg;
  ones.replace(middle, 10, "\xFF\x00\xFF\x00\xFF\x00\xFF\x00\xFF\x00"s);  // no code is all ones
  EXPECT_NE(error_of_reading(ones).find("broken: Corrupt JPEG data: bad Huffman code"), std::string::npos);
  std::string marker = jpeg;
  marker.replace(middle, 2, "\xFF\xC4");
  EXPECT_NE(error_of_reading(marker).find("broken: "), std::string::npos);
  std::string lost = named("restarts").jpeg;
  lost.erase(find_marker(lost, 0xD1), 2);
  EXPECT_NE(error_of_reading(lost).find("broken: "), std::string::npos) << error_of_reading(lost);
}

TEST_F(ReadImage, AnyDamageEndsInAPictureOrAnError) {
  std::mt19937 random(7);
  int refused = 0;
  for (int round = 0; round < 1000; ++round) {
    std::string jpeg = cases()[random() % cases().size()].jpeg;
    for (size_t flips = 1 + random() % 4; flips > 0; --flips)
      jpeg[random() % jpeg.size()] = static_cast<char>(random());
    try {
      read_image(write(jpeg));
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 100);
}

TEST_F(ReadImage, AHeaderAloneGetsNoMemory) {
  std::string jpeg = named("colour 4:2:0").jpeg;
  jpeg.replace(find_marker(jpeg, 0xC0) + 5, 4, "\xFF\xDC\xFF\xDC");  // height and width
  expect_refused(jpeg, str("truncated: 65500 x 65500 pixels cannot lie in ", jpeg.size(), " bytes of JPEG"));
  std::string png = bytes_of(kFixtures + "palette.png");
  png.replace(16, 8, "\0\0\xFF\xDC\0\0\xFF\xDC"s);
  expect_refused(png, str("truncated: 65500 x 65500 pixels cannot lie in ", png.size(), " bytes of PNG"));

  // What compresses best is not refused.
  Image flat(1500, 2000);
  const std::string path = folder_ / "flat.png";
  write_png(path, flat);
  EXPECT_EQ(read_image(path).pixels, flat.pixels);
}

// stb gives no reason where memory ends while it inflates.
TEST_F(ReadImage, WithoutMemoryForItsPixelsIsASentence) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizers need more address space than this test leaves";
#endif
  const std::string path = folder_ / "flat.png";
  write_png(path, Image(3000, 3000));  // 27 MB
  const auto child = [&] {
    std::ifstream status("/proc/self/statm");
    rlim_t pages = 0;
    status >> pages;
    const rlim_t bytes = pages * sysconf(_SC_PAGESIZE) + (8 << 20);
    const rlimit limit = {bytes, bytes};
    if (setrlimit(RLIMIT_AS, &limit) != 0) std::exit(2);
    try {
      read_image(path);
    } catch (const Error& e) {
      std::fputs(e.what(), stderr);
      std::exit(0);
    }
    std::exit(1);
  };
  EXPECT_EXIT(child(), testing::ExitedWithCode(0), "flat.png.*is broken: out of memory");
}

// A progressive picture with a last scan that changes nothing, again and again.
TEST_F(ReadImage, ScansAreNotWithoutEnd) {
  const std::string& jpeg = named("progressive").jpeg;
  const auto with_scans = [&](int count) {
    std::string bytes = jpeg.substr(0, jpeg.size() - 2);
    for (int i = 0; i < count; ++i) bytes += "\xFF\xDA\x00\x08\x01\x01\x00\x01\x3F\x00"s;
    return bytes + "\xFF\xD9";
  };
  try {  // stb_image draws what is there, libjpeg-turbo finds another fault with it
    read_image(write(with_scans(20)));
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).find("scans"), std::string::npos);
  }
  EXPECT_NE(error_of_reading(with_scans(1000)).find("scans; boxcam reads those of at most 100"), std::string::npos);
}

// Found by fuzzing: stb_image wrote such a table's codes behind its memory.
TEST_F(ReadImage, AHuffmanTableHasAtMost256Codes) {
  const Case& c = named("colour 4:2:0");
  std::string jpeg = c.jpeg;
  jpeg.replace(find_marker(jpeg, 0xC4) + 5, 16, 16, '\xFF');
  EXPECT_NE(error_of_reading(jpeg).find("broken: "), std::string::npos) << error_of_reading(jpeg);
  // The same where a scan has begun, and behind a segment's end.
  const std::string table = "\xFF\xC4\x00\x03\x00"s + std::string(16, '\xFF');
  jpeg = c.jpeg;
  jpeg.insert(find_marker(jpeg, 0xDA) + 50, table);
  EXPECT_NE(error_of_reading(jpeg), "no error");
  jpeg = c.jpeg;
  jpeg.insert(2, table);
  EXPECT_NE(error_of_reading(jpeg), "no error");
}

TEST_F(ReadImage, KindsThatItDoesNotDecodeAreNamed) {
  const std::string jpeg = named("colour 4:2:0").jpeg;
  const size_t frame = find_marker(jpeg, 0xC0);
  const auto changed = [&](size_t at, int value) {
    std::string bytes = jpeg;
    bytes[frame + at] = static_cast<char>(value);
    return bytes;
  };
  for (const auto& [marker, kind] : {std::pair{0xC3, "a lossless JPEG"},
                                     {0xC5, "a hierarchical JPEG"},
                                     {0xC9, "an arithmetic-coded JPEG"},
                                     {0xCA, "an arithmetic-coded JPEG"},
                                     {0xCB, "a lossless"}})
    expect_refused(changed(1, marker), kind);
  expect_refused(changed(4, 12), "a JPEG of 12 bits per sample; boxcam reads those of 8");
  expect_refused(changed(9, 2), "a JPEG of 2 components; boxcam reads grey, colour and CMYK");
  expect_refused(changed(5, 0).replace(frame + 6, 1, 1, '\0'), "broken: its header says 0 x 38 pixels");
}

TEST_F(ReadImage, WhatIsNoPictureIsNamed) {
  expect_refused("", "empty (0 bytes)");
  expect_refused("not a picture", "neither a JPEG nor a PNG file");
  const std::array<std::pair<std::string, std::string>, 8> others = {{{"GIF89a......", "a GIF image"},
                                                                      {"RIFF....WEBPVP8 ", "a WebP image"},
                                                                      {"\0\0\0\x18"s + "ftypheic....", "a HEIC image"},
                                                                      {"\0\0\0\x18"s + "ftypavif....", "an AVIF image"},
                                                                      {"II*\0...."s, "a TIFF image"},
                                                                      {"MM\0*...."s, "a TIFF image"},
                                                                      {"BM........", "a BMP image"},
                                                                      {"<!DOCTYPE html>", "an HTML, SVG or XML text"}}};
  for (const auto& [bytes, kind] : others) expect_refused(bytes, kind + "; boxcam reads JPEG and PNG");

  for (const std::function<void(const std::string&)>& read :
       {std::function<void(const std::string&)>([](const std::string& path) { read_image(path); }),
        std::function<void(const std::string&)>([](const std::string& path) { inspect_image(path); })}) {
    EXPECT_EQ(error_of([&] { read(folder_ / "absent.jpg"); }),
              "cannot read image " + folder_ / "absent.jpg" + ": No such file or directory");
    EXPECT_EQ(error_of([&] { read(folder_.path()); }), "image " + folder_.path().string() + " is a folder");
    const std::string pipe = folder_ / "pipe.jpg";
    ::mkfifo(pipe.c_str(), 0600);
    EXPECT_EQ(error_of([&] { read(pipe); }), "image " + pipe + " is no file but a pipe, socket or device");
    std::filesystem::remove(pipe);
  }
}

TEST_F(ReadImage, PngIsReadToItsEnd) {
  const std::string whole = bytes_of(kFixtures + "palette.png");
  for (size_t size = 8; size < whole.size(); ++size) expect_refused(whole.substr(0, size), "truncated");
  EXPECT_NO_THROW(read_image(write(whole + "trailing bytes")));

  std::string broken = whole;
  broken[broken.find("IDAT") + 4] = '\0';  // the zlib header
  EXPECT_NE(error_of_reading(broken).find("is broken: "), std::string::npos);
}

/// EXIF data with one entry before the orientation.
std::string exif(bool big_endian, int value, int type = 3) {
  std::string tiff = big_endian ? "MM\0*"s : "II*\0"s;
  const auto add = [&](uint32_t number, int size) {
    for (int i = 0; i < size; ++i) tiff += static_cast<char>(number >> 8 * (big_endian ? size - 1 - i : i));
  };
  add(8, 4);
  add(2, 2);
  for (const auto& [tag, content] : {std::pair{0x010F, 0}, {0x0112, value}}) {
    add(static_cast<uint32_t>(tag), 2);
    add(static_cast<uint32_t>(type), 2);
    add(1, 4);
    add(static_cast<uint32_t>(content), type == 3 ? 2 : 4);
    add(0, type == 3 ? 2 : 0);
  }
  add(0, 4);
  return tiff;
}

TEST_F(InspectImage, TellsSizeAndOrientation) {
  for (const Case& c : cases()) {
    const ImageHeader header = inspect_image(write(c.jpeg));
    EXPECT_EQ(header.height, c.pillow.height);
    EXPECT_EQ(header.width, c.pillow.width);
    EXPECT_EQ(header.orientation, 1);
    EXPECT_EQ(header.note, "");
  }
  const Case& c = named("colour 4:2:0");
  const auto orientation = [&](const std::string& tiff) {
    return inspect_image(write(with_segment(c.jpeg, 0xE1, "Exif\0\0"s + tiff))).orientation;
  };
  for (const bool big_endian : {false, true})
    for (const int type : {3, 4})
      for (int value = 1; value <= 8; ++value) EXPECT_EQ(orientation(exif(big_endian, value, type)), value);
  expect_same_picture(c, with_segment(c.jpeg, 0xE1, "Exif\0\0"s + exif(true, 6)));  // read_image does not turn

  // Between other segments, and behind another APP1.
  const std::string behind = with_segment(with_segment(c.jpeg, 0xE1, "Exif\0\0"s + exif(false, 8)), 0xE1, "http://ns");
  EXPECT_EQ(inspect_image(write(with_segment(behind, 0xE2, std::string(60000, '\xFF')))).orientation, 8);
}

TEST_F(InspectImage, DamagedExifTurnsNothing) {
  const Case& c = named("colour 4:2:0");
  const auto orientation = [&](const std::string& tiff) {
    return inspect_image(write(with_segment(c.jpeg, 0xE1, "Exif\0\0"s + tiff))).orientation;
  };
  const std::string sound = exif(false, 6);
  for (const int value : {0, 9, 300}) EXPECT_EQ(orientation(exif(true, value)), 1);
  EXPECT_EQ(orientation(exif(false, 6, 2)), 1);  // a text
  for (size_t size = 0; size < 34; ++size) EXPECT_EQ(orientation(sound.substr(0, size)), 1) << size;
  EXPECT_EQ(orientation("IM" + sound.substr(2)), 1);
  EXPECT_EQ(orientation(std::string(sound).replace(4, 4, "\xFF\xFF\xFF\xFF")), 1);  // the directory is elsewhere
  EXPECT_EQ(orientation(std::string(sound).replace(8, 2, "\1\0"s)), 1);             // it ends before the orientation
  EXPECT_EQ(orientation(std::string(sound).replace(8, 2, "\xFF\xFF")), 6);          // or pretends to go on
}

TEST_F(InspectImage, ReadsExifOfPng) {
  const std::string whole = bytes_of(kFixtures + "palette.png"), tiff = exif(true, 7);
  const std::string chunk = "\0\0\0"s + static_cast<char>(tiff.size()) + "eXIf" + tiff + "crc.";
  for (const char* before : {"IDAT", "IEND"}) {
    const size_t at = whole.find(before) - 4;
    const ImageHeader header = inspect_image(write(whole.substr(0, at) + chunk + whole.substr(at)));
    EXPECT_EQ(header.orientation, 7) << before;
    EXPECT_EQ(header.height, 16);
    EXPECT_EQ(header.width, 32);
  }
  EXPECT_EQ(inspect_image(write(whole)).orientation, 1);
}

TEST_F(InspectImage, FindsTruncationAndSaysWhatIsOdd) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    for (const size_t missing : {3, 40, 300}) expect_refused(c.jpeg.substr(0, c.jpeg.size() - missing), "truncated");
    expect_refused(with_segment(c.jpeg, 0xE1, "thumbnail \xFF\xD9").substr(0, c.jpeg.size() - 100), "truncated");
    for (const std::string trailer : {"MotionPhoto_Data", "\xFF", "\xFF\xD9"})
      EXPECT_EQ(inspect_image(write(c.jpeg + trailer)).note, "");
    if (!kLibjpeg) continue;
    const std::string path = write(without_end(c));
    EXPECT_EQ(inspect_image(path).note, "image " + path + " has no end marker; its picture is whole");
  }
}

TEST(Turned, ShowsEveryOrientation) {
  // 1 2 3
  // 4 5 6
  Image image(2, 3);
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<uint8_t>(1 + i / 3 + 100 * (i % 3));
  const std::array<std::vector<std::vector<int>>, 8> expected = {{
      {{1, 2, 3}, {4, 5, 6}},
      {{3, 2, 1}, {6, 5, 4}},
      {{6, 5, 4}, {3, 2, 1}},
      {{4, 5, 6}, {1, 2, 3}},
      {{1, 4}, {2, 5}, {3, 6}},
      {{4, 1}, {5, 2}, {6, 3}},
      {{6, 3}, {5, 2}, {4, 1}},
      {{3, 6}, {2, 5}, {1, 4}},
  }};
  for (int orientation = 1; orientation <= 8; ++orientation) {
    SCOPED_TRACE(orientation);
    const auto& rows = expected[static_cast<size_t>(orientation - 1)];
    const Image result = turned(image, orientation);
    ASSERT_EQ(result.height, static_cast<int>(rows.size()));
    ASSERT_EQ(result.width, static_cast<int>(rows[0].size()));
    for (int y = 0; y < result.height; ++y)
      for (int x = 0; x < result.width; ++x)
        for (int c = 0; c < 3; ++c)
          EXPECT_EQ(result.at(y, x)[c], rows[static_cast<size_t>(y)][static_cast<size_t>(x)] + 100 * c)
              << y << " " << x;
  }
  for (const int wrong : {0, 9})
    EXPECT_EQ(error_of([&] { turned(image, wrong); }), str("turned: an EXIF orientation is 1 to 8, not ", wrong));
}

}  // namespace
}  // namespace boxcam
