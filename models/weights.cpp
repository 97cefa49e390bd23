#include "models/weights.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string_view>

#include "engine/base/check.h"
#include "engine/base/sha256.h"
#include "engine/base/text.h"
#include "nn/files/torch_file.h"

namespace boxcam {
namespace {

constexpr std::string_view torchvision_files[] = {
    "resnet18-f37072fd.pth",  "resnet18-5c106cde.pth",  "resnet34-b627a593.pth",  "resnet34-333f7ec4.pth",
    "resnet50-0676ba61.pth",  "resnet50-11ad3fa6.pth",  "resnet50-19c8e357.pth",  "resnet101-63fe2227.pth",
    "resnet101-cd907fc2.pth", "resnet101-5d3b4d8f.pth", "resnet152-394f9c45.pth", "resnet152-f82ba261.pth",
    "resnet152-b121ed2d.pth",
};

// A message names this many tensors and counts the rest.
constexpr size_t most_named = 8;

std::string few(const std::vector<std::string>& names) {
  const size_t shown = std::min(names.size(), most_named);
  std::string text = join({names.begin(), names.begin() + static_cast<std::ptrdiff_t>(shown)});
  return names.size() == shown ? text : str(text, " and ", names.size() - shown, " more");
}

enum class Format { safetensors, torch_zip, torch_legacy };

Format recognise(const std::string& path) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  check(!std::filesystem::exists(status) || std::filesystem::is_regular_file(status), "cannot read the weights ", path,
        ": it is not a regular file");
  std::ifstream file(path, std::ios::binary);
  check(file.good(), "cannot read the weights ", path, ": ", std::strerror(errno));
  std::string bytes(256, '\0');
  file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  bytes.resize(static_cast<size_t>(file.gcount()));

  const std::string_view start = bytes;
  if (start.starts_with("PK\x03\x04")) return Format::torch_zip;
  if (start.starts_with(legacy_torch_start)) return Format::torch_legacy;
  if (start.size() > 8 && start[8] == '{') return Format::safetensors;

  const std::string_view text = start.substr(std::min(start.find_first_not_of(" \t\r\n"), start.size()));
  std::string looks;
  if (start.empty())
    looks = "it is empty";
  else if (start.starts_with("version https://git-lfs"))
    looks = "it is a Git LFS pointer, which stands for a file that was not fetched (git lfs pull)";
  else if (lower(std::string(text.substr(0, 9))) == "<!doctype" || lower(std::string(text.substr(0, 5))) == "<html")
    looks = "it is an HTML page: the download brought an error or a sign-in page instead of the file";
  else if (start.starts_with("\x1f\x8b"))
    looks = "it is compressed with gzip; unpack it first";
  else if (start.starts_with("\x89HDF"))
    looks = "it is an HDF5 file (Keras)";
  else if (start.starts_with("\x93NUMPY"))
    looks = "it is a NumPy array";
  else if (start.size() > 1 && start[0] == '\x80' && start[1] != 2)
    looks = str("it is a pickle of protocol ", static_cast<int>(static_cast<unsigned char>(start[1])),
                ", boxcam reads protocol 2");
  else if (start.size() > 1 && start[0] == '\x80')
    looks = "it is a pickle, but not one of torch.save";
  else
    looks = "its first bytes belong to none of them";
  fail(path, " is no weight file (safetensors, or .pth as torch.save writes it): ", looks);
}

// A note when the digits at the end of the name are not those of the file's SHA-256.
std::optional<std::string> check_digest(const std::string& path) {
  const std::filesystem::path name = std::filesystem::path(path).filename();
  const std::string stem = name.stem().string();
  if (stem.size() < 9 || stem[stem.size() - 9] != '-') return std::nullopt;
  const std::string expected = lower(stem.substr(stem.size() - 8));
  if (expected.find_first_not_of("0123456789abcdef") != std::string::npos) return std::nullopt;
  const std::string found = sha256_of_file(path).substr(0, 8);
  if (found == expected) return std::nullopt;
  const auto& known = torchvision_files;
  check(std::find(std::begin(known), std::end(known), name.string()) == std::end(known), path,
        " is not the file that torchvision publishes under this name, or it is damaged: its SHA-256 begins with ",
        found, ", expected ", expected);
  return str("warning: the SHA-256 of ", path, " begins with ", found, ", not with the ", expected, " of its name");
}

void strip_module_prefix(TensorFile& file) {
  constexpr std::string_view prefix = "module.";
  const bool all = std::all_of(file.tensors.begin(), file.tensors.end(),
                               [&](const FileTensor& entry) { return entry.name.starts_with(prefix); });
  if (!all || file.tensors.empty()) return;
  for (FileTensor& entry : file.tensors) entry.name.erase(0, prefix.size());
  file.notes.push_back("the prefix 'module.' was taken off all names");
}

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

// A file's counter: the file has no more to tell it by. Files from before torch 0.4 have none.
bool is_stored_counter(const std::string& name) { return name.ends_with("num_batches_tracked"); }

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
    const std::string text = str(file.path, matched == 0 ? " belongs to another model" : " does not fit the model",
                                 ": ", join(reasons, "; "));
    if (!missing.empty()) throw MissingTensors(text);
    throw Error(text);
  }
};

}  // namespace

TensorFile read_weights(const std::string& path) {
  const Format format = recognise(path);
  const std::optional<std::string> warning = check_digest(path);
  TensorFile file = format == Format::safetensors ? read_safetensors(path)
                    : format == Format::torch_zip ? read_torch_zip(path)
                                                  : read_torch_legacy(path);
  strip_module_prefix(file);
  if (warning) file.notes.push_back(*warning);
  return file;
}

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
