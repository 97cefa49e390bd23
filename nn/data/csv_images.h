// Images, labels and boxes in one table of one's own.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "nn/data/annotated_images.h"

namespace boxcam {

/// A CSV file with a header: columns path (from the file's folder) and label, and where there are any xmin, ymin, xmax,
/// ymax, split (train, validation or val, test), group, source; others are not read. A row is a box; an image with
/// several has a row for each. Empty corners: the image, whose only row it is, has that label and no box; an empty
/// label, or "none": it shows nothing. Before the header stands, where there are boxes, what their corners are in:
///   # boxes: pixels   counted from 0: xmin 0, xmax 10 covers the first ten columns
///   # boxes: shares   of the picture's sides, from 0 to 1
/// Without a column split each image is in train, validation or test, 8 : 1 : 1, by its path alone, and a note says so.
/// Order: that of the first rows. Throws Error naming the line for a number that is none, a box outside the picture or
/// without area, a row that is there twice, and rows of one image that contradict each other.
std::unique_ptr<Dataset> csv_images(const std::string& file, const std::string& split,
                                    const AnnotationOptions& options);

struct CsvContent {
  std::vector<std::string> labels;  ///< sorted; without "none"
  std::vector<std::string> splits;  ///< with images, in the order train, validation, test
  bool has_boxes;                   ///< has columns for them
};
/// Throws as csv_images.
CsvContent csv_content(const std::string& file);

}  // namespace boxcam
