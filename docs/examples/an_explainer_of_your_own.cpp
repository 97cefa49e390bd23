// An explainer of your own beside Grad-CAM: only the channels that speak for the class count, none that speak against
// it, so no map is negative anywhere. Everything else (derivatives, several taps, profiles, losses) is explain()'s.
//
//   build/docs/examples/an_explainer_of_your_own
#include <boxcam/boxcam.h>

#include <algorithm>
#include <cstdio>

using namespace boxcam;

Tensor positive_channels(const Evidence& e) { return relu(e.mean_gradient()); }  // [N, 1, 1, K]
const Explainer mine = {"positive-cam", "sum_k relu(mean(g_k)) A_k", positive_channels};

int main() {
  const Scenes scenes(0, 16, ScenesSplit::train, {.image_size = 64});
  Loader loader(scenes, {.batch = 16, .preprocess = {.image_size = 64}});
  loader.start_epoch(0);
  const Batch batch = *loader.next();
  const Tensor x = input_tensor(batch), labels = label_tensor(batch), B = box_masks(batch.boxes, 64, 64, 0);
  const auto model = make_classifier("resnet-mini", 4);
  for (const Explainer* explainer : {&explainers().front(), &mine}) {
    ExplainOptions options{.cam = {.gradient = CamGradient::full, .explainer = explainer}, .taps = {"layer3"}};
    const Forward pass = explained_forward(*model, x, ForwardOptions::observing(Mode::train), options);
    const Explanation e = explain(*model, x, pass, labels, options);
    const auto M = e.raw[0].to_vector();
    const auto [low, high] = std::minmax_element(M.begin(), M.end());
    const auto gradients = grad({box_penalty(e.cam, B)}, model->parameters());  // it can be trained through
    double squares = 0;
    for (const Tensor& g : gradients) squares += sum(g * g).item();
    std::printf("%s, M = %s: M from %.4g to %.4g; squared norm of its penalty's gradient %.3g\n", explainer->name,
                explainer->formula, *low, *high, squares);
  }
}
