// A network of two layers from nn/layers.h, trained on pictures that are made here: stripes that lie or stand.
//
//   build/docs/examples/train_a_tiny_network
#include <boxcam/boxcam.h>

#include <cmath>
#include <cstdio>

using namespace boxcam;

struct Network {
  ConvNorm conv = ConvNorm::make("conv", 1, 8, 3, {.padding = 1}, DType::f32, 0);
  Linear head = Linear::make("head", 8, 2, DType::f32, 0);

  Tensor operator()(const Tensor& x, const ForwardOptions& options) {      // [N, H, W, 1] -> logits [N, 2]
    return head(global_avg_pool(conv.norm(conv.conv(x), options, true)));  // true: with a ReLU
  }
};

int main() {
  Network network;
  const auto& [conv, head] = network;
  const std::vector<Tensor> parameters = {conv.conv.weight, conv.norm.weight, conv.norm.bias, head.weight, head.bias};
  std::vector<NamedTensor> named;
  for (const Tensor& p : parameters) named.push_back({str("parameter ", named.size()), p});
  Optimizer optimizer(named, {});
  Random random(0);
  for (int step = 0; step <= 100; ++step) {
    std::vector<float> pixels;
    std::vector<int32_t> classes;
    for (int i = 0; i < 32 * 144; ++i) {
      if (i % 144 == 0) classes.push_back(int32_t(random.below(2)));
      pixels.push_back(float(std::sin(classes.back() ? i % 12 : i / 12 % 12) + random.normal()));
    }
    const Tensor x = Tensor::from({32, 12, 12, 1}, pixels), labels = Tensor::from({32}, classes);
    const Tensor logits = network(x, ForwardOptions::training()), loss = cross_entropy(logits, labels);
    if (step % 20 == 0) std::printf("step %3d: cross-entropy %.3f\n", step, loss.item());
    optimizer.step(grad({loss}, parameters), 0.05);
  }
}
