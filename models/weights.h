// A model's weights in and out: how those of a file fit it, and what was done about what does not fit.
#pragma once

#include <string>
#include <vector>

#include "models/weight_file.h"
#include "nn/files/safetensors.h"
#include "nn/module.h"

namespace boxcam {

/// The file lacks tensors that LoadOptions::allow_missing could let start fresh.
struct MissingTensors : Error {
  using Error::Error;
};

struct LoadOptions {
  /// Parts of the model (as names_part has them) whose tensors may be missing from the file and then keep their fresh
  /// values.
  std::vector<std::string> allow_missing;
  /// A file for another number of classes: the head keeps its fresh values where its shape differs.
  bool replace_head = true;
};

/// Names of tensors. What a list holds after a successful load was tolerated for a reason the notes give.
struct LoadReport {
  std::string path;  ///< of the file
  std::vector<std::string> loaded;
  std::vector<std::string> missing;        ///< in the model, not in the file: batch counters, what allow_missing names
  std::vector<std::string> unexpected;     ///< in the file, not in the model: batch counters of a model without any
  std::vector<std::string> mis_shaped;     ///< with both shapes, in the file's layout: a replaced head
  std::vector<std::string> started_fresh;  ///< parameters and statistics that kept their initial values
  std::vector<std::string> notes;          ///< one sentence each, those of the file included
};

/// Copies the file's tensors into the model's, by name, as the model's dtype; convolution weights go from OIHW to OHWI.
/// Nothing is copied unless everything fits. Throws Error listing by name every tensor that is missing, unexpected, of
/// another shape or of another kind of number (MissingTensors where some are missing), and for an entry of
/// allow_missing that names no part of the model.
LoadReport load_weights(const std::vector<NamedTensor>& model, const TensorFile& file, const LoadOptions& options = {});

/// "318 tensors were loaded from FILE; 2 started fresh (fc.weight, fc.bias)", then the notes, one a line.
std::string summary(const LoadReport& report);

/// Copies of the model's tensors as torchvision names and lays them out: convolution weights OIHW, batch counters as
/// int64 scalars. PyTorch loads the file that write_safetensors makes of it.
TensorFile export_weights(const std::vector<NamedTensor>& model);

}  // namespace boxcam
