// The losses, forward, and forward with gradient, at batch 1 to 256. of_copy counts what no implementation could avoid:
// each input read once, and in the gradient's pass read again and the gradient written.
#include "bench/machine.h"
#include "xai/boxes.h"
#include "xai/evidence_split.h"
#include "xai/losses.h"

namespace boxcam::bench {
namespace {

/// `loss(x)` differentiated with respect to x; `constants` are the bytes that it reads besides.
template <class F>
void measure_loss(benchmark::State& state, const Tensor& x, double constants, bool backward, F&& loss) {
  const GradMode mode(backward);
  const double seconds = measure(state, x.dim(0), [&] {
    const Tensor value = loss(x);
    if (backward) grad({value}, {x});
  });
  const auto bytes = static_cast<double>(x.bytes());
  report_bytes(state, backward ? 3 * bytes + 2 * constants : bytes + constants, seconds);
}

/// On CAMs of 224 px, each image with one box.
void cam_loss(benchmark::State& state, CamLossFunction loss, bool backward) {
  constexpr int64_t size = 224;
  const int64_t n = state.range(0);
  const Tensor mask = box_masks(some_boxes(n, size), size, size, 0);
  measure_loss(state, variable({n, size, size}, 0, 1), static_cast<double>(mask.bytes()), backward,
               [&](const Tensor& cam) { return mean_over_images(loss(cam, mask)); });
}

/// Of 1000 classes.
void cross_entropy_of(benchmark::State& state, bool backward) {
  constexpr int64_t classes = 1000;
  const int64_t n = state.range(0);
  const Tensor labels = some_labels(n, classes);
  measure_loss(state, variable({n, classes}, -2, 2), 0, backward,
               [&](const Tensor& logits) { return cross_entropy(logits, labels); });
}

/// Both terms of the signed split at the last map, [cells, cells, channels], of a network.
void evidence_split(benchmark::State& state, bool backward, int64_t size, int64_t cells, int64_t channels,
                    int64_t classes) {
  const int64_t n = state.range(0);
  const Tensor mask = box_masks(some_boxes(n, size), size, size, 0), labels = some_labels(n, classes);
  const Tensor W = uniform({classes, channels}, -0.02, 0.02), b = uniform({classes}, -0.1, 0.1);
  const Tensor y = uniform({n, classes}, -2, 2);
  measure_loss(state, variable({n, cells, cells, channels}, 0, 1), static_cast<double>(mask.bytes() + W.bytes()),
               backward, [&](const Tensor& A) {
                 const EvidenceSplit split = split_evidence(A, W, b, y, mask);
                 return mean_over_boxed(evidence_cross_entropies(split, b, labels) + evidence_penalties(split), split);
               });
}

void register_all() {
  const auto batches = [](benchmark::internal::Benchmark* b) {
    b->RangeMultiplier(4)->Range(1, 256)->Unit(benchmark::kMicrosecond);
  };
  for (const bool backward : {false, true}) {
    const std::string pass = backward ? "/forward_backward" : "/forward";
    batches(add("cross_entropy" + pass, cross_entropy_of, backward));
    batches(add("evidence_split" + pass, evidence_split, backward, 224, 7, 2048, 1000));  // ResNet-50's
    add("evidence_split/resnet-mini" + pass, evidence_split, backward, 96, 12, 64, 4)->Arg(32);
    for (const CamLoss& loss : cam_losses()) batches(add(loss.name + pass, cam_loss, loss.of_images, backward));
  }
}

}  // namespace
}  // namespace boxcam::bench

int main(int argc, char** argv) {
  boxcam::bench::register_all();
  return boxcam::bench::run(argc, argv);
}
