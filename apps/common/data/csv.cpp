// --data csv:FILE
#include "apps/common/data/kinds.h"
#include "nn/data/csv_images.h"

namespace boxcam {

namespace {

std::vector<std::string> csv_splits(const DataOptions& o) { return csv_content(data_place(o)).splits; }

std::unique_ptr<Dataset> open_csv(const DataOptions& o, const std::string& split) {
  return csv_images(data_place(o), split, annotation_options(o, split));
}

bool csv_has_boxes(const DataOptions& o) { return csv_content(data_place(o)).has_boxes; }

/// Without --classes: every label there is.
void settle_csv(OptionTable& table, DataOptions& o) {
  if (classes_are_open(table, o)) o.classes = csv_content(data_place(o)).labels;
}

}  // namespace

DataKind csv_kind() {
  return {.form = "csv:FILE",
          .what = "a table path,label[,xmin,ymin,xmax,ymax][,split][,group][,source]",
          .has_boxes = csv_has_boxes,
          .several_labels = true,
          .image_files = true,
          .ignores = {"--group-of", "--difficult", "--expand-children", "--context-correlation", "--scenes-level"},
          .splits = csv_splits,
          .open = open_csv,
          .settle = settle_csv};
}

}  // namespace boxcam
