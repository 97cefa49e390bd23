#include "apps/common/model.h"

#include "models/weights.h"

namespace boxcam {

ResNet make_model(const ModelOptions& options, int64_t classes, uint64_t seed, std::string& report) {
  ResNet model(resnet_config(options.model), classes, DType::f32, seed);
  if (options.weights.empty()) {
    check(options.allow_missing.empty(), "--weights-allow-missing was given without --weights");
    report = "random weights";
  } else {
    report = summary(load_weights(model.named_tensors(), read_weights(options.weights), {options.allow_missing, true}));
  }
  return model;
}

ResNet load_model(const std::string& checkpoint, const std::string& model_name, int64_t classes) {
  const TensorFile file = read_weights(checkpoint);
  check(!file.find("model.fc.weight"), checkpoint,
        " is what train --resume goes on from; take best.safetensors or "
        "last.safetensors of the same run");
  const FileTensor* head = file.find("fc.weight");
  check(head && head->shape().ndim() == 2, checkpoint,
        ": expected a trained ResNet with a head fc.weight [classes, K], ",
        head ? str("found ", head->shape()) : "found no tensor of that name");
  const int64_t found = head->shape()[0];
  check(classes == 0 || found == classes, checkpoint, " has ", found, " classes, the data have ", classes);
  const auto name = file.metadata.find("model");
  ResNet model(resnet_config(name != file.metadata.end() ? name->second : model_name), found);
  load_weights(model.named_tensors(), file, {{}, false});
  return model;
}

}  // namespace boxcam
