// A weight file as people have them, and which of all that it holds are a model's tensors.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "nn/files/safetensors.h"

namespace boxcam {

class TorchFile;

/// A weight file, looked into: safetensors, or what torch.save writes (zip or legacy). The content decides, not the
/// extension. A file may hold more than a model's tensors, under other names: which are the model's its names tell.
class WeightFile {
 public:
  /// Where the file's name ends in eight hexadecimal digits they are compared with the SHA-256 of the file: a
  /// difference is an Error for the names of torchvision's own files and a note for others. Throws Error when the file
  /// is missing, is none of the three (it says what it looks like), or is truncated or damaged. Nothing is executed.
  explicit WeightFile(const std::string& path);
  ~WeightFile();

  const std::map<std::string, std::string>& metadata() const { return content_.metadata; }  ///< of safetensors

  /// The tensors of a model whose tensors have these names. Of all dicts in the file, at any depth, and of all prefixes
  /// that can be taken off their names, those are taken that fit best (ModelNames::best_fits); notes say which, and
  /// what was left out. A pickled model has the names of its state dict. What lies in a part of the model and is not
  /// the model's is kept, for load_weights to refuse. Throws Error where nothing fits, where two fit equally well and
  /// have different tensors (it lists them), where an object is to be made for a name of the model, and for a run's
  /// checkpoint.safetensors.
  TensorFile take(const std::vector<std::string>& names) const;

 private:
  TensorFile content_;  // of another format than safetensors: without tensors
  std::unique_ptr<TorchFile> torch_;
};

/// WeightFile(path).take(names)
TensorFile read_weights(const std::string& path, const std::vector<std::string>& names);

}  // namespace boxcam
