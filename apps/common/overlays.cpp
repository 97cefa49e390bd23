#include "apps/common/overlays.h"

#include <cstdio>
#include <optional>

#include "xai/overlay.h"

namespace boxcam {

namespace {

constexpr int kColumns = 6, kRows = 4;

/// The first images of each class in turn, `count` in all.
std::vector<int64_t> pick(const Dataset& data, int64_t count) {
  std::vector<std::vector<int64_t>> by_class(data.classes().size());
  for (int64_t i = 0; i < data.size(); ++i) by_class[data.label(i)].push_back(i);
  std::vector<int64_t> chosen;
  for (size_t round = 0; round < static_cast<size_t>(data.size()); ++round)
    for (const auto& list : by_class)
      if (round < list.size() && static_cast<int64_t>(chosen.size()) < count) chosen.push_back(list[round]);
  return chosen;
}

}  // namespace

Image overlay_picture(const Sample& sample, const ImageExplanation& e, const std::vector<std::string>& classes,
                      bool label_known) {
  char title[64];
  std::snprintf(title, sizeof title, "%s %.1f %%", classes[e.predicted].c_str(), 100 * e.score);
  OverlayText text{title, label_known ? "label: " + classes[sample.label] : "CAM: " + classes[e.explained],
                   std::nullopt};
  if (label_known) text.correct = e.predicted == sample.label;
  const Tensor cam = e.explanation.cam.to(Device::cpu);
  return overlay(sample.image, std::span<const float>(cam.data<float>(), cam.numel()), sample.boxes, text);
}

void write_overlay_sheet(const std::string& path, Classifier& model, const std::vector<DataSplit>& splits,
                         const DataOptions& data, const ExplainOptions& explain) {
  std::vector<Image> tiles;
  std::string title;
  for (const DataSplit& split : splits) {
    title += (title.empty() ? "" : ", then ") + split.name;
    for (const int64_t i : pick(*split.data, kColumns * kRows / static_cast<int64_t>(splits.size()))) {
      const Sample sample = prepare(split.data->load(i), preprocess_of(data, false), nullptr);
      const int64_t explained = explain.explains == ExplainOptions::Class::predicted ? -1 : sample.label;
      tiles.push_back(
          overlay_picture(sample, explain_image(model, sample.image, explained, explain), split.data->classes(), true));
    }
  }
  check(!tiles.empty(), "no image to make overlays of");
  write_png(path, sheet(tiles, kColumns, title));
}

}  // namespace boxcam
