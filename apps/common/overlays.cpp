#include "apps/common/overlays.h"

#include <cmath>
#include <cstdio>
#include <optional>

#include "engine/ops.h"
#include "xai/overlay.h"

namespace boxcam {

namespace {

constexpr int kColumns = 6, kRows = 4;

}  // namespace

std::vector<int64_t> first_of_each_class(const Dataset& data, int64_t count) {
  std::vector<std::vector<int64_t>> by_class(data.classes().size());
  for (int64_t i = 0; i < data.size(); ++i) by_class[data.label(i)].push_back(i);
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
  char score[16];
  std::snprintf(score, sizeof score, " %.1f %%", 100 * e.score);
  OverlayText text{classes[e.predicted] + score,
                   label_known ? "label: " + classes[sample.label] : "CAM: " + classes[e.explained], std::nullopt};
  if (!line.empty()) text.note = line;
  if (label_known) text.correct = e.predicted == sample.label;
  const Tensor cam = e.explanation.cam.to(Device::cpu);
  return overlay(sample.image, std::span<const float>(cam.data<float>(), cam.numel()), sample.boxes, text);
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
      const int64_t explained = explain.explains == ExplainOptions::Class::predicted ? -1 : sample.label;
      tiles.push_back(overlay_picture(sample, explain_image(model, sample.image, explained, explain),
                                      ClassNames(split.data->classes()), true));
    }
  }
  check(!tiles.empty(), "no image to make overlays of");
  write_png(path, sheet(tiles, kColumns, title));
}

}  // namespace boxcam
