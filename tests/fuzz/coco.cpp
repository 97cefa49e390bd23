// COCO's JSON.
#include "nn/data/coco.h"

#include "nn/data/dataset.h"
#include "tests/fuzz/target.h"

namespace boxcam::fuzz {

void run(std::string_view input) {
  static const std::string picture = write("images/a.jpg", "");
  write("annotations/instances_train.json", input);
  look_at(*coco(folder().string(), "train", {.classes = {"car"}, .group_of = AnnotationOptions::GroupOf::drop}));
}

}  // namespace boxcam::fuzz
