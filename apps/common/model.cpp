#include "apps/common/model.h"

#include "models/models.h"
#include "models/weights.h"

namespace boxcam {

NewModel make_model(const ModelOptions& options, int64_t classes, uint64_t seed) {
  NewModel made{make_classifier(options.model, classes, DType::f32, seed), "random weights"};
  if (options.weights.empty()) {
    check(options.allow_missing.empty(), "--weights-allow-missing was given without --weights");
    return made;
  }
  try {
    const TensorFile file = read_weights(options.weights, tensor_names(model_kind(options.model)));
    made.report = summary(load_weights(made.model->named_tensors(), file, {options.allow_missing, true}));
  } catch (const MissingTensors& e) {
    fail(e.what(), " (--weights-allow-missing names parts that may start fresh)");
  }
  return made;
}

std::unique_ptr<Classifier> load_model(const std::string& checkpoint, const std::string& model_name, int64_t classes) {
  const WeightFile opened(checkpoint);
  const auto named = opened.metadata().find("model");
  const ModelKind& kind = model_kind(named != opened.metadata().end() ? named->second : model_name);
  const TensorFile file = opened.take(tensor_names(kind));
  const int64_t found = classes_in(file, kind);
  check(classes == 0 || found == classes, checkpoint, " has ", found, " classes, the data have ", classes);
  std::unique_ptr<Classifier> model = kind.make(found, DType::f32, 0);
  load_weights(model->named_tensors(), file, {{}, false});
  return model;
}

void place(Classifier& model, const RunOptions& run) {
  move_to(run.device, model.named_tensors());
  model.set_activation_dtype(run.precision);
}

}  // namespace boxcam
