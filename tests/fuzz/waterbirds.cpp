// Waterbirds: metadata.csv and bounding_boxes.txt.
#include "nn/data/waterbirds.h"

#include "nn/data/dataset.h"
#include "tests/fuzz/target.h"

namespace boxcam::fuzz {

void run(std::string_view input) {
  const auto parts = parts_of(input, 2);
  write("metadata.csv", parts[0]);
  write("bounding_boxes.txt", parts[1]);
  for (const std::string& split : waterbirds_splits(folder().string()))
    look_at(*waterbirds(folder().string(), split, {.classes = {"waterbird"}}));
}

}  // namespace boxcam::fuzz
