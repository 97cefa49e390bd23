// Grad-CAM of an image file: the picture with a heat map of what speaks for the class that the network sees in it.
//
//   build/docs/examples/grad_cam_of_an_image photo.jpg overlay.png [MODEL [WEIGHTS]]
//
// WEIGHTS is a .pth of torchvision or a .safetensors, say of a run. Without it the weights are random, and so is the
// answer. MODEL is a name of the table in models/models.cpp, by default its first.
#include <boxcam/boxcam.h>

#include <iostream>

using namespace boxcam;

int main(int argc, char** argv) try {
  const std::vector<std::string> words(argv + 1, argv + argc);
  check(words.size() >= 2 && words.size() <= 4, "expected IMAGE OVERLAY [MODEL [WEIGHTS]]");
  const ModelKind& kind = words.size() > 2 ? model_kind(words[2]) : model_kinds().front();
  const TensorFile weights = words.size() > 3 ? read_weights(words[3], tensor_names(kind)) : TensorFile{};
  const auto model = kind.make(words.size() > 3 ? classes_in(weights, kind) : 1000, DType::f32, 0);
  if (words.size() > 3) std::cout << summary(load_weights(model->named_tensors(), weights)) << "\n";

  Sample sample;
  sample.image = read_image(words[0]);
  sample = prepare(std::move(sample), Preprocess{}, nullptr);  // to 224 x 224 pixels

  ExplainOptions options;
  settle_taps(options, *model);  // the last activations before the head, unless options.taps names others
  const ImageExplanation e = explain_image(*model, sample.image, -1, options);  // -1: of the predicted class
  const Tensor& cam = e.explanation.cam;                                        // [1, 224, 224], from 0 to 1

  const OverlayText text{str("class ", e.predicted, ", ", 100 * e.score, " %")};
  write_png(words[1], overlay(sample.image, {cam.data<float>(), size_t(cam.numel())}, {}, text));
  std::cout << words[0] << ": " << text.title << "; its Grad-CAM -> " << words[1] << "\n";
} catch (const Error& error) {
  std::cerr << error.what() << "\n";
  return 1;
}
