// What torch.save writes: a zip archive (since torch 1.6) or a row of pickles followed by the numbers (before that).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "nn/files/pickle.h"
#include "nn/files/safetensors.h"
#include "nn/files/tensor_dicts.h"

namespace boxcam {

/// Whether a file that begins so is in the legacy format: with a pickle of torch's magic number, of protocol 2 to 5.
bool is_legacy_torch(std::string_view start);

/// A file of torch.save, looked into, its numbers not read yet. Objects of whatever class that lie beside the tensors
/// are skipped: nothing in a file is looked up or executed. The memory asked for is at most proportional to the size of
/// the file.
class TorchFile {
 public:
  /// Both throw Error naming the file when it is damaged or truncated, or is not what torch.save writes with protocol 2
  /// to 5.
  static std::unique_ptr<TorchFile> open_zip(const std::string& path);
  static std::unique_ptr<TorchFile> open_legacy(const std::string& path);
  virtual ~TorchFile() = default;

  const pickle::TensorDicts& dicts() const { return *dicts_; }
  /// What was saved, where it is no plain data: the name of what would make it; else null.
  const pickle::Global* maker() const { return pickle::maker_of(*saved_); }
  /// The names of all that was to be called, and was not.
  const std::set<std::string_view>& called() const { return unpickler_.called(); }

  /// Whether PyTorch reads it only where it may run what the file asks for: with foreign names, or written with
  /// another protocol than torch.save's own.
  bool needs_trust() const { return !called().empty() || unpickler_.protocol() != 2; }

  /// Row-major, whatever its strides were. `tensor` is one of dicts(). Throws Error when its numbers are damaged or
  /// missing.
  FileTensor read(const std::string& name, const pickle::StridedTensor& tensor);

 protected:
  explicit TorchFile(const std::string& path);
  void look_into(const pickle::Value& saved);
  void spend(uint64_t bytes);
  virtual std::span<const char> numbers_of(const pickle::Storage& storage) = 0;

  std::string path_;
  pickle::Unpickler unpickler_;

 private:
  uint64_t budget_;  // bytes that may still be asked for
  const pickle::Value* saved_ = nullptr;
  std::optional<pickle::TensorDicts> dicts_;
};

/// For the end of a message: two lines of Python, of which `load` makes `saved`, and the second saves `expression`.
std::string recipe(const std::string& load, const std::string& expression);

}  // namespace boxcam
