#include "models/weights.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "engine/base/check.h"
#include "engine/base/text.h"
#include "models/name_fit.h"

namespace boxcam {
namespace {

// [outer, rows, columns] -> [outer, columns, rows]
template <class T>
void transpose_inner(const T* source, T* target, int64_t outer, int64_t rows, int64_t columns) {
  for (int64_t o = 0; o < outer; ++o, source += rows * columns, target += rows * columns)
    for (int64_t c = 0; c < columns; ++c)
      for (int64_t r = 0; r < rows; ++r) target[c * rows + r] = source[r * columns + c];
}

Tensor transposed(const Tensor& source, const Shape& shape, int64_t outer, int64_t rows, int64_t columns) {
  Tensor result = Tensor::empty(shape, source.dtype());
  if (source.dtype() == DType::f64)
    transpose_inner(source.data<double>(), result.data<double>(), outer, rows, columns);
  else
    transpose_inner(source.data<float>(), result.data<float>(), outer, rows, columns);
  return result;
}

Tensor oihw_to_ohwi(const Tensor& w) {
  return transposed(w, {w.dim(0), w.dim(2), w.dim(3), w.dim(1)}, w.dim(0), w.dim(1), w.dim(2) * w.dim(3));
}
Tensor ohwi_to_oihw(const Tensor& w) {
  return transposed(w, {w.dim(0), w.dim(3), w.dim(1), w.dim(2)}, w.dim(0), w.dim(1) * w.dim(2), w.dim(3));
}

bool is_convolution(const NamedTensor& entry) { return entry.layout == NamedTensor::Layout::convolution; }

Shape shape_in_files(const NamedTensor& entry) {
  const Shape& s = entry.tensor.shape();
  return is_convolution(entry) ? Shape{s[0], s[3], s[1], s[2]} : s;
}

bool is_counter(const NamedTensor& entry) { return entry.role == NamedTensor::Role::counter; }

bool is_float(DType dtype) { return dtype == DType::f32 || dtype == DType::f64; }

std::vector<std::string> parts_of(const std::vector<NamedTensor>& model) {
  std::set<std::string> parts;
  for (const NamedTensor& entry : model) {
    parts.insert(entry.name);
    for (size_t dot = entry.name.find('.'); dot != std::string::npos; dot = entry.name.find('.', dot + 1))
      parts.insert(entry.name.substr(0, dot));
  }
  return {parts.begin(), parts.end()};
}

void check_allowed(const std::vector<std::string>& allowed, const std::vector<NamedTensor>& model) {
  const std::vector<std::string> parts = parts_of(model);
  for (const std::string& part : allowed)
    check(std::find(parts.begin(), parts.end(), part) != parts.end(),
          "no part of the model that may be missing is called '", part, "'; did you mean ",
          join(nearest(part, parts), " or "), "?");
}

// What the entry becomes in the model, still on the host; null when it is another kind of number.
std::optional<Tensor> converted(const FileTensor& source, const NamedTensor& target) {
  const DType wanted = target.tensor.dtype();
  if (is_float(wanted)) {
    if (source.is_int64() || !is_float(source.tensor.dtype())) return std::nullopt;
    const Tensor values = source.tensor.to(wanted);
    return is_convolution(target) ? oihw_to_ohwi(values) : values;
  }
  if (!source.is_int64()) return source.tensor.dtype() == wanted ? std::optional(source.tensor) : std::nullopt;
  if (wanted != DType::i32) return std::nullopt;
  std::vector<int32_t> values;
  for (const int64_t value : source.int64) {
    if (value != static_cast<int32_t>(value)) return std::nullopt;
    values.push_back(static_cast<int32_t>(value));
  }
  return Tensor::from(source.shape(), values);
}

// Which tensors do not fit, and so why nothing was loaded.
struct Faults {
  std::vector<std::string> missing, unexpected, mis_shaped, mistyped;

  void raise(const TensorFile& file, size_t model_size, size_t matched) const {
    std::vector<std::string> reasons;
    if (!missing.empty())
      reasons.push_back(
          str(missing.size(), " of the model's ", model_size, " tensors missing in the file: ", few(missing)));
    if (!unexpected.empty()) reasons.push_back(str(unexpected.size(), " unexpected in the file: ", few(unexpected)));
    if (!mis_shaped.empty()) reasons.push_back(str(mis_shaped.size(), " of another shape: ", few(mis_shaped)));
    if (!mistyped.empty()) reasons.push_back(str(mistyped.size(), " of another kind of number: ", few(mistyped)));
    if (reasons.empty()) return;
    reasons.insert(reasons.end(), file.notes.begin(), file.notes.end());
    const std::string text = str(file.path, matched == 0 ? " belongs to another model" : " does not fit the model",
                                 ": ", join(reasons, "; "));
    if (!missing.empty()) throw MissingTensors(text);
    throw Error(text);
  }
};

}  // namespace

LoadReport load_weights(const std::vector<NamedTensor>& model, const TensorFile& file, const LoadOptions& options) {
  check_allowed(options.allow_missing, model);
  const auto may_miss = [&](const NamedTensor& target) {
    return is_counter(target) || std::any_of(options.allow_missing.begin(), options.allow_missing.end(),
                                             [&](const std::string& part) { return names_part(part, target.name); });
  };
  std::map<std::string, const FileTensor*> entries;
  for (const FileTensor& entry : file.tensors) entries[entry.name] = &entry;
  const auto differs = [&](const NamedTensor& target) {
    const auto found = entries.find(target.name);
    return found != entries.end() && found->second->shape() != shape_in_files(target);
  };
  // Weight and bias of the head are replaced together: one without the other would mean nothing.
  const bool new_head = options.replace_head && std::any_of(model.begin(), model.end(), [&](const NamedTensor& target) {
                          return target.head && differs(target);
                        });

  LoadReport report;
  report.path = file.path;
  report.notes = file.notes;
  Faults faults;
  std::vector<std::pair<Tensor, Tensor>> copies;  // target, source
  std::set<std::string> names;
  size_t matched = 0;
  for (const NamedTensor& target : model) {
    names.insert(target.name);
    const auto found = entries.find(target.name);
    if (found == entries.end()) {
      (may_miss(target) ? report.missing : faults.missing).push_back(target.name);
      if (!is_counter(target)) report.started_fresh.push_back(target.name);
      continue;
    }
    ++matched;
    const FileTensor& source = *found->second;
    const bool in_new_head = new_head && target.head;
    if (differs(target))
      (in_new_head ? report.mis_shaped : faults.mis_shaped)
          .push_back(str(target.name, " (file ", source.shape(), ", model ", shape_in_files(target), ")"));
    if (in_new_head) {
      report.started_fresh.push_back(target.name);
    } else if (!differs(target)) {
      const std::optional<Tensor> values = converted(source, target);
      if (values) copies.emplace_back(target.tensor, *values);
      (values ? report.loaded : faults.mistyped).push_back(target.name);
    }
  }
  for (const FileTensor& entry : file.tensors)
    if (!names.contains(entry.name))
      (is_stored_counter(entry.name) ? report.unexpected : faults.unexpected).push_back(entry.name);
  faults.raise(file, model.size(), matched);

  for (auto& [target, values] : copies) target.copy_from(values.to(target.device()));
  if (new_head)
    report.notes.push_back(str("the head is for another number of classes and starts fresh: ", few(report.mis_shaped)));
  return report;
}

std::string summary(const LoadReport& report) {
  std::string text = str(report.loaded.size(), " tensors were loaded from ", report.path);
  if (!report.started_fresh.empty())
    text += str("; ", report.started_fresh.size(), " started fresh (", few(report.started_fresh), ")");
  for (const std::string& note : report.notes) text += "\n" + note;
  return text;
}

TensorFile export_weights(const std::vector<NamedTensor>& model) {
  TensorFile file;
  for (const NamedTensor& entry : model) {
    const Tensor values = entry.tensor.to(Device::cpu);
    if (is_counter(entry))
      file.tensors.emplace_back(entry.name, values.shape(), std::vector<int64_t>{static_cast<int64_t>(values.item())});
    else
      file.tensors.emplace_back(entry.name, is_convolution(entry) ? ohwi_to_oihw(values) : values.clone());
  }
  return file;
}

}  // namespace boxcam
