// Whole networks: inference, and a training step with cross-entropy (forward, gradients, optimiser), at batch 16.
// of_peak is the share of the measured matrix product, with the operations of direct convolution counted (Winograd does
// with fewer, so it may exceed what direct convolution could reach).
#include "bench/machine.h"
#include "models/resnet.h"
#include "nn/optim.h"

namespace boxcam::bench {
namespace {

constexpr int64_t kBatch = 16, kClasses = 4;

/// Floating point operations of a forward pass's convolutions (a multiplication and an addition for each weight at each
/// position); the linear head and everything elementwise are below 1 %.
double forward_flops(ResNet& model, const Tensor& x) {
  const NoGrad no_grad;
  const Forward f = model.forward(x, {}, model.tap_names());
  double flops = 0;
  for (const NamedTensor& t : model.named_tensors()) {
    if (!t.is_conv_weight) continue;
    const size_t downsample = t.name.find(".downsample");  // as large as its block's output
    const Tensor& y = f.taps.at(t.name.substr(0, downsample != std::string::npos ? downsample : t.name.rfind('.')));
    flops += 2.0 * static_cast<double>(t.tensor.numel()) * static_cast<double>(y.numel() / y.dim(3));
  }
  return flops;
}

template <class F>
void measure_flops(benchmark::State& state, double flops, F&& once) {
  const double seconds = measure(state, kBatch, once);
  state.counters["GFLOP/s"] = flops / seconds / 1e9;
  state.counters["of_peak"] = flops / seconds / peak_flops();
}

void inference(benchmark::State& state, const char* name, int64_t size) {
  ResNet model(resnet_config(name), kClasses);
  const Tensor x = uniform({kBatch, size, size, 3}, -2, 2);
  const double flops = forward_flops(model, x);
  const NoGrad no_grad;
  measure_flops(state, flops, [&] { benchmark::DoNotOptimize(model.forward(x, {})); });
}

void train_step(benchmark::State& state, const char* name, int64_t size) {
  ResNet model(resnet_config(name), kClasses);
  const Tensor x = uniform({kBatch, size, size, 3}, -2, 2), labels = some_labels(kBatch, kClasses);
  // Backward costs a convolution for the input and one for the weights; the images need no gradient.
  const Tensor stem = model.parameters().front();
  const double stem_flops = 2.0 * static_cast<double>(stem.numel() * x.numel() / 3 / 4);  // stride 2
  const double flops = 3 * forward_flops(model, x) - stem_flops;

  std::vector<NamedTensor> parameters;
  for (const NamedTensor& t : model.named_tensors())
    if (t.is_parameter) parameters.push_back(t);
  Optimizer optimizer(parameters, {});
  measure_flops(state, flops, [&] {
    const auto gradients = [&] {  // the graph is gone before the optimiser writes
      const Forward f = model.forward(x, {Mode::train, true});
      return grad({cross_entropy(f.logits, labels)}, model.parameters());
    }();
    optimizer.step(gradients, 0.01);
  });
}

BENCHMARK_CAPTURE(inference, resnet50, "resnet50", 224)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(inference, resnet18, "resnet18", 224)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(inference, resnet_mini, "resnet-mini", 96)->UseRealTime()->Unit(benchmark::kMillisecond);
// compare_pytorch.py takes its figure from train_step/resnet50.
BENCHMARK_CAPTURE(train_step, resnet50, "resnet50", 224)->Iterations(3)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(train_step, resnet18, "resnet18", 224)->Iterations(3)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(train_step, resnet_mini, "resnet-mini", 96)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace boxcam::bench

int main(int argc, char** argv) { return boxcam::bench::run(argc, argv); }
