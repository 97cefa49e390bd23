#include "models/models.h"

#include "engine/base/text.h"
#include "models/plain.h"
#include "models/resnet.h"

namespace boxcam {
namespace {

// A sixteenth as wide: shortcuts are where they were, since the same widths are equal.
std::unique_ptr<Classifier> slim(ResNetConfig config) {
  constexpr int64_t divisor = 16;
  config.stem_width /= divisor;
  for (int64_t& width : config.widths) width /= divisor;
  return std::make_unique<ResNet>(config, 1);
}

}  // namespace

const std::vector<ModelKind>& model_kinds() {
  static const std::vector<ModelKind> kinds = [] {
    std::vector<ModelKind> list;
    for (const ResNetConfig& config : resnet_configs())
      list.push_back({config.name, config.what, ResNet::kHead,
                      [&config](int64_t classes, DType dtype, uint64_t seed) {
                        return std::make_unique<ResNet>(config, classes, dtype, seed);
                      },
                      [&config] { return slim(config); }});
    list.push_back(
        {PlainNet::kName, "small, without shortcuts", PlainNet::kHead,
         [](int64_t classes, DType dtype, uint64_t seed) { return std::make_unique<PlainNet>(classes, dtype, seed); }});
    return list;
  }();
  return kinds;
}

const ModelKind& model_kind(const std::string& name) {
  for (const ModelKind& kind : model_kinds())
    if (kind.name == name) return kind;
  fail("unknown model '", name, "'", did_you_mean(name, model_names()));
}

std::vector<std::string> model_names() {
  std::vector<std::string> names;
  for (const ModelKind& kind : model_kinds()) names.push_back(kind.name);
  return names;
}

std::unique_ptr<Classifier> make_classifier(const std::string& name, int64_t classes, DType dtype, uint64_t seed) {
  return model_kind(name).make(classes, dtype, seed);
}

std::vector<std::string> tensor_names(const ModelKind& kind) {
  std::vector<std::string> names;
  const std::unique_ptr<Classifier> model = kind.make_namesake ? kind.make_namesake() : kind.make(1, DType::f32, 0);
  for (const NamedTensor& t : model->named_tensors()) names.push_back(t.name);
  return names;
}

int64_t classes_in(const TensorFile& file, const ModelKind& kind) {
  const std::string name = kind.head + ".weight";
  const FileTensor* head = file.find(name);
  check(head && head->shape().ndim() == 2, file.path, ": expected a trained ", kind.name, " with a head ", name,
        " [classes, K], ", head ? str("found ", head->shape()) : "found no tensor of that name");
  return head->shape()[0];
}

}  // namespace boxcam
