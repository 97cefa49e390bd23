// Score-CAM and Ablation-CAM of ResNet-50 at layer4, one picture of 224 px from its pixels to its map: what
// compare_explainers.py sets beside pytorch-grad-cam's. Score-CAM shows the network 2048 masked pictures, for which one
// call is measured and none warms up.
#include "bench/machine.h"
#include "models/resnet.h"
#include "xai/explain.h"

namespace boxcam::bench {
namespace {

constexpr int64_t kSize = 224, kClasses = 1000;

void explain_picture(benchmark::State& state, const char* name, DType activations) {
  if (activations == DType::bf16 && !cpu_has_bf16()) return state.SkipWithError("no bf16 on this processor");
  ResNet model(resnet_config("resnet50"), kClasses);
  model.set_activation_dtype(activations);
  ExplainOptions options;
  options.cam.explainer = &explainer(name);
  settle_taps(options, model);
  const Tensor x = uniform({1, kSize, kSize, 3}, -2, 2), label = some_labels(1, kClasses);
  for (auto _ : state) {
    const Forward pass = explained_forward(model, x, ForwardOptions::observing(), options);
    benchmark::DoNotOptimize(explain(model, x, pass, label, options).cam);
  }
}

void register_all() {
  add("score-cam/resnet50/f32", explain_picture, "score-cam", DType::f32)->Iterations(1);
  add("score-cam/resnet50/bf16", explain_picture, "score-cam", DType::bf16)->Iterations(1);
  add("ablation-cam/resnet50/f32", explain_picture, "ablation-cam", DType::f32);
}

}  // namespace
}  // namespace boxcam::bench

int main(int argc, char** argv) {
  boxcam::bench::register_all();
  return boxcam::bench::run(argc, argv);
}
