// Data sets whose images are files of their own: what the readers of folders and tables make.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "nn/data/dataset.h"

namespace boxcam {

/// One sample, not yet read.
struct LabelledImage {
  std::string path, id, source;
  int64_t label = 0;
  std::vector<Box> boxes;                 ///< in shares of the image's sides, or in its pixels
  std::string group = {};                 ///< Sample::group
  bool in_pixels = false;                 ///< what its boxes are in
  int height = 0, width = 0;              ///< as its annotations say, in pixels; 0: they do not
  std::vector<int32_t> box_classes = {};  ///< Sample::box_classes
};

class LabelledImages : public Dataset {
 public:
  /// `place` says where the files were found, for describe().
  LabelledImages(std::string place, std::vector<std::string> classes, std::vector<LabelledImage> files,
                 std::vector<Note> notes = {}, Task task = Task::single_label);

  int64_t size() const override { return static_cast<int64_t>(files_.size()); }
  Sample load(int64_t index) const override;
  int64_t label(int64_t index) const override { return file(index).label; }
  std::vector<int32_t> shown(int64_t index) const override;
  std::string group(int64_t index) const override { return file(index).group; }
  const std::vector<std::string>& classes() const override { return classes_; }
  std::string describe() const override;
  std::string content() const override;
  /// Of a file its size counts, not its bytes, and neither its time nor its path.
  std::string identity() const override;
  /// The notes count the images with an EXIF turn, those of another size than their annotations say, those of which a
  /// central crop shows no box, and those that boxes in pixels stick out of by more than 1 %, where they are cut off.
  /// Throws Error where they stick out by more than 10 %, or do not meet their image.
  std::vector<std::string> inspect(const Preprocess& preprocess) override;
  std::vector<Note> notes() const override { return notes_; }

 private:
  const LabelledImage& file(int64_t index) const;

  std::string place_;
  std::vector<std::string> classes_;
  std::vector<LabelledImage> files_;
  std::vector<Note> notes_;
  Task task_;
};

/// Keeps the `count` that a seed picks.
void keep_subset(std::vector<LabelledImage>& files, int64_t count, uint64_t seed);

/// Whether its name begins with a dot: such files and folders are no data (macOS puts a "._a.jpg" beside "a.jpg").
bool is_hidden(const std::filesystem::path& path);
/// Whether an entry of a folder is an image by its name (.jpg, .jpeg, .png, in any case), not hidden, and no folder. A
/// link that leads nowhere is one: whoever reads it will say so.
bool is_image_file(const std::filesystem::directory_entry& entry);

}  // namespace boxcam
