#include "apps/common/controls.h"

#include <algorithm>

#include "engine/base/check.h"
#include "engine/base/random.h"

namespace boxcam {

namespace {

/// Every list but the empty ones goes to the one before it in a random order, the first to the last.
BoxLists in_a_cycle(const BoxLists& boxes, Random random) {
  BoxLists moved(boxes.size());
  std::vector<size_t> cycle;
  for (size_t n = 0; n < boxes.size(); ++n)
    if (!boxes[n].empty()) cycle.push_back(n);
  shuffle(cycle, random);
  for (size_t i = 0; i < cycle.size(); ++i) moved[cycle[i]] = boxes[cycle[(i + 1) % cycle.size()]];
  return moved;
}

double width(const Box& box) { return box.x_max - box.x_min; }
double height(const Box& box) { return box.y_max - box.y_min; }

Box placed(const Box& box, double x, double y) { return {x, y, x + width(box), y + height(box)}; }

std::vector<Box> redrawn(std::vector<Box> boxes, double size, Random random) {
  for (Box& box : boxes) {
    const double x = random.uniform(0, size - width(box)), y = random.uniform(0, size - height(box));
    box = placed(box, x, y);
  }
  return boxes;
}

std::vector<Box> centred(const std::vector<Box>& boxes, double size) {
  if (boxes.empty()) return {};
  const Box& largest = *std::max_element(boxes.begin(), boxes.end(), [](const Box& a, const Box& b) {
    return width(a) * height(a) < width(b) * height(b);
  });
  return {placed(largest, (size - width(largest)) / 2, (size - height(largest)) / 2)};
}

}  // namespace

BoxLists control_boxes(const Batch& batch, BoxControl control, uint64_t seed, int64_t step, const BoxLists& fixed) {
  const BoxLists& own = batch.boxes;
  BoxLists given(own.size());
  switch (control) {
    case BoxControl::own:
    case BoxControl::inverse: return own;
    case BoxControl::none: return given;
    case BoxControl::shuffled:
      return in_a_cycle(own, Random(seed, stream_of("shuffled boxes") + static_cast<uint64_t>(step)));
    case BoxControl::fixed_shuffled:
      for (size_t n = 0; n < own.size(); ++n)
        if (!own[n].empty()) given[n] = fixed.at(static_cast<size_t>(batch.indices[n]));
      return given;
    case BoxControl::random:
      for (size_t n = 0; n < own.size(); ++n)
        given[n] = redrawn(own[n], batch.image_size,
                           Random(seed, stream_of(str("random boxes, step ", step, ", image ", batch.indices[n]))));
      return given;
    case BoxControl::centre:
      for (size_t n = 0; n < own.size(); ++n) given[n] = centred(own[n], batch.image_size);
      return given;
  }
  fail("control_boxes: no such control");
}

BoxLists fixed_cycle(const BoxLists& boxes, uint64_t seed) {
  return in_a_cycle(boxes, Random(seed, stream_of("fixed shuffled boxes")));
}

BoxLists all_boxes(const Dataset& data, LoaderOptions options) {
  // A random crop begins with the whole picture, whatever else --resize would cut off.
  if (options.augment && options.preprocess.augment == Preprocess::Augment::crop_flip)
    options.preprocess.resize = Preprocess::Resize::squash;
  options.preprocess.augment = Preprocess::Augment::none;
  options.shuffle = options.augment = options.drop_last = false;
  options.cache_bytes = 0;
  options.name = "the loader of boxes";
  Loader loader(data, options);
  loader.start_epoch(0);
  BoxLists boxes;
  while (auto batch = loader.next())
    for (std::vector<Box>& of_image : batch->boxes) boxes.push_back(std::move(of_image));
  return boxes;
}

}  // namespace boxcam
