// --data waterbirds:DIR
#include "nn/data/waterbirds.h"

#include "apps/common/data/kinds.h"

namespace boxcam {

namespace {

std::vector<std::string> splits_of_waterbirds(const DataOptions& o) { return waterbirds_splits(data_place(o)); }

std::unique_ptr<Dataset> open_waterbirds(const DataOptions& o, const std::string& split) {
  return waterbirds(data_place(o), split, annotation_options(o, split));
}

bool waterbirds_has_boxes(const DataOptions& o) { return waterbirds_have_boxes(data_place(o)); }

void settle_waterbirds(OptionTable& table, DataOptions& o) {
  if (classes_are_open(table, o)) o.classes = waterbird_classes();
}

}  // namespace

DataKind waterbirds_kind() {
  return {.form = "waterbirds:DIR",
          .what = "Waterbirds as WILDS lays it out, with CUB's boxes; groups are class x place",
          .has_boxes = waterbirds_has_boxes,
          .image_files = true,
          .ignores = {"--group-of", "--difficult", "--several-classes", "--expand-children", "--context-correlation",
                      "--scenes-level"},
          .splits = splits_of_waterbirds,
          .open = open_waterbirds,
          .settle = settle_waterbirds};
}

}  // namespace boxcam
