// Images in a folder for each class, as torchvision's ImageFolder reads them: labels, and no boxes.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "nn/data/dataset.h"

namespace boxcam {

struct ImageFolderOptions {
  std::vector<std::string> classes = {};  ///< folders, in the order of the outputs; empty: all, sorted by name
  int64_t max_images = 0;                 ///< a subset of so many images; 0: all
  uint64_t seed = 0;                      ///< picks the subset
};

/// DIR/<split>/<class>/**.{jpg,jpeg,png}; `split` is "train", "validation" (a folder "val" will do) or "test". Folders
/// and files that begin with a dot are none. There is no output "none", but where a folder has that name it is the
/// last. Order: by class, then by path. A sample's id is its path from the class' folder on, without extension. Throws
/// Error naming the folder when it is missing or has no image, when a class of `classes` has no folder (naming the
/// nearest) or, in the train split, no image, and for fewer images than `max_images`.
std::unique_ptr<Dataset> image_folder(const std::string& dir, const std::string& split,
                                      const ImageFolderOptions& options = {});

/// Whether DIR has a folder for this split.
bool has_image_folder(const std::string& dir, const std::string& split);

}  // namespace boxcam
