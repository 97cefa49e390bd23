#include "apps/common/model.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/base/text.h"
#include "models/models.h"
#include "models/weights.h"

namespace boxcam {

namespace {

/// Row i of the result is row order[i].
FileTensor with_rows(const FileTensor& t, const std::vector<size_t>& order) {
  Tensor rows = Tensor::empty(t.shape(), t.tensor.dtype());
  const size_t bytes = static_cast<size_t>(t.shape().numel()) / order.size() * item_size(t.tensor.dtype());
  const char* from = static_cast<const char*>(t.tensor.raw_data());
  char* to = static_cast<char*>(rows.raw_data());
  for (size_t i = 0; i < order.size(); ++i) std::memcpy(to + i * bytes, from + order[i] * bytes, bytes);
  return {t.name, rows};
}

/// Makes the head in `file`, which was trained on other names or another order, fit `classes`: its rows change places,
/// or it is left out, and then its tensors may be missing.
void fit_head(TensorFile& file, const std::vector<std::string>& trained, const std::vector<std::string>& classes,
              const std::vector<NamedTensor>& model, std::vector<std::string>& allow_missing) {
  if (trained.empty() || trained == classes || trained.size() != classes.size()) return;  // load_weights compares sizes
  std::vector<size_t> order;
  for (const std::string& name : classes) {
    const auto found = std::find(trained.begin(), trained.end(), name);
    if (found != trained.end()) order.push_back(static_cast<size_t>(found - trained.begin()));
  }
  const bool same_names = order.size() == classes.size();
  for (const NamedTensor& target : model) {
    const auto stored = std::find_if(file.tensors.begin(), file.tensors.end(),
                                     [&](const FileTensor& t) { return t.name == target.name; });
    if (!target.head || stored == file.tensors.end()) continue;
    if (!same_names) {
      file.tensors.erase(stored);
      allow_missing.push_back(target.name);
    } else if (!stored->is_int64() && stored->shape().ndim() > 0 &&
               stored->shape()[0] == static_cast<int64_t>(order.size())) {
      *stored = with_rows(*stored, order);
    }
  }
  file.notes.push_back(same_names ? str("the head's outputs were put into the order ", join(classes, ","),
                                        "; the file has ", join(trained, ","))
                                  : str("the head is for other classes (", join(trained, ","), ") and starts fresh"));
}

/// A network that holds a NaN would measure something, and draw something, all the same.
void check_numbers(const std::string& path, const std::vector<NamedTensor>& tensors) {
  for (const NamedTensor& t : tensors) {
    if (t.tensor.dtype() != DType::f32) continue;
    const float* values = t.tensor.data<float>();
    const float* end = values + t.tensor.numel();
    const float* odd = std::find_if(values, end, [](float value) { return !std::isfinite(value); });
    check(odd == end, path, ": tensor ", t.name, " holds ", odd == end ? 0 : *odd, ", expected finite numbers");
  }
}

}  // namespace

NewModel make_model(const ModelOptions& options, const ModelCard& start, const std::vector<std::string>& classes,
                    uint64_t seed) {
  NewModel made{make_classifier(options.model, static_cast<int64_t>(classes.size()), DType::f32, seed),
                "random weights", ""};
  if (options.weights.empty()) {
    check(options.allow_missing.empty(), "--weights-allow-missing was given without --weights");
    return made;
  }
  const std::vector<NamedTensor> tensors = made.model->named_tensors();
  TensorFile file = read_weights(options.weights, tensor_names(model_kind(options.model)));
  made.weights_sha256 = tensors_sha256(file);
  LoadOptions load{options.allow_missing, true};
  fit_head(file, start.classes, classes, tensors, load.allow_missing);
  try {
    made.report = summary(load_weights(tensors, file, load));
  } catch (const MissingTensors& e) {
    fail(e.what(), " (--weights-allow-missing names parts that may start fresh)");
  }
  return made;
}

NewModel load_model(const std::string& checkpoint, const std::string& model_name) {
  const ModelKind& kind = model_kind(model_name);
  const TensorFile file = read_weights(checkpoint, tensor_names(kind));
  NewModel made{kind.make(classes_in(file, kind), DType::f32, 0), "", ""};
  const LoadReport report = load_weights(made.model->named_tensors(), file, {{}, false});
  check_numbers(checkpoint, made.model->named_tensors());
  made.report = join(report.notes, "\n");
  return made;
}

void place(Classifier& model, const RunOptions& run) {
  move_to(run.device, model.named_tensors());
  model.set_activation_dtype(run.precision);
}

}  // namespace boxcam
