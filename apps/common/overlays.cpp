#include "apps/common/overlays.h"

#include <cmath>
#include <cstdio>
#include <optional>

#include "engine/base/text.h"
#include "engine/ops.h"
#include "xai/multi_label.h"
#include "xai/overlay.h"

namespace boxcam {

namespace {

constexpr int kColumns = 6, kRows = 4;

std::string with_percent(const std::string& name, double probability) {
  char score[16];
  std::snprintf(score, sizeof score, " %.1f %%", 100 * probability);
  return name + score;
}

}  // namespace

std::vector<int64_t> first_of_each_class(const Dataset& data, int64_t count) {
  const auto classes = static_cast<int64_t>(data.classes().size());
  std::vector<std::vector<int64_t>> by_class(data.classes().size() + 1);
  for (int64_t i = 0; i < data.size(); ++i) {
    const int64_t label = data.label(i);
    by_class[static_cast<size_t>(label < 0 ? classes : label)].push_back(i);
  }
  std::vector<int64_t> chosen;
  for (size_t round = 0; round < static_cast<size_t>(data.size()); ++round)
    for (const auto& list : by_class)
      if (round < list.size() && static_cast<int64_t>(chosen.size()) < count) chosen.push_back(list[round]);
  return chosen;
}

Image photograph_overlay(const Image& photograph, const Tensor& cam, const Preprocess& preprocess) {
  const int height = photograph.height, width = photograph.width;
  const Box shown = shown_part(height, width, preprocess);
  const int left = static_cast<int>(std::lround(shown.x_min)), right = static_cast<int>(std::lround(shown.x_max));
  const int top = static_cast<int>(std::lround(shown.y_min)), bottom = static_cast<int>(std::lround(shown.y_max));
  const NoGrad no_grad;
  const Tensor map = bilinear_resize(cam.to(Device::cpu), bottom - top, right - left);
  std::vector<float> heat(size_t(height) * width);
  Image picture = photograph;
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      if (y >= top && y < bottom && x >= left && x < right)
        heat[size_t(y) * width + x] = map.data<float>()[size_t(y - top) * (right - left) + (x - left)];
      else
        for (int c = 0; c < 3; ++c) picture.at(y, x)[c] /= 3;
  return overlay(picture, heat, {}, {}, {.min_side = 0});
}

Image overlay_picture(const Sample& sample, const ImageExplanation& e, const ClassNames& classes, bool label_known,
                      const std::string& line) {
  OverlayText text{with_percent(classes[e.predicted], e.score),
                   label_known ? "label: " + classes[sample.label] : "CAM: " + classes[e.explained], std::nullopt};
  if (!line.empty()) text.note = line;
  if (label_known) text.correct = e.predicted == sample.label;
  const Tensor cam = e.explanation.cam.to(Device::cpu);
  return overlay(sample.image, std::span<const float>(cam.data<float>(), cam.numel()), sample.boxes, text);
}

Sample with_boxes_of(Sample sample, int64_t label) {
  std::vector<Box> boxes;
  for (size_t i = 0; i < sample.boxes.size(); ++i)
    if (sample.box_classes[i] == label) boxes.push_back(sample.boxes[i]);
  sample.boxes = std::move(boxes);
  return sample;
}

Image label_picture(const Sample& sample, const ImageExplanation& e, const ClassNames& classes) {
  std::vector<std::string> shown;
  for (const int32_t label : sample.shown) shown.push_back(classes[label]);
  const double score = class_probabilities(e.logits, Task::multi_label)[static_cast<size_t>(e.explained)];
  const OverlayText text{with_percent(classes[e.explained], score),
                         shown.empty() ? "shows none" : "shows: " + join(shown), std::nullopt};
  const Tensor cam = e.explanation.cam.to(Device::cpu);
  return overlay(sample.image, std::span<const float>(cam.data<float>(), cam.numel()),
                 with_boxes_of(sample, e.explained).boxes, text);
}

Image plain_overlay(const Sample& sample, const ImageExplanation& e, int min_side) {
  const Tensor cam = e.explanation.cam.to(Device::cpu);
  return overlay(sample.image, std::span<const float>(cam.data<float>(), cam.numel()), sample.boxes, {},
                 {.min_side = min_side});
}

void write_overlay_sheet(const std::string& path, Classifier& model, const std::vector<DataSplit>& splits,
                         const DataOptions& data, const ExplainOptions& explain) {
  std::vector<Image> tiles;
  std::string title;
  for (const DataSplit& split : splits) {
    title += (title.empty() ? "" : ", then ") + split.name;
    for (const int64_t i : first_of_each_class(*split.data, kColumns * kRows / static_cast<int64_t>(splits.size()))) {
      const Sample sample = prepare(split.data->load(i), preprocess_of(data, false), nullptr);
      const bool predicted = explain.explains == ExplainOptions::Class::predicted;
      const ClassNames classes(split.data->classes());
      if (data.task == Task::multi_label) {  // of an image of none: the most probable class
        tiles.push_back(label_picture(
            sample, explain_image(model, sample.image, sample.label, explain, Task::multi_label), classes));
        continue;
      }
      const int64_t explained = predicted ? -1 : sample.label;
      tiles.push_back(overlay_picture(sample, explain_image(model, sample.image, explained, explain), classes, true));
    }
  }
  check(!tiles.empty(), "no image to make overlays of");
  write_png(path, sheet(tiles, kColumns, title));
}

}  // namespace boxcam
