// OpenImages' hierarchy of classes, beside tables that are whole.
#include "nn/data/dataset.h"
#include "nn/data/open_images.h"
#include "tests/fuzz/target.h"

namespace boxcam::fuzz {

void run(std::string_view input) {
  static const std::string others[] = {
      write("train/a.jpg", ""), write("class-descriptions-boxable.csv", "/m/0k4j,Car\n/m/019jd,Boat\n/m/0h2r6,Van\n"),
      write("train-annotations-bbox.csv",
            "ImageID,LabelName,XMin,XMax,YMin,YMax,IsGroupOf\na,/m/0h2r6,0,1,0,1,0\na,/m/0k4j,0,1,0,1,0\n")};
  write("bbox_labels_600_hierarchy.json", input);
  look_at(*open_images(folder().string(), "train", {.classes = {"Car"}, .expand_children = true}));
}

}  // namespace boxcam::fuzz
