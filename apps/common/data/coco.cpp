// --data coco:DIR
#include "nn/data/coco.h"

#include "apps/common/data/kinds.h"

namespace boxcam {

namespace {

std::vector<std::string> coco_splits(const DataOptions& o) {
  std::vector<std::string> names;
  for (const char* name : {"train", "validation", "test"})
    if (has_coco_split(data_place(o), name)) names.push_back(name);
  return names;
}

std::unique_ptr<Dataset> open_coco(const DataOptions& o, const std::string& split) {
  return coco(data_place(o), split, annotation_options(o, split));
}

}  // namespace

DataKind coco_kind() {
  return {.form = "coco:DIR",
          .what = "COCO: annotations/instances_*.json and folders of pictures",
          .several_labels = true,
          .image_files = true,
          .ignores = {"--difficult", "--expand-children", "--context-correlation", "--scenes-level"},
          .splits = coco_splits,
          .open = open_coco};
}

}  // namespace boxcam
