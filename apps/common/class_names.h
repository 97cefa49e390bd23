// What the outputs of a model are called, and which of them a user means.
#pragma once

#include <string>
#include <vector>

#include "apps/common/model_card.h"

namespace boxcam {

class ClassNames {
 public:
  /// Each output may have several names; the first is what it is called.
  explicit ClassNames(std::vector<std::vector<std::string>> names) : names_(std::move(names)) {}
  explicit ClassNames(const std::vector<std::string>& names);

  int64_t size() const { return static_cast<int64_t>(names_.size()); }
  const std::string& operator[](int64_t output) const { return names_[static_cast<size_t>(output)].front(); }
  /// The output that `text` means: a name, ignoring case, or a number from 0 on. Throws Error naming the nearest names,
  /// or the outputs that share the name.
  int64_t find(const std::string& option, const std::string& text) const;

 private:
  std::vector<std::vector<std::string>> names_;
};

/// Of a model with so many outputs: the names that were given (--class-names or --classes, to which "none" is added
/// where there is one output more), else the card's, else ImageNet's where there are 1000, else numbers. Throws Error
/// where the names that were given are not as many, or not the card's.
ClassNames names_of_outputs(const ModelCard& card, const std::vector<std::string>& given, int64_t outputs);

/// One name a line. Throws Error for an empty line, naming it, and for a file without any.
std::vector<std::string> read_class_names(const std::string& path);

}  // namespace boxcam
