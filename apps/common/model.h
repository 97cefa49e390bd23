// The model that the options, or a weight file, describe.
#pragma once

#include <memory>
#include <string>

#include "apps/common/options/explain.h"
#include "apps/common/options/machine.h"
#include "nn/classifier.h"

namespace boxcam {

struct NewModel {
  std::unique_ptr<Classifier> model;
  std::string report;  ///< what its weights are, for the terminal
};
/// A fresh model, then the weights of --weights if given.
NewModel make_model(const ModelOptions& options, int64_t classes, uint64_t seed);

/// A trained model from a file of boxcam or PyTorch; the file says how many classes it has and, if boxcam wrote it,
/// which model it is (otherwise --model does). Throws Error when `classes` is not 0 and differs.
std::unique_ptr<Classifier> load_model(const std::string& checkpoint, const std::string& model_name, int64_t classes);

/// Puts a model where the options say, and gives its activations their type.
void place(Classifier& model, const RunOptions& run);

}  // namespace boxcam
