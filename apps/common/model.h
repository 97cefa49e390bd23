// The model that the options, or a weight file, describe.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "apps/common/model_card.h"
#include "apps/common/options/explain.h"
#include "apps/common/options/machine.h"
#include "nn/classifier.h"

namespace boxcam {

struct NewModel {
  std::unique_ptr<Classifier> model;
  std::string report;          ///< what its weights are, for the terminal
  std::string weights_sha256;  ///< of the tensors of --weights; empty: random weights
};
/// A fresh model for these classes; then the weights of --weights, if given, whose card is `start`. Where the file
/// names the same classes in another order its head is put into ours; where it names others the head starts fresh.
NewModel make_model(const ModelOptions& options, const ModelCard& start, const std::vector<std::string>& classes,
                    uint64_t seed);

/// A trained model of a kind of models from a file of boxcam or PyTorch, which says how many classes it has. The report
/// says what was done about what else the file holds; empty: nothing.
NewModel load_model(const std::string& checkpoint, const std::string& model_name);

/// Puts a model where the options say, and gives its activations their type.
void place(Classifier& model, const RunOptions& run);

}  // namespace boxcam
