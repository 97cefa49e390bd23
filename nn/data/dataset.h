// What a data set gives: decoded images with a label and the boxes of that label's objects.
#pragma once

#include <cstdint>
#include <map>
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

/// What is asked of a picture: its class, one of all; or of each class, whether the picture shows it.
enum class Task { single_label, multi_label };

/// One example: the image, its label and the boxes of the objects of that class (none for "none"). Where pictures have
/// several labels, `boxes` has the objects of every class, and `label` is one of the classes, or -1 where there is
/// none.
struct Sample {
  Image image;
  int64_t label = 0;
  std::vector<Box> boxes;
  std::string id;           ///< file name without extension, or the index for procedural data
  std::string source;       ///< where the image comes from (SourceSet), or the background for scenes; may be empty
  bool lost_boxes = false;  ///< it had boxes, but a crop left none: what it shows of its class is unknown
  std::string group = {};   ///< what its accuracy is told apart by ("landbird on water"), or empty
  /// Of several labels: the classes that the picture shows, each once, and the class of each box. Else empty.
  std::vector<int32_t> shown = {}, box_classes = {};
};

/// The classes of boxes, each once, ascending.
std::vector<int32_t> distinct(std::vector<int32_t> classes);

/// Whether images that show none of the classes are an output, "none", the last: where the data have such images, in
/// any case, or never, in which case they are left out.
enum class NoneClass { automatic, on, off };

/// What someone who starts a run should know of its data: a sentence.
struct Note {
  bool warning = false;  ///< more than a remark: the data are probably not what they were taken for
  std::string text;
};

struct Preprocess;

/// A finite, indexed set of samples. `load` is const, deterministic and safe to call from several threads.
class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual int64_t size() const = 0;
  /// Throws Error naming the file when an image is missing or broken.
  virtual Sample load(int64_t index) const = 0;
  virtual int64_t label(int64_t index) const = 0;
  /// Sample::shown, or where pictures have one label that one.
  virtual std::vector<int32_t> shown(int64_t index) const;
  /// What accuracy is told apart by, beside the class: "landbird on water". Empty where the data know no groups.
  virtual std::string group(int64_t index) const;
  /// Names of the outputs in order; "none", where there is such an output, is the last.
  virtual const std::vector<std::string>& classes() const = 0;
  /// One line for the terminal and run.json: what this is and where it was found.
  virtual std::string describe() const = 0;
  /// What is in it, wherever it lies: "20 images (plane 4, ship 4, car 8, none 4)"; of several labels how many images
  /// show each class.
  virtual std::string content() const;
  /// 64 hexadecimal digits (SHA-256) of the classes and of what the samples are, in their order: equal wherever the
  /// data lie, and other ones when a sample, a label or a box is another.
  virtual std::string identity() const = 0;

  /// Looks into the files that samples come from, where they have files of their own (header and end, several at once).
  /// Those that cannot be read are left out from now on; gives a sentence on each. `preprocess` is what the samples
  /// will go through: notes() afterwards also say what it does to them. Not to be called beside other functions.
  virtual std::vector<std::string> inspect(const Preprocess& preprocess);
  virtual std::vector<Note> notes() const { return {}; }
};

/// How many samples each group has; empty where the data know no groups. A sample of none counts in none.
std::map<std::string, int64_t> group_sizes(const Dataset& data);

/// "3 of 20 images lose every box in the central crop: ..."
std::string lost_boxes_note(int64_t count, int64_t all);

/// Which `count` of `all` samples a seed picks, ascending.
std::vector<int64_t> drawn_subset(int64_t all, int64_t count, uint64_t seed);

}  // namespace boxcam
