#include "apps/step_input.h"

#include <algorithm>

#include "nn/input.h"
#include "xai/boxes.h"

namespace boxcam {

Tensor StepInput::own_masks(double margin) const {
  return box_masks(boxes, x.dim(1), x.dim(2), margin, x.dtype(), x.device());
}

Tensor StepInput::loss_masks(double margin) const {
  const Tensor B = box_masks(loss_boxes, x.dim(1), x.dim(2), margin, x.dtype(), x.device());
  if (!inverse) return B;
  std::vector<double> boxed;  // an image without a box has no inside either way
  for (const std::vector<Box>& list : loss_boxes) boxed.push_back(list.empty() ? 0 : 1);
  const Tensor everything = Tensor::from({B.dim(0), 1, 1}, boxed).to(B.dtype()).to(B.device());
  return everything - B;
}

std::vector<double> balancing_weights(const Dataset& data) {
  std::vector<double> weights(data.classes().size(), 0);
  for (int64_t i = 0; i < data.size(); ++i) ++weights.at(static_cast<size_t>(data.label(i)));
  const auto empty = std::count(weights.begin(), weights.end(), 0.0);
  const double share =
      static_cast<double>(data.size()) / static_cast<double>(static_cast<std::ptrdiff_t>(weights.size()) - empty);
  for (double& w : weights) w = w > 0 ? share / w : 0;
  return weights;
}

StepInputs::StepInputs(const Method& method, const Dataset& data, const LoaderOptions& loader, Device device,
                       uint64_t seed)
    : control_(method.boxes),
      swap_(method.swap),
      context_(method.context),
      margin_(method.penalty.margin),
      none_(data.classes().back() == "none" ? static_cast<int64_t>(data.classes().size()) - 1 : -1),
      several_(method.task == Task::multi_label ? static_cast<int64_t>(data.classes().size()) : 0),
      device_(device),
      seed_(seed) {
  if (control_ == BoxControl::fixed_shuffled) fixed_ = fixed_cycle(all_boxes(data, loader), seed);
}

StepInput StepInputs::operator()(Batch& batch, int64_t step) const {
  StepInput input;
  input.labels = label_tensor(batch, device_);
  input.boxes = batch.boxes;
  input.loss_boxes = control_boxes(batch, control_, seed_, step, fixed_);
  input.ids = batch.ids;
  input.lost_boxes = batch.lost_boxes;
  input.inverse = control_ == BoxControl::inverse;
  input.none = none_;
  const SwapMasks masks{input.loss_boxes, margin_, input.inverse};
  const auto marked = [](const std::vector<char>& marks) { return std::count(marks.begin(), marks.end(), 1) > 0; };
  if (context_.weight > 0) {
    Batch without = batch;
    input.hides = hide_objects(without, masks, context_.fill, none_, seed_, step);
    if (marked(input.hides)) input.hidden = input_tensor(without, device_);
  }
  if (swap_.share > 0) {
    const Batch before = swap_.consistency > 0 ? batch : Batch();
    input.swapped = swap_backgrounds(batch, masks, swap_, none_, seed_, step);
    if (swap_.consistency > 0 && marked(input.swapped)) input.unswapped = input_tensor(before, device_);
  }
  if (several_ > 0) input.pairs = pairs_of(batch, several_);
  input.x = input_tensor(batch, device_);
  return input;
}

}  // namespace boxcam
