// The models there are, by name: a new one is a class of Classifier and a row of the table.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "nn/classifier.h"
#include "nn/files/safetensors.h"

namespace boxcam {

struct ModelKind {
  std::string name, what;
  std::string head;  ///< of the linear head's tensors: "<head>.weight" [classes, K] and "<head>.bias" [classes]
  std::function<std::unique_ptr<Classifier>(int64_t classes, DType dtype, uint64_t seed)> make;
  /// A small model with the same names, where making the model itself takes long; by default the model itself.
  std::function<std::unique_ptr<Classifier>()> make_namesake = {};
};
/// The default first.
const std::vector<ModelKind>& model_kinds();
/// Throws Error naming the nearest, for a name that is none.
const ModelKind& model_kind(const std::string& name);
std::vector<std::string> model_names();

/// Fresh weights: a pure function of (name, seed). dtype f32 or f64. Throws as model_kind.
std::unique_ptr<Classifier> make_classifier(const std::string& name, int64_t classes, DType dtype = DType::f32,
                                            uint64_t seed = 0);

/// The names of its tensors, whatever its number of classes.
std::vector<std::string> tensor_names(const ModelKind& kind);

/// How many classes the head has that a file holds for this model. Throws Error where it holds none.
int64_t classes_in(const TensorFile& file, const ModelKind& kind);

}  // namespace boxcam
