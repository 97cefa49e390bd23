// What a data set gives: decoded images with a label and the boxes of that label's objects.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace boxcam {

/// An 8-bit RGB image, row-major HWC.
struct Image {
  int height = 0, width = 0;
  std::vector<uint8_t> pixels;  ///< height * width * 3

  Image() = default;
  Image(int height_, int width_) : height(height_), width(width_), pixels(size_t(height_) * width_ * 3) {}
  uint8_t* at(int y, int x) { return &pixels[(size_t(y) * width + x) * 3]; }
  const uint8_t* at(int y, int x) const { return &pixels[(size_t(y) * width + x) * 3]; }
};

/// An axis-aligned box in continuous pixel coordinates of its image: pixel (y, x) covers [x, x+1) x [y, y+1),
/// so a box over the whole image is {0, 0, width, height}.
struct Box {
  double x_min = 0, y_min = 0, x_max = 0, y_max = 0;
};

/// One example: the image, its label and the boxes of the objects of that class (none for "none").
struct Sample {
  Image image;
  int64_t label = 0;
  std::vector<Box> boxes;
  std::string id;      ///< file name without extension, or the index for procedural data
  std::string source;  ///< where the image comes from (SourceSet), or the background for scenes; may be empty
};

/// A finite, indexed set of samples. `load` is const, deterministic and safe to call from several threads.
class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual int64_t size() const = 0;
  /// Throws Error naming the file when an image is missing or broken.
  virtual Sample load(int64_t index) const = 0;
  virtual int64_t label(int64_t index) const = 0;
  /// Names of the outputs in order; "none" is always the last.
  virtual const std::vector<std::string>& classes() const = 0;
  /// One line for the terminal and run.json: what this is and where it was found.
  virtual std::string describe() const = 0;
};

}  // namespace boxcam
