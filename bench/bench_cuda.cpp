// The work of bench_resnet and bench_grad_cam on the CUDA device. Every iteration ends with a wait for the device.
// Without a GPU each benchmark reports why it did not run.
#include "apps/train_step.h"
#include "bench/machine.h"
#include "models/resnet.h"
#include "nn/optim.h"
#include "xai/boxes.h"
#include "xai/cam_box.h"

namespace boxcam::bench {
namespace {

constexpr int64_t kClasses = 4, kSize = 224;

Tensor on_gpu(const Tensor& t) { return t.to(Device::cuda); }

/// Times `once` with its wait and adds images/s and the largest amount of tensor memory on the device.
template <class F>
double time_on_gpu(benchmark::State& state, int64_t images, F&& once) {
  for (int i = 0; i < 3; ++i) once();
  synchronize(Device::cuda);
  reset_peak_memory(Device::cuda);
  const auto begin = std::chrono::steady_clock::now();
  for (auto _ : state) {
    once();
    synchronize(Device::cuda);
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() /
                         static_cast<double>(state.iterations());
  state.counters["images/s"] = static_cast<double>(images) / seconds;
  state.counters["peak_GB"] = static_cast<double>(memory_use(Device::cuda).peak) / 1e9;
  return seconds;
}

/// An Error, that of a missing GPU too, ends one benchmark and not the program.
template <class F>
void guarded(benchmark::State& state, F&& run) {
  try {
    run();
  } catch (const Error& e) {
    state.SkipWithError(e.what());
  }
  set_setting(&Settings::allow_tf32, false);
}

/// ResNet-50 on the device and a batch. Throws Error where bf16 is asked for and the card has none.
struct Training {
  ResNet model{resnet_config("resnet50"), kClasses};
  Tensor x, labels;

  Training(int64_t n, DType activations) {
    check(activations != DType::bf16 || cuda_has_bf16(), "no bf16 on this card");
    move_to(Device::cuda, model.named_tensors());
    model.set_activation_dtype(activations);
    x = on_gpu(uniform({n, kSize, kSize, 3}, -2, 2));
    labels = on_gpu(some_labels(n, kClasses));
  }
};

void train_step(benchmark::State& state, bool tf32, DType activations) {
  guarded(state, [&] {
    set_setting(&Settings::allow_tf32, tf32);
    const int64_t n = state.range(0);
    Training training(n, activations);
    auto& [model, x, labels] = training;
    Optimizer optimizer(only_parameters(model.named_tensors()), {});
    time_on_gpu(state, n, [&] {
      const auto gradients = [&] {  // the graph is gone before the optimiser writes
        const Forward f = model.forward(x, ForwardOptions::training());
        return grad_and_release({cross_entropy(f.logits, labels)}, model.parameters());
      }();
      optimizer.step(gradients, 0.01);
    });
  });
}

/// train_step with the penalty beside the cross-entropy: the CAM of layer4 on the same pass, differentiated in full.
/// The masks are on the device.
void box_step(benchmark::State& state, DType activations) {
  guarded(state, [&] {
    const int64_t n = state.range(0);
    Training training(n, activations);
    auto& [model, x, labels] = training;
    Optimizer optimizer(only_parameters(model.named_tensors()), {});
    const Tensor mask = on_gpu(box_masks(some_boxes(n, kSize), kSize, kSize, 0));
    const ExplainOptions options{.cam = {.gradient = CamGradient::full}, .taps = {model.default_tap()}};
    time_on_gpu(state, n, [&] {
      const auto gradients = [&] {
        const Forward f = model.forward(x, ForwardOptions::training(), options.taps);
        const Tensor losses = explain(model, x, f, labels, options, {&cam_losses().front(), mask}).losses;
        return grad_and_release({cross_entropy(f.logits, labels) + 25.0 * mean(losses)}, model.parameters());
      }();
      optimizer.step(gradients, 0.01);
    });
  });
}

/// The step of apps/train, which makes the masks, counts for the metrics and looks for values that are not finite.
void app_step(benchmark::State& state, DType activations, double lambda) {
  guarded(state, [&] {
    const int64_t n = state.range(0);
    Training training(n, activations);
    auto& [model, x, labels] = training;
    const StepInput input{x, labels, some_boxes(n, kSize), some_boxes(n, kSize), std::vector<std::string>(n, "random")};
    Method method;  // the whole gradient, on the classifier's own training pass
    method.penalty.lambda = lambda;
    TrainStep step(model, method, {});
    Metrics metrics(kClasses);
    time_on_gpu(state, n, [&] { step(input, 1e-6, metrics); });
  });
}

/// Grad-CAM of layer4's activations and the box penalty, forward and backward. of_copy: the share of the measured copy
/// bandwidth, counting that activations are read and their gradient written once, and mask, CAM and map.
void cam_and_penalty(benchmark::State& state) {
  guarded(state, [&] {
    const int64_t n = state.range(0);
    Tensor A = on_gpu(uniform({n, 7, 7, 2048}, 0, 1)), alpha = on_gpu(uniform({n, 2048}, -0.02, 0.02));
    A.set_requires_grad();
    alpha.set_requires_grad();
    const Tensor mask = on_gpu(box_masks(some_boxes(n, kSize), kSize, kSize, 0));
    const double bytes = static_cast<double>(2 * A.bytes() + 2 * mask.bytes());
    const double seconds = time_on_gpu(state, n, [&] {
      grad({mean(cam_box(A, alpha, mask, CamNormalizer::differentiated).losses)}, {A, alpha});
    });
    const Tensor from = Tensor::zeros({int64_t{1} << 28}, DType::f32, Device::cuda);
    Tensor to = from.clone();
    const double copy = best_seconds(5, [&] {
      to.copy_from(from);
      synchronize(Device::cuda);
    });
    state.counters["GB/s"] = bytes / seconds / 1e9;
    state.counters["of_copy"] = bytes / seconds / (2.0 * static_cast<double>(from.bytes()) / copy);
  });
}

// compare_pytorch_cuda.py takes its figures by these names.
void batches(benchmark::internal::Benchmark* b) {
  b->Arg(16)->Arg(64)->Arg(256)->UseRealTime()->Unit(benchmark::kMillisecond);
}
BENCHMARK_CAPTURE(train_step, f32, false, DType::f32)->Apply(batches);
BENCHMARK_CAPTURE(train_step, tf32, true, DType::f32)->Apply(batches);
BENCHMARK_CAPTURE(train_step, bf16, false, DType::bf16)->Apply(batches);
void one_batch(benchmark::internal::Benchmark* b) { b->Arg(64)->UseRealTime()->Unit(benchmark::kMillisecond); }
BENCHMARK_CAPTURE(box_step, f32, DType::f32)->Apply(one_batch);
BENCHMARK_CAPTURE(box_step, bf16, DType::bf16)->Apply(one_batch);
BENCHMARK_CAPTURE(app_step, f32, DType::f32, 25.0)->Apply(one_batch);
BENCHMARK_CAPTURE(app_step, f32_lambda_0, DType::f32, 0.0)->Apply(one_batch);
BENCHMARK_CAPTURE(app_step, bf16, DType::bf16, 25.0)->Apply(one_batch);
BENCHMARK(cam_and_penalty)->Arg(16)->Arg(256)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace boxcam::bench

int main(int argc, char** argv) { return boxcam::bench::run(argc, argv); }
