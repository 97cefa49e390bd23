// --data open-images:DIR
#include "nn/data/open_images.h"

#include "apps/common/data/kinds.h"

namespace boxcam {

namespace {

std::vector<std::string> open_images_splits(const DataOptions& o) {
  std::vector<std::string> names;
  for (const char* name : {"train", "validation", "test"})
    if (has_split(data_place(o), name)) names.push_back(name);
  return names;
}

std::unique_ptr<Dataset> open_images_dataset(const DataOptions& o, const std::string& split) {
  return open_images(data_place(o), split, annotation_options(o, split));
}

}  // namespace

DataKind open_images_kind() {
  return {.form = "open-images:DIR",
          .what = "OpenImages V6 as FiftyOne or its own files lay it out",
          .several_labels = true,
          .image_files = true,
          .ignores = {"--difficult", "--context-correlation", "--scenes-level"},
          .splits = open_images_splits,
          .open = open_images_dataset};
}

}  // namespace boxcam
