#include "apps/common/data/kinds.h"

#include "engine/base/text.h"

namespace boxcam {

// Each is a file of its own.
DataKind scenes_kind();
DataKind open_images_kind();
DataKind packed_kind();
DataKind folder_kind();
DataKind waterbirds_kind();
DataKind voc_kind();
DataKind coco_kind();
DataKind csv_kind();

const std::vector<DataKind>& data_kinds() {
  static const std::vector<DataKind> kinds = {scenes_kind(),     open_images_kind(), packed_kind(), folder_kind(),
                                              waterbirds_kind(), voc_kind(),         coco_kind(),   csv_kind()};
  return kinds;
}

std::string kind_name(const std::string& data) { return data.substr(0, data.find(':')); }

std::string DataKind::name() const { return kind_name(form); }

const DataKind& data_kind(const DataOptions& o) {
  const auto has_place = [](const std::string& data) { return data.find(':') != std::string::npos; };
  std::vector<std::string> forms;
  for (const DataKind& kind : data_kinds()) {
    if (kind_name(o.data) == kind.name() && has_place(o.data) == has_place(kind.form)) return kind;
    forms.push_back(kind.form);
  }
  const std::string last = forms.back();
  forms.pop_back();
  fail("--data: expected ", join(forms), " or ", last, ", found '", o.data, "'");
}

bool classes_are_open(const OptionTable& table, const DataOptions& o) {
  return !table.given("--classes") && o.classes == DataOptions().classes;
}

bool data_have_boxes(const DataOptions& o) {
  const DataKind& kind = data_kind(o);
  return !kind.has_boxes || kind.has_boxes(o);
}

AnnotationOptions annotation_options(const DataOptions& o, const std::string& split) {
  AnnotationOptions options;
  options.classes = o.classes;
  options.group_of = o.group_of;
  options.difficult = o.difficult;
  options.several_classes = o.several_classes;
  options.expand_children = o.expand_children;
  options.max_images = wanted_images(o, split);
  options.seed = o.data_seed;
  options.sources = o.sources;
  options.none_class = o.none_class;
  options.task = o.task;
  return options;
}

std::string data_place(const DataOptions& o) {
  const DataKind& kind = data_kind(o);
  const std::string place = o.data.substr(kind.name().size() + 1);
  check(!place.empty(), "--data: ", kind.name(), ": needs a ",
        std::string(kind.form).ends_with("FILE") ? "file" : "folder", ", as in ", kind.form);
  return place;
}

int64_t wanted_images(const DataOptions& o, const std::string& split) {
  return split == "train" ? o.train_images : split == "validation" ? o.val_images : o.test_images;
}

const std::vector<std::string>& sample_options() {
  static const std::vector<std::string> names = {
      "--classes",  "--data-seed",           "--image-size",      "--resize",
      "--group-of", "--difficult",           "--several-classes", "--expand-children",
      "--sources",  "--context-correlation", "--scenes-level",    "--none-class"};
  return names;
}

}  // namespace boxcam
