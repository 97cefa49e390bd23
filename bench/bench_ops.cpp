// Every op at the shapes of ResNet-50 (batch 16, 224 px), next to what limits it. Convolutions: of_peak is the share of
// the measured matrix product, of_bare that of oneDNN's own primitive without the reorders around it. Everything else
// but the matrix products: of_copy is the share of the measured copy bandwidth. Gradients are taken through `grad` on a
// graph that was recorded before.
// bare_convolutions/resnet50 is the sum over all convolutions of ResNet-50, forward and both gradients (without the
// gradient of the images), of the bare primitives: what a training step could at best take.
#include <functional>

#include "bench/bare_convolutions.h"
#include "bench/machine.h"
#include "engine/backend/backend.h"
#include "models/resnet.h"
#include "nn/optim.h"

namespace boxcam::bench {
namespace {

constexpr int64_t kBatch = 16, kClasses = 1000;

// ---- convolutions ---------------------------------------------------------------------------------------------------

ConvAlgorithm algorithm_of(const std::string& name) {
  return name == "direct" ? ConvAlgorithm::direct : ConvAlgorithm::automatic;
}

std::vector<std::string> implementations(const Convolution& c, const std::string& algorithm) {
  set_setting(&Settings::conv_algorithm, algorithm_of(algorithm));
  return backend(Device::cpu).conv2d_implementations(c.x, c.w, c.y, c.spec, DType::f32);
}

/// bare_times, measured once.
const std::map<std::string, BareTime>& bare_times_once(const std::string& algorithm) {
  static std::map<std::string, std::map<std::string, BareTime>> known;
  if (!known.contains(algorithm)) known[algorithm] = bare_times(algorithm);
  return known[algorithm];
}

void convolution(benchmark::State& state, const Convolution& c, size_t kind, const std::string& algorithm) {
  state.SetLabel(str(c.x, " * ", c.w, " -> ", c.y, ", ", implementations(c, algorithm)[kind], ", ", c.count, " times"));
  const NoGrad no_grad;
  const double seconds = measure(state, 0, convolution_call(c, kConvolutionKinds[kind]));
  report_flops(state, c.flops(), seconds);
  const auto& bare = bare_times_once(algorithm);
  const auto found = bare.find(c.name + "/" + kConvolutionKinds[kind]);
  if (found != bare.end()) state.counters["of_bare"] = found->second.primitive / seconds;
}

void bare_convolutions(benchmark::State& state, const std::string& algorithm) {
  const auto list = resnet50_convolutions(kBatch);
  BareTime sum;
  double flops = 0;
  for (auto _ : state) {
    const auto times = bare_times(algorithm);
    if (times.empty()) return state.SkipWithError("built without oneDNN");
    sum = {0, 0}, flops = 0;
    for (const Convolution& c : list)
      for (const std::string& kind : kConvolutionKinds) {
        if (kind == "input_grad" && c.is_first()) continue;
        const BareTime t = times.at(c.name + "/" + kind);
        sum.primitive += c.count * t.primitive;
        sum.reorders += c.count * t.reorders;
        state.counters[kind + "_ms"] += c.count * t.primitive * 1e3 / static_cast<double>(state.max_iterations);
        flops += c.count * c.flops();
      }
    state.SetIterationTime(sum.primitive);
  }
  state.counters["reorders_ms"] = sum.reorders * 1e3;
  report_flops(state, flops, sum.primitive);
}

void register_convolutions() {
  for (const std::string algorithm : {"direct", "auto"})
    benchmark::RegisterBenchmark(("bare_convolutions/resnet50/" + algorithm).c_str(), bare_convolutions, algorithm)
        ->UseManualTime()
        ->Iterations(1)
        ->Unit(benchmark::kMillisecond);
  for (const Convolution& c : resnet50_convolutions(kBatch)) {
    const auto direct = implementations(c, "direct"), automatic = implementations(c, "auto");
    for (size_t kind = 0; kind < kConvolutionKinds.size(); ++kind) {
      if (kConvolutionKinds[kind] == "input_grad" && c.is_first()) continue;
      for (const std::string algorithm : {"direct", "auto"})
        if (algorithm == "direct" || direct[kind] != automatic[kind])
          add(str("conv2d/", c.name, "/", kConvolutionKinds[kind], "/", algorithm), convolution, c, kind, algorithm);
    }
  }
}

// ---- matrix products ------------------------------------------------------------------------------------------------

void register_products() {
  const auto product = [](const std::string& name, const Shape& a, const Shape& b, bool transpose_a, bool transpose_b) {
    add("matmul/" + name, [=](benchmark::State& state) {
      const NoGrad no_grad;
      const Tensor left = uniform(a, -1, 1), right = uniform(b, -1, 1);
      const double seconds =
          measure(state, 0, [&] { matmul(left, right, {.transpose_a = transpose_a, .transpose_b = transpose_b}); });
      report_flops(state, 2.0 * static_cast<double>(left.numel() * right.dim(transpose_b ? 0 : 1)), seconds);
    });
  };
  product("square", {2048, 2048}, {2048, 2048}, false, false);
  product("head/forward", {kBatch, 2048}, {kClasses, 2048}, false, true);
  product("head/input_grad", {kBatch, kClasses}, {kClasses, 2048}, false, false);
  product("head/weight_grad", {kBatch, kClasses}, {kBatch, 2048}, true, false);
}

// ---- ops that memory limits -----------------------------------------------------------------------------------------

/// A call that repeats, and the bytes that it cannot avoid to move.
struct Work {
  std::function<void()> call;
  double bytes;
};

/// Registers an op; prepare() makes its operands.
void memory_bound(const std::string& name, std::function<Work()> prepare, bool record_graph = false) {
  add(name, [=](benchmark::State& state) {
    const GradMode mode(record_graph);
    const Work work = prepare();
    report_bytes(state, work.bytes, measure(state, 0, work.call));
  });
}

double bytes_of(const std::vector<Tensor>& tensors) {
  double sum = 0;
  for (const Tensor& t : tensors) sum += static_cast<double>(t.bytes());
  return sum;
}

/// An op and its gradient with respect to all inputs, which reads the output's gradient, writes the inputs', and may
/// have to read the inputs (or an output of their size).
void with_gradient(const std::string& name, const std::vector<Shape>& shapes,
                   const std::function<Tensor(const std::vector<Tensor>&)>& op, bool gradient_reads_inputs) {
  const auto inputs = [=] {
    std::vector<Tensor> list;
    for (const Shape& s : shapes) list.push_back(variable(s, 0.1, 1));
    return list;
  };
  memory_bound(name + "/forward", [=] {
    const auto x = inputs();
    return Work{[=] { op(x); }, bytes_of(x) + bytes_of({op(x)})};
  });
  memory_bound(
      name + "/backward",
      [=] {
        const auto x = inputs();
        const Tensor y = op(x), g = uniform(y.shape(), -1, 1);
        return Work{[=] { grad({y}, x, {.seeds = {g}}); },
                    bytes_of({g}) + bytes_of(x) * (gradient_reads_inputs ? 2 : 1)};
      },
      true);
}

void register_elementwise() {
  const Shape map{kBatch, 56, 56, 256}, channels{kBatch, 1, 1, 256};
  using Inputs = const std::vector<Tensor>&;
  with_gradient(
      "relu", {map}, [](Inputs x) { return relu(x[0]); }, true);
  with_gradient(
      "exp", {map}, [](Inputs x) { return exp(x[0]); }, true);
  with_gradient(
      "mul", {map, map}, [](Inputs x) { return mul(x[0], x[1]); }, true);
  with_gradient(
      "mul_channels", {map, channels}, [](Inputs x) { return mul(x[0], x[1]); }, true);
  with_gradient(
      "mul_scalar", {map}, [](Inputs x) { return mul_scalar(x[0], 0.5); }, false);
  with_gradient(
      "sum_channels", {map}, [](Inputs x) { return sum(x[0], {3}); }, false);
  with_gradient(
      "sum", {map}, [](Inputs x) { return sum(x[0]); }, false);
  with_gradient(
      "slice", {map}, [](Inputs x) { return slice(x[0], 0, 0, kBatch / 2); }, false);
  with_gradient(
      "pad", {map}, [](Inputs x) { return pad(x[0], 0, 1, 1); }, false);
  memory_bound("add", [=] {  // its gradient is no work
    const Tensor a = uniform(map, -1, 1), b = uniform(map, -1, 1);
    return Work{[=] { boxcam::add(a, b); }, 3 * bytes_of({a})};
  });
  memory_bound("argmax", [] {
    const Tensor maps = uniform({kBatch, 224 * 224}, 0, 1);
    return Work{[=] { argmax(maps); }, bytes_of({maps})};
  });
}

/// Forward: x twice (statistics first), the residual, y. Backward: x and g twice (sums first), gx; with a residual the
/// first pass also reads y for the ReLU's gate and writes the residual's gradient, which the second reads instead of g.
void register_batch_norm(const Shape& shape, bool with_residual) {
  const std::string name =
      str("batch_norm/", shape[1], "x", shape[2], "x", shape[3], with_residual ? "/residual_relu" : "/relu");
  struct Operands {
    Tensor x, gamma, beta, residual;
    Tensor y() const { return batch_norm_train(x, gamma, beta, 1e-5, true, residual); }
  };
  const auto operands = [=] {
    const Shape channels{shape[3]};
    return Operands{variable(shape, -1, 1), variable(channels, 0.5, 1.5), variable(channels, -1, 1),
                    with_residual ? variable(shape, -1, 1) : Tensor{}};
  };
  memory_bound(name + "/forward", [=] {
    const Operands o = operands();
    return Work{[=] { o.y(); }, bytes_of({o.x}) * (with_residual ? 4 : 3)};
  });
  memory_bound(
      name + "/backward",
      [=] {
        const Operands o = operands();
        const Tensor y = o.y(), g = uniform(shape, -1, 1);
        std::vector<Tensor> wanted = {o.x, o.gamma, o.beta};
        if (with_residual) wanted.push_back(o.residual);
        return Work{[=] { grad({y}, wanted, {.seeds = {g}}); }, bytes_of({g}) * (with_residual ? 7 : 5)};
      },
      true);
  if (with_residual) return;
  memory_bound(name + "/eval", [=] {
    const Operands o = operands();
    const Tensor mean = uniform({shape[3]}, -1, 1), variance = uniform({shape[3]}, 0.5, 1.5);
    return Work{[=] { batch_norm_eval(o.x, o.gamma, o.beta, mean, variance, 1e-5, true); }, bytes_of({o.x}) * 2};
  });
}

void register_maps() {
  using Inputs = const std::vector<Tensor>&;
  register_batch_norm({kBatch, 112, 112, 64}, false);
  register_batch_norm({kBatch, 56, 56, 64}, false);
  register_batch_norm({kBatch, 14, 14, 256}, false);
  for (const Shape& s :
       {Shape{kBatch, 56, 56, 256}, Shape{kBatch, 28, 28, 512}, Shape{kBatch, 14, 14, 1024}, Shape{kBatch, 7, 7, 2048}})
    register_batch_norm(s, true);
  with_gradient(
      "max_pool2d", {{kBatch, 112, 112, 64}},
      [](Inputs x) {
        return max_pool2d(x[0], {3, 2, 1, false});
      },
      false);
  with_gradient(
      "global_avg_pool", {{kBatch, 7, 7, 2048}}, [](Inputs x) { return global_avg_pool(x[0]); }, false);
  with_gradient(
      "bilinear_resize", {{kBatch, 7, 7}}, [](Inputs x) { return bilinear_resize(x[0], 224, 224); }, false);
  for (const int64_t n : {kBatch, int64_t{256}}) {
    const Shape logits{n, kClasses};
    with_gradient(
        str("softmax/", n), {logits}, [](Inputs x) { return softmax(x[0]); }, true);
    with_gradient(
        str("cross_entropy/", n), {logits}, [=](Inputs x) { return cross_entropy(x[0], some_labels(n, kClasses)); },
        true);
  }
}

/// All parameters of ResNet-50. SGD reads parameter, gradient and momentum and writes two of them; AdamW has one more.
void register_optimizers() {
  using Kind = OptimizerOptions::Kind;
  for (const Kind kind : {Kind::sgd, Kind::adamw})
    memory_bound(kind == Kind::sgd ? "optimizer/sgd" : "optimizer/adamw", [=] {
      const ResNet model(resnet_config("resnet50"), kClasses);
      std::vector<NamedTensor> parameters;
      std::vector<Tensor> gradients;
      for (const NamedTensor& t : model.named_tensors()) {
        if (!t.is_parameter()) continue;
        parameters.push_back(t);
        gradients.push_back(uniform(t.tensor.shape(), -1e-3, 1e-3));
      }
      OptimizerOptions options;
      options.kind = kind;
      const auto optimizer = std::make_shared<Optimizer>(parameters, options);
      return Work{[=] { optimizer->step(gradients, 1e-6); }, bytes_of(gradients) * (kind == Kind::sgd ? 5 : 7)};
    });
}

}  // namespace
}  // namespace boxcam::bench

int main(int argc, char** argv) {
  using namespace boxcam::bench;
  const std::string option = argc == 2 ? argv[1] : "";
  if (option.starts_with(kBareOption)) {
    run_bare_convolutions(option.substr(std::string(kBareOption).size()));
    return 0;
  }
  register_convolutions();
  register_products();
  register_elementwise();
  register_maps();
  register_optimizers();
  return run(argc, argv);
}
