#include "models/plain.h"

#include <algorithm>

namespace boxcam {

namespace {
std::string stage_name(size_t i) { return str("stage", i + 1); }
}  // namespace

PlainNet::PlainNet(int64_t classes, DType dtype, uint64_t seed) : activation_dtype_(dtype) {
  int64_t channels = 3;
  for (const int64_t width : {16, 32, 64, 64}) {
    stages_.push_back(ConvNorm::make(stage_name(stages_.size()) + ".conv", channels, width, 3,
                                     {.stride = 2, .padding = 1}, dtype, seed));
    channels = width;
  }
  head_ = Linear::make(kHead, channels, classes, dtype, seed);
}

const std::string& PlainNet::name() const {
  static const std::string text = kName;
  return text;
}

Tensor PlainNet::run(Tensor y, size_t first, const ForwardOptions& options, const std::vector<std::string>& taps,
                     std::map<std::string, Tensor>* found, std::vector<CellBias>* biases) {
  y = cast(y, activation_dtype_);
  for (size_t i = first; i < stages_.size(); ++i) {
    ConvNorm& stage = stages_[i];
    const bool tapped = std::find(taps.begin(), taps.end(), stage_name(i)) != taps.end();
    // Folded, the ReLU's zeros are not exact: a tap shows them, and with them an empty CAM.
    const bool fold = options.mode == Mode::eval && !grad_enabled() && !tapped;
    y = fold ? stage.folded(y, true) : stage.norm(stage.conv(y), options, true);
    if (tapped) (*found)[stage_name(i)] = y;
    if (biases) biases->push_back({stage.norm.shift().detach(), y, true});
  }
  return head_(global_avg_pool(cast(y, head_.weight.dtype())));
}

Forward PlainNet::forward(const Tensor& x, const ForwardOptions& options, const std::vector<std::string>& taps) {
  check(x.ndim() == 4 && x.dim(3) == 3, kName, ": expected images [N, H, W, 3], found ", x.shape());
  check_taps(taps);
  Forward result;
  result.logits = run(x, 0, options, taps, &result.taps);
  return result;
}

std::string PlainNet::restart_of(const std::string& tap) const {
  check_taps({tap});
  return tap;
}

Tensor PlainNet::resume(const std::string& tap, const Tensor& activations, const Tensor&) {
  const std::vector<std::string> names = tap_names();
  check_taps({tap});
  const auto at = std::find(names.begin(), names.end(), tap);
  return run(activations, static_cast<size_t>(at - names.begin()) + 1, ForwardOptions::observing());
}

Tensor PlainNet::forward_with_biases(const Tensor& x, std::vector<CellBias>& biases) {
  const GradMode recorded(true);  // or convolutions and batch norms would be one
  return run(x, 0, ForwardOptions::observing(), {}, nullptr, &biases);
}

std::vector<std::string> PlainNet::tap_names() const {
  std::vector<std::string> names;
  for (size_t i = 0; i < stages_.size(); ++i) names.push_back(stage_name(i));
  return names;
}

Tensor PlainNet::head_of(const std::string& tap) const { return tap == default_tap() ? head_.weight : Tensor(); }

void PlainNet::set_activation_dtype(DType dtype) {
  check_activation_dtype(dtype, head_.weight.dtype());
  activation_dtype_ = dtype;
}

std::unique_ptr<Classifier> PlainNet::copy() const {
  auto model = std::make_unique<PlainNet>(*this);
  model->own_memory();
  return model;
}

void PlainNet::visit(const TensorVisitor& visitor) {
  for (size_t i = 0; i < stages_.size(); ++i) {
    stages_[i].conv.visit(stage_name(i) + ".conv", visitor);
    stages_[i].norm.visit(stage_name(i) + ".norm", visitor);
  }
  head_.visit(kHead, visitor, true);
}

}  // namespace boxcam
