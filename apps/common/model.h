// The model that the options, or a weight file, describe.
#pragma once

#include <string>

#include "apps/common/options.h"

namespace boxcam {

/// A fresh model, then the weights of --weights if given; `report` gets what happened, for the terminal.
ResNet make_model(const ModelOptions& options, int64_t classes, uint64_t seed, std::string& report);
/// A trained model from a file of boxcam or PyTorch; the file says how many classes it has and, if boxcam wrote it,
/// which model it is (otherwise --model does). Throws Error when `classes` is not 0 and differs.
ResNet load_model(const std::string& checkpoint, const std::string& model_name, int64_t classes);

}  // namespace boxcam
