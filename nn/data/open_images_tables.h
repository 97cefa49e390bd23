// The tables of OpenImages as open_images reads them, for what chooses pictures before they are there.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "nn/data/annotated_images.h"
#include "nn/data/csv.h"

namespace boxcam {

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

}  // namespace boxcam
