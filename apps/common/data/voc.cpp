// --data voc:DIR
#include "nn/data/voc.h"

#include "apps/common/data/kinds.h"

namespace boxcam {

namespace {

std::vector<std::string> voc_splits(const DataOptions& o) {
  std::vector<std::string> names;
  for (const char* name : {"train", "validation", "test"})
    if (has_voc_split(data_place(o), name)) names.push_back(name);
  return names;
}

std::unique_ptr<Dataset> open_voc(const DataOptions& o, const std::string& split) {
  return voc(data_place(o), split, annotation_options(o, split));
}

}  // namespace

DataKind voc_kind() {
  return {.form = "voc:DIR",
          .what = "Pascal VOC's XML files: a folder such as VOCdevkit/VOC2012",
          .several_labels = true,
          .image_files = true,
          .ignores = {"--group-of", "--expand-children", "--context-correlation", "--scenes-level"},
          .splits = voc_splits,
          .open = open_voc};
}

}  // namespace boxcam
