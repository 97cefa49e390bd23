// --data folder:DIR
#include <algorithm>

#include "apps/common/data/kinds.h"
#include "nn/data/image_folder.h"

namespace boxcam {

namespace {

std::vector<std::string> folder_splits(const DataOptions& o) {
  std::vector<std::string> names;
  for (const char* name : {"train", "validation", "test"})
    if (has_image_folder(data_place(o), name)) names.push_back(name);
  return names;
}

std::unique_ptr<Dataset> open_folder(const DataOptions& o, const std::string& split) {
  check(o.sources.empty(), "--sources: image folders have no sources to choose from");
  return image_folder(data_place(o), split, {o.classes, wanted_images(o, split), o.data_seed});
}

/// Without --classes: those of the training split, or whatever split there is, so that all splits have the same. "none"
/// is one of them where a folder has that name.
void settle_folder(OptionTable& table, DataOptions& o) {
  if (classes_are_open(table, o)) {
    const std::vector<std::string> names = folder_splits(o);
    check(!names.empty(), "--data: there is no folder train, validation or test in ", data_place(o));
    o.classes = image_folder(data_place(o), names.front())->classes();
    if (o.none_class == NoneClass::off) std::erase(o.classes, "none");
  } else if (!table.given("--classes") && o.none_class == NoneClass::on) {
    o.classes.push_back("none");  // the model file's last output, which is not among its --classes
  }
  const bool none = std::find(o.classes.begin(), o.classes.end(), "none") != o.classes.end();
  const bool asked = table.given("--none-class");
  table.refuse(asked && o.none_class == NoneClass::on && !none, "--none-class", "no class has a folder named 'none'");
  table.refuse(asked && o.none_class == NoneClass::off && none, "--none-class",
               "off contradicts --classes, which names 'none'");
  o.none_class = none ? NoneClass::on : NoneClass::off;
}

}  // namespace

DataKind folder_kind() {
  return {.form = "folder:DIR",
          .what = "SPLIT/CLASS/*.jpg, as torchvision's ImageFolder; no boxes",
          .has_boxes = [](const DataOptions&) { return false; },
          .image_files = true,
          .ignores = {"--group-of", "--difficult", "--several-classes", "--expand-children", "--context-correlation",
                      "--scenes-level"},
          .splits = folder_splits,
          .open = open_folder,
          .settle = settle_folder};
}

}  // namespace boxcam
