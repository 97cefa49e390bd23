// A loss of your own on the CAM: one minus the Dice overlap of Grad-CAM and boxes, trained beside the cross-entropy.
// It is written in ops, so its gradient, which passes through a gradient, comes by itself.
//
//   build/docs/examples/a_loss_of_your_own
#include <boxcam/boxcam.h>

#include <cstdio>

using namespace boxcam;

/// [N]: 1 - 2 sum C B / (sum C + sum B) of CAMs and masks [N, H, W]; always 1 for an image without a box.
Tensor dice_loss(const Tensor& C, const Tensor& B) {
  return -(2.0 * sum(C * B, {1, 2}) / (sum(C, {1, 2}) + sum(B, {1, 2}) + kCamEpsilon)) + 1.0;
}
const CamLoss dice = {"dice", "1 - 2 sum C B / (sum C + sum B)", dice_loss};

int main() {
  const Scenes scenes(0, 128, ScenesSplit::train, {.image_size = 64});
  Loader loader(scenes, {.batch = 16, .preprocess = {.image_size = 64}, .shuffle = true});
  const auto model = make_classifier("resnet-mini", 4);
  Optimizer optimizer(only_parameters(model->named_tensors()), {});
  ExplainOptions options;
  options.cam = {.target = CamTarget::centered, .gradient = CamGradient::full};
  settle_taps(options, *model);
  for (int epoch = 0; epoch < 4; ++epoch) {
    double total = 0;
    loader.start_epoch(epoch);
    while (const auto batch = loader.next()) {
      const Tensor x = input_tensor(*batch), labels = label_tensor(*batch), B = box_masks(batch->boxes, 64, 64, 0);
      const Forward pass = explained_forward(*model, x, ForwardOptions::training(), options);
      const Tensor D = mean(explain(*model, x, pass, labels, options, {&dice, B}).losses);
      optimizer.step(grad({cross_entropy(pass.logits, labels) + 4.0 * D}, model->parameters()), 0.01);
      total += D.item();
    }
    std::printf("epoch %d: 1 - Dice = %.3f\n", epoch, total / double(loader.batches()));
  }
}
