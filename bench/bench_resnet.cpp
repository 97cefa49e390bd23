// Whole networks at batch 16: inference, the cross-entropy step, the training step of `train` in every reading of the
// penalty (apps/train_step.h: it has the CAM, the penalty, the metrics and the check for finite values besides), what
// split and swap add to it, and the model copy of the thesis. compare_pytorch.py reads the results by name.
#include <chrono>
#include <tuple>

#include "apps/train_step.h"
#include "bench/step.h"
#include "nn/data/scenes/scenes.h"
#include "xai/metric_estimates.h"

namespace boxcam::bench {
namespace {

constexpr int64_t kBatch = 16, kSize = 224;

/// Operations of a forward pass's convolutions (a multiplication and an addition for each weight at each position); the
/// linear head and everything elementwise are below 1 %.
double forward_flops(ResNet& model, const Tensor& x) {
  const NoGrad no_grad;
  const Forward f = model.forward(x, {}, model.tap_names());
  double flops = 0;
  for (const NamedTensor& t : model.named_tensors()) {
    if (t.layout != NamedTensor::Layout::convolution) continue;
    const size_t downsample = t.name.find(".downsample");  // as large as its block's output
    const Tensor& y = f.taps.at(t.name.substr(0, downsample != std::string::npos ? downsample : t.name.rfind('.')));
    flops += 2.0 * static_cast<double>(t.tensor.numel()) * static_cast<double>(y.numel() / y.dim(3));
  }
  return flops;
}

/// A convolution for the input's gradient and one for the weights'; the images need none.
double backward_flops(ResNet& model, const Tensor& x) {
  const Tensor stem = model.parameters().front();
  return 2 * forward_flops(model, x) - 2.0 * static_cast<double>(stem.numel() * x.numel() / 3 / 4);  // stride 2
}

void inference(benchmark::State& state, const char* name, int64_t size) {
  ResNet model(resnet_config(name), kClasses);
  const Tensor x = uniform({kBatch, size, size, 3}, -2, 2);
  const NoGrad no_grad;
  const double flops = forward_flops(model, x);
  report_flops(state, flops, measure(state, kBatch, [&] { benchmark::DoNotOptimize(model.forward(x, {})); }));
}

void cross_entropy_step(benchmark::State& state, const char* name, int64_t batch, int64_t size, DType activations) {
  if (activations == DType::bf16 && !cpu_has_bf16()) return state.SkipWithError("no bf16 on this processor");
  CrossEntropyStep step(name, batch, size, activations);
  const double flops = forward_flops(step.model, step.x) + backward_flops(step.model, step.x);
  report_flops(state, flops, measure(state, batch, step));
}

/// A reading of the penalty, and the forward and backward passes it needs.
struct Case {
  Reading reading;
  int forwards, backwards;
  double lambda = 1;
};

void train_step_of(benchmark::State& state, const Case& c) {
  ResNet CL(resnet_config("resnet50"), kClasses);
  const StepInput input{uniform({kBatch, kSize, kSize, 3}, -2, 2), some_labels(kBatch, kClasses),
                        some_boxes(kBatch, kSize), some_boxes(kBatch, kSize),
                        std::vector<std::string>(kBatch, "random")};
  Method method;
  method.penalty.lambda = c.lambda;
  method.reading = c.reading;
  TrainStep step(CL, method, {});
  Metrics metrics(kClasses);
  const double flops = c.forwards * forward_flops(CL, input.x) + c.backwards * backward_flops(CL, input.x);
  report_flops(state, flops, measure(state, kBatch, [&] { step(input, 1e-6, metrics); }));
}

/// The copy of step (8) onto a model that exists, and with `fresh` into a new one: parameters and running statistics,
/// read and written.
void model_copy(benchmark::State& state, bool fresh) {
  const ResNet CL(resnet_config("resnet50"), kClasses);
  ResNet GC = CL.clone();
  double bytes = 0;
  for (const NamedTensor& t : CL.named_tensors()) bytes += 2.0 * static_cast<double>(t.tensor.bytes());
  report_bytes(state, bytes, measure(state, 0, [&] {
                 if (fresh)
                   benchmark::DoNotOptimize(CL.clone());
                 else
                   GC.copy_from(CL);
               }));
}

/// What boxes add to a step without a penalty, from the loader's batch of bytes to the changed weights: steps with and
/// without it take turns, on models of their own. `ratio` is that of the medians, from `ratio_low` to `ratio_high`
/// (quartiles of the ratios of neighbours); `of_inputs` what making the step's input takes longer, of a whole step.
void step_with(benchmark::State& state, const char* name, int64_t batch, int64_t size, double split, double swap) {
  using Clock = std::chrono::steady_clock;
  const Scenes scenes(0, 4 * batch, ScenesSplit::train);
  LoaderOptions options;
  options.batch = batch;
  options.preprocess = {.image_size = static_cast<int>(size)};
  options.threads = 1;
  struct Side {
    Side(const char* model, const Method& m, const Dataset& data, const LoaderOptions& loader)
        : CL(resnet_config(model), kClasses), step(CL, m, {}), inputs(m, data, loader, Device::cpu, 0) {}
    double run(Batch bytes, int64_t number) {
      const auto begin = Clock::now();
      const StepInput input = inputs(bytes, number);
      input_seconds.push_back(std::chrono::duration<double>(Clock::now() - begin).count());
      step(input, 1e-6, metrics);
      seconds.push_back(std::chrono::duration<double>(Clock::now() - begin).count());
      return seconds.back();
    }
    ResNet CL;
    TrainStep step;
    StepInputs inputs;
    Metrics metrics{kClasses};
    std::vector<double> seconds, input_seconds;
  };
  Method plain, changed;
  changed.evidence_split = split, changed.swap.share = swap;
  Side without(name, plain, scenes, options), with(name, changed, scenes, options);
  Loader loader(scenes, options);
  loader.start_epoch(0);
  const Batch bytes = *loader.next();
  without.run(bytes, 0), with.run(bytes, 0);
  without.seconds.clear(), with.seconds.clear();
  std::vector<double> ratios;
  int64_t number = 0;
  for (auto _ : state) {
    ++number;
    const double first = (number % 2 ? without : with).run(bytes, number);
    const double second = (number % 2 ? with : without).run(bytes, number);
    ratios.push_back(number % 2 ? second / first : first / second);
  }
  const double step = quantile(without.seconds, 0.5);
  state.counters["ratio"] = quantile(with.seconds, 0.5) / step;
  state.counters["of_inputs"] = (quantile(with.input_seconds, 0.5) - quantile(without.input_seconds, 0.5)) / step;
  state.counters["ratio_low"] = quantile(ratios, 0.25);
  state.counters["ratio_high"] = quantile(ratios, 0.75);
}

void register_all() {
  using Teaches = Reading::Teaches;
  using Norm = Reading::BatchNorm;
  using Model = Reading::CamModel;
  add("inference/resnet50", inference, "resnet50", kSize);
  add("inference/resnet18", inference, "resnet18", kSize);
  add("inference/resnet-mini", inference, "resnet-mini", 96);
  add("cross_entropy_step/resnet50", cross_entropy_step, "resnet50", kBatch, kSize, DType::f32)->Iterations(3);
  add("cross_entropy_step/resnet50/bf16", cross_entropy_step, "resnet50", kBatch, kSize, DType::bf16)->Iterations(3);
  add("cross_entropy_step/resnet18", cross_entropy_step, "resnet18", kBatch, kSize, DType::f32)->Iterations(3);
  add("cross_entropy_step/resnet-mini", cross_entropy_step, "resnet-mini", 32, 96, DType::f32);

  // On the classifier itself; with eval batch norm the CAM needs a pass of its own.
  const auto step = [](const std::string& name, Teaches teaches, Model model, Norm norm, int forwards, int backwards,
                       double lambda = 1) {
    const Reading reading{.teaches = teaches, .cam_model = model, .batch_norm = norm};
    add("train_step/resnet50/" + name, train_step_of, Case{reading, forwards, backwards, lambda})->Iterations(3);
  };
  step("lambda_0", Teaches::full, Model::shared, Norm::train, 1, 1, 0);
  step("full", Teaches::full, Model::shared, Norm::train, 1, 1);
  step("full_eval", Teaches::full, Model::shared, Norm::eval, 2, 2);
  step("activations", Teaches::activations, Model::shared, Norm::train, 1, 1);
  step("weights", Teaches::weights, Model::shared, Norm::train, 1, 1);
  step("leak", Teaches::leak, Model::shared, Norm::train, 1, 1);
  // On a copy: the thesis to the letter, and the reading in which copy and lambda both matter.
  step("thesis", Teaches::constant, Model::copy, Norm::eval, 2, 1);
  step("transfer", Teaches::transfer, Model::copy, Norm::eval, 2, 2);

  for (const auto& [what, split, swap] :
       {std::tuple("split", 1.0, 0.0), std::tuple("swap", 0.0, 0.4), std::tuple("swap_split", 1.0, 0.4)}) {
    add(str("step_with/resnet50/", what), step_with, "resnet50", kBatch, kSize, split, swap)->Iterations(15);
    add(str("step_with/resnet-mini/", what), step_with, "resnet-mini", 32, 96, split, swap)->Iterations(200);
  }
  add("model_copy/existing", model_copy, false);
  add("model_copy/fresh", model_copy, true);
}

}  // namespace
}  // namespace boxcam::bench

int main(int argc, char** argv) {
  boxcam::bench::register_all();
  return boxcam::bench::run(argc, argv);
}
