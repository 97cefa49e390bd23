#include "nn/classifier.h"

#include <algorithm>

#include "engine/base/text.h"

namespace boxcam {

std::string Classifier::restart_of(const std::string&) const {
  fail(name(), " cannot begin a pass at a tap, but with an image alone");
}

Tensor Classifier::resume(const std::string& tap, const Tensor&, const Tensor&) { fail(restart_of(tap)); }

Tensor Classifier::forward_with_biases(const Tensor&, std::vector<CellBias>&) {
  fail(name(), " does not say where its biases are");
}

std::vector<NamedTensor> Classifier::named_tensors() const {
  std::vector<NamedTensor> all;
  // Only own_memory changes what it is handed.
  const_cast<Classifier*>(this)->visit([&](const NamedTensor& entry, Tensor&) { all.push_back(entry); });
  return all;
}

std::vector<Tensor> Classifier::parameters() const {
  std::vector<Tensor> list;
  for (const NamedTensor& t : only_parameters(named_tensors())) list.push_back(t.tensor);
  return list;
}

int64_t Classifier::parameter_count() const {
  int64_t count = 0;
  for (const Tensor& t : parameters()) count += t.numel();
  return count;
}

int64_t Classifier::classes() const {
  for (const NamedTensor& t : named_tensors())
    if (t.head) return t.tensor.dim(0);
  fail(name(), " has no head");
}

Tensor Classifier::head_bias() const {
  for (const NamedTensor& t : named_tensors())
    if (t.is_head_bias()) return t.tensor;
  fail(name(), " has no head with a bias");
}

Device Classifier::device() const { return parameters().front().device(); }

void Classifier::own_memory() {
  visit([](const NamedTensor&, Tensor& t) { t = t.clone().set_requires_grad(t.requires_grad()); });
}

void Classifier::check_activation_dtype(DType activations, DType parameters) const {
  check(activations == parameters || (activations == DType::bf16 && parameters == DType::f32), name(),
        " has parameters of ", parameters, ": its activations cannot be ", activations);
}

void Classifier::copy_from(const Classifier& source) {
  std::vector<NamedTensor> mine = named_tensors();
  const std::vector<NamedTensor> theirs = source.named_tensors();
  check(mine.size() == theirs.size(), "cannot copy ", source.name(), " onto ", name());
  for (size_t i = 0; i < mine.size(); ++i) mine[i].tensor.copy_from(theirs[i].tensor);
}

void Classifier::check_taps(const std::vector<std::string>& taps) const {
  const std::vector<std::string> known = tap_names();
  for (const std::string& wanted : taps) {
    check(std::find(known.begin(), known.end(), wanted) != known.end(), name(), " has no tap '", wanted, "'",
          did_you_mean(wanted, known));
    check(std::count(taps.begin(), taps.end(), wanted) == 1, "the tap '", wanted, "' is named twice");
  }
}

std::vector<std::string> Classifier::parts() const {
  std::vector<std::string> list;
  for (const NamedTensor& t : named_tensors())
    if (const std::string part = part_of(t.name); list.empty() || list.back() != part) list.push_back(part);
  return list;
}

}  // namespace boxcam
