// Pascal VOC: the list of a split, and what the XML file of each image in it would be.
#include "nn/data/voc.h"

#include "nn/data/dataset.h"
#include "tests/fuzz/target.h"

namespace boxcam::fuzz {

void run(std::string_view input) {
  const auto parts = parts_of(input, 2);
  write("ImageSets/Main/train.txt", parts[0].empty() ? "a\n" : parts[0]);
  write("Annotations/a.xml", parts[1]);
  look_at(*voc(folder().string(), "train", {.classes = {"car"}}));
}

}  // namespace boxcam::fuzz
