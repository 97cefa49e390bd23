#include "apps/common/overlays.h"

#include <cstdio>
#include <optional>

#include "apps/common/cam.h"
#include "apps/common/evaluation.h"
#include "nn/input.h"
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

Explanation explain(ResNet& model, const Sample& sample, int64_t explained, const CamOptions& cam) {
  Batch one;
  one.size = 1;
  one.image_size = sample.image.width;
  one.images = sample.image.pixels;
  const Device device = model.head().weight.device();
  GradMode mode(!has_closed_form(model, cam));
  const Forward pass = model.forward(input_tensor(one, device), {Mode::eval, false}, cam.taps);
  Explanation e;
  e.logits = pass.logits.detach();
  for (const std::string& tap : cam.taps) e.activations.push_back(pass.taps.at(tap).detach());
  e.predicted = predictions(pass.logits)[0];
  e.explained = explained < 0 ? e.predicted : explained;
  const Tensor label = Tensor::from({1}, std::vector<int32_t>{static_cast<int32_t>(e.explained)});
  e.cam = cam_of(model, pass, label.to(device), sample.image.height, sample.image.width, cam);
  const NoGrad no_grad;
  e.score = softmax(e.logits).to_vector()[e.predicted];
  return e;
}

Image overlay_picture(const Sample& sample, const Explanation& e, const std::vector<std::string>& classes,
                      bool label_known) {
  char title[64];
  std::snprintf(title, sizeof title, "%s %.1f %%", classes[e.predicted].c_str(), 100 * e.score);
  OverlayText text{title, label_known ? "label: " + classes[sample.label] : "CAM: " + classes[e.explained],
                   std::nullopt};
  if (label_known) text.correct = e.predicted == sample.label;
  const Tensor cam = e.cam.cam.to(Device::cpu);
  return overlay(sample.image, std::span<const float>(cam.data<float>(), cam.numel()), sample.boxes, text);
}

void write_overlay_sheet(const std::string& path, ResNet& model, const std::vector<DataSplit>& splits,
                         const DataOptions& data, const CamOptions& cam) {
  std::vector<Image> tiles;
  std::string title;
  for (const DataSplit& split : splits) {
    title += (title.empty() ? "" : ", then ") + split.name;
    for (const int64_t i : pick(*split.data, kColumns * kRows / static_cast<int64_t>(splits.size()))) {
      const Sample sample = prepare(split.data->load(i), {data.image_size, data.resize, {}}, nullptr);
      const int64_t explained = cam.explains_predicted ? -1 : sample.label;
      tiles.push_back(overlay_picture(sample, explain(model, sample, explained, cam), split.data->classes(), true));
    }
  }
  check(!tiles.empty(), "no image to make overlays of");
  write_png(path, sheet(tiles, kColumns, title));
}

}  // namespace boxcam
