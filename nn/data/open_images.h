// OpenImages V6 from disk, in its official CSV layout or as FiftyOne stores it.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "nn/data/annotated_images.h"
#include "nn/data/csv.h"

namespace boxcam {

/// The images that lie in a split's folder, each with the boxes of its class; those without a box of any wanted class
/// are "none". `split` is "train", "validation" or "test". Images are <ImageID>.jpg (also .jpeg, .png; what begins with
/// a dot is none); layouts, found by looking:
///   official  DIR/<split>/<ImageID>.jpg, DIR/{oidv6-train,validation,test}-annotations-bbox.csv,
///             DIR/class-descriptions-boxable.csv, and where present DIR/bbox_labels_600_hierarchy.json and
///             DIR/<split>-images.csv, whose SourceSet column becomes Sample::source
///   FiftyOne  DIR/<split>/data/<ImageID>.jpg, DIR/<split>/labels/detections.csv,
///             DIR/<split>/metadata/{classes.csv, hierarchy.json}
/// The box file is read once, in blocks: memory depends on the images in the folder, not on its length.
/// Order: by file name. Subset: the first `max_images` of a shuffle by `seed` of the images that qualify, sorted again.
/// Boxes up to 0.01 outside [0, 1] are clamped; boxes without area are ignored (their image is no "none" either).
/// Tables may have a byte order mark, either kind of line end, and fields in quotes. The notes count the images without
/// any row in the box file (a warning where they are more than half) and those left out for want of "none".
/// Throws Error naming file, line or column for: a folder or file that is missing; a needed column that is missing; a
/// row with more or fewer columns than the header (as where the file was cut off), a number that is none, XMin > XMax
/// or YMin > YMax, a box far outside the image; a class or source that is unknown (naming the nearest known ones),
/// given twice, or, in the train split, without any image; a hierarchy that names none of the classes; fewer images
/// than `max_images`; two files of one image id.
std::unique_ptr<Dataset> open_images(const std::string& dir, const std::string& split,
                                     const AnnotationOptions& options = {});

/// What classes are in the tables.
struct OpenImagesClasses {
  std::vector<std::string> outputs;  ///< as they were asked for, but "none"
  std::vector<std::string> mids;     ///< of each
  std::unordered_map<std::string, int> labels =
      {};  ///< MID -> output, of the classes and the subclasses that count as them
  std::vector<Note> notes = {};
};
/// Of the class list and the hierarchy (where there is no such file, the built-in subclasses). Throws as open_images.
OpenImagesClasses open_images_classes(const std::string& class_file, const std::string& hierarchy_file,
                                      const AnnotationOptions& options);

/// A box table, row by row.
class OpenImagesBoxes {
 public:
  /// `labels`, MID -> output, must outlive this. Throws Error when the file or a column is missing.
  OpenImagesBoxes(const std::filesystem::path& path, const std::unordered_map<std::string, int>& labels,
                  AnnotationOptions::GroupOf group_of);

  bool next() { return table_.next(); }
  std::string_view image() const { return table_.at(image_); }
  std::string_view mid() const { return table_.at(mid_); }
  /// Adds the row's box to its image, where it is of a wanted class. Throws Error for a box that is none.
  void add_to(AnnotatedImage& entry);
  const CsvTable& table() const { return table_; }

 private:
  CsvTable table_;
  const std::unordered_map<std::string, int>& labels_;
  bool drop_groups_;
  size_t image_, mid_, x_min_, x_max_, y_min_, y_max_, group_;
  std::string label_name_;
};

/// Whether DIR holds images of this split, in either layout.
bool has_split(const std::string& dir, const std::string& split);

}  // namespace boxcam
