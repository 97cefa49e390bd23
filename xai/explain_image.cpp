#include "xai/explain_image.h"

#include "nn/input.h"
#include "xai/metrics.h"
#include "xai/multi_label.h"

namespace boxcam {

ImageExplanation explain_image(Classifier& model, const Image& image, int64_t explained, const ExplainOptions& options,
                               Task task) {
  const Tensor x = input_tensor(image, model.device());
  const Forward pass = explained_forward(model, x, ForwardOptions::observing(), options);
  ImageExplanation e;
  e.logits = pass.logits.detach();
  for (const std::string& tap : options.taps) e.activations.push_back(pass.taps.at(tap).detach());
  e.predicted = predictions(pass.logits)[0];
  e.explained = explained < 0 ? e.predicted : explained;
  const Tensor label = Tensor::from({1}, std::vector<int32_t>{static_cast<int32_t>(e.explained)});
  ExplainOptions of_label = options;
  of_label.explains = ExplainOptions::Class::label;
  e.explanation = explain(model, x, pass, label.to(model.device()), of_label);
  e.score = class_probabilities(e.logits, task)[static_cast<size_t>(e.predicted)];
  return e;
}

}  // namespace boxcam
