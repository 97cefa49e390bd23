// Three tables of OpenImages' official layout: boxes, classes, sources.
#include "nn/data/open_images.h"

#include "nn/data/dataset.h"
#include "tests/fuzz/target.h"

namespace boxcam::fuzz {

void run(std::string_view input) {
  static const std::string pictures[] = {write("train/a.jpg", ""), write("train/b.jpg", ""), write("train/c.png", "")};
  const auto parts = parts_of(input, 3);
  write("train-annotations-bbox.csv", parts[0]);
  write("class-descriptions-boxable.csv", parts[1]);
  write("train-images.csv", parts[2]);
  look_at(*open_images(folder().string(), "train",
                       {.classes = {"Car", "/m/019jd"}, .group_of = AnnotationOptions::GroupOf::drop}));
}

}  // namespace boxcam::fuzz
