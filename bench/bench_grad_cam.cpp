// Grad-CAM of ResNet-50 at 224 px and the box penalty on it, on top of a forward pass that was made before: alone, and
// with the gradient of the penalty. layer4 has a closed form, fused with the penalty and op after op (composite);
// layer2 and layer3 go through `grad`, which differentiates the layers after the tap once for the CAM and a second time
// for the penalty.
#include "bench/step.h"
#include "xai/boxes.h"
#include "xai/explain.h"

namespace boxcam::bench {
namespace {

constexpr int64_t kSize = 224;
const CamLoss& box = cam_losses().front();

CamOptions cam_options(bool backward) {
  CamOptions options;
  if (backward) options.gradient = CamGradient::full;
  return options;
}

Tensor layer4(int64_t n) { return relu(uniform({n, 7, 7, 2048}, -1, 1)); }

/// What compare_pytorch.py relates the fused op to.
void copy_activations(benchmark::State& state) {
  const Tensor from = layer4(state.range(0));
  Tensor to = Tensor::empty(from.shape());
  const double seconds = measure(state, from.dim(0), [&] { copy_bytes(from, to); });
  report_bytes(state, 2.0 * static_cast<double>(from.bytes()), seconds);
}

void closed_form(benchmark::State& state, bool fused, bool backward) {
  const int64_t n = state.range(0);
  Tensor tap = layer4(n), head = uniform({kClasses, 2048}, -0.02, 0.02);
  tap.set_requires_grad();
  head.set_requires_grad();
  const Tensor labels = some_labels(n, kClasses), mask = box_masks(some_boxes(n, kSize), kSize, kSize, 0);
  const double seconds = measure(state, n, [&] {
    const GradMode mode(backward);
    const Explanation explained = explain_linear_head(head, labels, tap, kSize, kSize, cam_options(backward),
                                                      fused ? MaskedLoss{&box, mask} : MaskedLoss{});
    const Tensor penalty = fused ? mean(explained.losses) : box_penalty(explained.cam, mask);
    if (backward) grad({penalty}, {tap, head});
  });
  // Forward reads the activations and the mask and writes the CAM; backward reads activations and mask again (the
  // derivative of the normalisation needs the whole map) and writes the activations' gradient.
  const auto activations = static_cast<double>(tap.bytes()), maps = static_cast<double>(mask.bytes());
  report_bytes(state, activations + 2 * maps + (backward ? 2 * activations + maps : 0), seconds);
}

/// Train mode, so that batch norm is differentiated twice. The penalty's gradient is taken to the tap and to the
/// parameters behind it. What lies before the tap's stage is frozen: it has no part in this, and needs memory.
void through_grad(benchmark::State& state, const std::string& tap, bool backward) {
  const int64_t n = state.range(0);
  ResNet model(resnet_config("resnet50"), kClasses);
  std::vector<Tensor> behind;
  for (NamedTensor& t : model.named_tensors()) {
    if (!t.is_parameter()) continue;
    const bool is_stem = t.name.starts_with("conv1") || t.name.starts_with("bn1");
    const std::string stage = is_stem ? "" : t.name.substr(0, tap.size());  // "layer1" < .. < "layer4"; "fc.weig"
    if (stage == "" || (stage.starts_with("layer") && stage < tap)) t.tensor.set_requires_grad(false);
    if (stage.starts_with("layer") ? stage > tap : t.name == "fc.weight") behind.push_back(t.tensor);
  }
  const Tensor labels = some_labels(n, kClasses), mask = box_masks(some_boxes(n, kSize), kSize, kSize, 0);
  const Forward f = model.forward(uniform({n, kSize, kSize, 3}, -2, 2), ForwardOptions::observing(Mode::train), {tap});
  const Tensor A = f.taps.at(tap);
  std::vector<Tensor> wanted = behind;
  wanted.push_back(A);
  measure(state, n, [&] {
    const Explanation explained = explain(f.logits, labels, {A}, kSize, kSize, cam_options(backward), {&box, mask});
    const GradMode mode(backward);
    const Tensor penalty = mean(explained.losses);
    if (backward) grad({penalty}, wanted);
  });
}

void register_all() {
  const auto batches = [](benchmark::internal::Benchmark* b, const std::vector<int64_t>& sizes) {
    for (const int64_t n : sizes) b->Arg(n);
  };
  batches(add("copy_activations/layer4", copy_activations), {1, 16, 64, 256});
  for (const bool backward : {false, true}) {
    const std::string pass = backward ? "/forward_backward" : "/forward";
    batches(add("grad_cam/layer4/fused" + pass, closed_form, true, backward), {1, 16, 64, 256});
    batches(add("grad_cam/layer4/composite" + pass, closed_form, false, backward), {1, 16, 64, 256});
    for (const std::string tap : {"layer3", "layer2"})  // the graph of 256 images needs more memory than most have
      batches(add("grad_cam/" + tap + pass, through_grad, tap, backward), {1, 16, 64});
  }
}

}  // namespace
}  // namespace boxcam::bench

int main(int argc, char** argv) {
  boxcam::bench::register_all();
  return boxcam::bench::run(argc, argv);
}
