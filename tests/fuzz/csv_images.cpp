// A table of one's own: images, labels and boxes.
#include "nn/data/csv_images.h"

#include "nn/data/dataset.h"
#include "tests/fuzz/target.h"

namespace boxcam::fuzz {

void run(std::string_view input) {
  const std::string table = write("images.csv", input);
  const CsvContent content = csv_content(table);
  for (const std::string& split : content.splits)
    if (!content.labels.empty()) look_at(*csv_images(table, split, {.classes = {content.labels.front()}}));
}

}  // namespace boxcam::fuzz
