// --data open-images:DIR
#include "nn/data/open_images.h"

#include "apps/common/data/kinds.h"

namespace boxcam {

namespace {

std::vector<std::string> splits(const DataOptions& o) {
  std::vector<std::string> names;
  for (const char* name : {"train", "validation", "test"})
    if (has_split(data_place(o), name)) names.push_back(name);
  return names;
}

std::unique_ptr<Dataset> open(const DataOptions& o, const std::string& split) {
  OpenImagesOptions options;
  options.classes = o.classes;
  options.group_of = o.group_of;
  options.several_classes = o.several_classes;
  options.expand_children = o.expand_children;
  options.max_images = wanted_images(o, split);
  options.seed = o.data_seed;
  options.sources = o.sources;
  options.none_class = o.none_class;
  return open_images(data_place(o), split, options);
}

}  // namespace

DataKind open_images_kind() {
  return {.form = "open-images:DIR",
          .what = "OpenImages V6 as FiftyOne or its own files lay it out",
          .image_files = true,
          .splits = splits,
          .open = open};
}

}  // namespace boxcam
