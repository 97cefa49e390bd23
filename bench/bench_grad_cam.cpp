// Grad-CAM and the box penalty on top of a forward pass, alone and with the gradient of the penalty.
// of_copy is the share of the measured copy bandwidth, where only the bytes that no implementation could avoid count; a
// working set that fits the last-level cache can exceed 1.
#include "bench/machine.h"
#include "models/resnet.h"
#include "xai/boxes.h"
#include "xai/grad_cam.h"
#include "xai/losses.h"

namespace boxcam::bench {
namespace {

constexpr int64_t kClasses = 4, kSize = 224;

/// One box of a quarter of the image each.
Tensor some_masks(int64_t n) {
  const Box box{kSize / 4.0, kSize / 4.0, 3 * kSize / 4.0, 3 * kSize / 4.0};
  return box_masks(std::vector<std::vector<Box>>(static_cast<size_t>(n), {box}), kSize, kSize, 0);
}

/// layer4 of ResNet-50: the closed form on [N, 7, 7, 2048].
void linear_head(benchmark::State& state, bool backward) {
  const int64_t n = state.range(0);
  Tensor tap = uniform({n, 7, 7, 2048}, -1, 1), head = uniform({kClasses, 2048}, -0.02, 0.02);
  tap = relu(tap);
  tap.set_requires_grad();
  head.set_requires_grad();
  const Tensor labels = some_labels(n, kClasses), mask = some_masks(n);
  // Forward reads the activations and the mask and writes the CAM; backward reads activations and mask again (the
  // derivative of the normalisation needs the whole map) and writes the activations' gradient.
  const double activations = static_cast<double>(tap.bytes()), maps = static_cast<double>(mask.bytes());
  const double bytes = activations + 2 * maps + (backward ? 2 * activations + maps : 0);
  const double seconds = measure(state, n, [&] {
    const GradMode mode(backward);
    GradCamOptions options;
    options.create_graph = backward;
    const Tensor penalty = box_penalty(grad_cam_linear_head(head, labels, tap, kSize, kSize, options).cam, mask);
    if (backward) grad({penalty}, {tap, head});
  });
  state.counters["GB/s"] = bytes / seconds / 1e9;
  state.counters["of_copy"] = bytes / seconds / copy_bandwidth();
}

/// layer3 of ResNet-50 in training, through `grad`: forward differentiates layer4 once, backward a second time. The
/// forward pass that a training step makes anyway is not part of the time.
void any_tap(benchmark::State& state, bool backward) {
  const int64_t n = state.range(0);
  ResNet model(resnet_config("resnet50"), kClasses);
  const Tensor x = uniform({n, kSize, kSize, 3}, -2, 2), labels = some_labels(n, kClasses), mask = some_masks(n);
  const Forward f = model.forward(x, {Mode::train, false}, {"layer3"});
  std::vector<Tensor> wanted = {f.taps.at("layer3")};
  for (const NamedTensor& t : model.named_tensors())
    if (t.is_parameter && (t.name.starts_with("layer4") || t.name == "fc.weight")) wanted.push_back(t.tensor);
  measure(state, n, [&] {
    GradCamOptions options;
    options.create_graph = backward;
    const Tensor cam = grad_cam(f.logits, labels, wanted.front(), kSize, kSize, options).cam;
    const GradMode mode(backward);
    const Tensor penalty = box_penalty(cam, mask);
    if (backward) grad({penalty}, wanted);
  });
}

BENCHMARK_CAPTURE(linear_head, forward, false)->Arg(16)->Arg(256)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(linear_head, forward_backward, true)->Arg(16)->Arg(256)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(any_tap, forward, false)->Arg(16)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(any_tap, forward_backward, true)->Arg(16)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace boxcam::bench

int main(int argc, char** argv) { return boxcam::bench::run(argc, argv); }
