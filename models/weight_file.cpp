#include "models/weight_file.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>
#include <string_view>
#include <tuple>

#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/sha256.h"
#include "engine/base/text.h"
#include "models/name_fit.h"
#include "nn/files/torch_file.h"

namespace boxcam {
namespace {

constexpr std::string_view torchvision_files[] = {
    "resnet18-f37072fd.pth",  "resnet18-5c106cde.pth",  "resnet34-b627a593.pth",  "resnet34-333f7ec4.pth",
    "resnet50-0676ba61.pth",  "resnet50-11ad3fa6.pth",  "resnet50-19c8e357.pth",  "resnet101-63fe2227.pth",
    "resnet101-cd907fc2.pth", "resnet101-5d3b4d8f.pth", "resnet152-394f9c45.pth", "resnet152-f82ba261.pth",
    "resnet152-b121ed2d.pth",
};

enum class Format { safetensors, torch_zip, torch_legacy };

Format recognise(const std::string& path) {
  InputFile file(path, "the weights");
  std::string bytes(256, '\0');
  bytes.resize(file.read(bytes.data(), bytes.size()));

  const std::string_view start = bytes;
  if (start.starts_with("PK\x03\x04")) return Format::torch_zip;
  if (is_legacy_torch(start)) return Format::torch_legacy;
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

using pickle::NamedValue, pickle::StridedTensor, pickle::TensorDicts;

using Sets = std::vector<std::vector<std::string_view>>;

// Of tensors, and of objects, which may have been meant for some.
std::vector<std::string_view> names_of(const TensorDicts::Entries& dict) {
  std::vector<std::string_view> names;
  for (const NamedValue& item : dict.items)
    if (item.value->as<StridedTensor>() || pickle::maker_of(*item.value)) names.push_back(item.name);
  return names;
}

std::string load_call(const std::string& path, const TorchFile& torch) {
  return str("import torch; saved = torch.load(", pickle::python_text(path), ", map_location='cpu'",
             torch.needs_trust() ? ", weights_only=False" : "", ")");
}

// Nothing in the file is the model's, or what there is could be anybody's.
[[noreturn]] void fail_to_find(const std::string& path, const std::vector<std::string>& model, const Sets& sets,
                               const TorchFile* torch) {
  const auto largest =
      std::max_element(sets.begin(), sets.end(), [](const auto& a, const auto& b) { return a.size() < b.size(); });
  std::string text = sets.empty() ? str(path, " holds no state dict: nothing in it has names and tensors")
                                  : str(path, " belongs to another model: it lacks the model's tensors (", few(model),
                                        ") and has ", few({largest->begin(), largest->end()}), " instead");
  if (torch && !torch->called().empty())
    text += str("; what is to be made by ", few({torch->called().begin(), torch->called().end()}),
                " is not, since nothing in a weight file is executed");
  if (torch && torch->maker() && torch->dicts().all().empty())
    text += str("; where you trust the file and have its classes, PyTorch makes a state dict of it:",
                recipe(load_call(path, *torch), "saved.state_dict()"));
  fail(text);
}

// Tells apart the fits under which other numbers in memory were saved. A file may have as many fits as tensors: each is
// looked at once.
class Differences {
 public:
  Differences(const TensorDicts& dicts, const ModelNames& model) : dicts_(dicts), model_(model) {}

  // Whether none of those before had the same. The fits of a set follow one another.
  bool is_new(const NameFit& fit) {
    if (set_ != fit.set) {
      set_ = fit.set;
      items_.clear();
      for (const NamedValue& item : dicts_.all()[fit.set].items) items_[item.name] = item.value;
    }
    Content content;
    for (auto at = items_.lower_bound(fit.prefix); at != items_.end() && at->first.starts_with(fit.prefix); ++at)
      if (const std::string_view name = at->first.substr(fit.prefix.size()); model_.contain(name))
        content.emplace_back(name, first_like(at->second));
    return contents_.insert(std::move(content)).second;
  }

 private:
  using Tensor =
      std::tuple<const pickle::Storage*, int64_t, int64_t, int64_t, std::vector<int64_t>, std::vector<int64_t>>;
  using Content = std::vector<std::pair<std::string_view, const pickle::Value*>>;

  // The first value that is the same tensor.
  const pickle::Value* first_like(const pickle::Value* value) {
    const auto* t = value->as<StridedTensor>();
    if (!t) return value;
    return tensors_.try_emplace({t->view.storage, t->view.first, t->view.count, t->offset, t->sizes, t->strides}, value)
        .first->second;
  }

  const TensorDicts& dicts_;
  const ModelNames& model_;
  std::optional<size_t> set_;
  std::map<std::string_view, const pickle::Value*> items_;  // of that set
  std::map<Tensor, const pickle::Value*> tensors_;
  std::set<Content> contents_;
};

// What `fit` means in a message.
std::string place_of(const NameFit& fit, const TorchFile* torch) {
  const TensorDicts::Entries* dict = torch ? &torch->dicts().all()[fit.set] : nullptr;
  std::string text = dict ? torch->dicts().where(*dict) : "";
  if (dict && !dict->module.empty())
    text = text.empty() ? "a pickled " + dict->module : str(text, " (a pickled ", dict->module, ")");
  if (!fit.prefix.empty()) return str(text.empty() ? "the names" : text, " with the prefix '", fit.prefix, "'");
  return text.empty() ? "the file itself" : text;
}

[[noreturn]] void fail_to_choose(const std::string& path, const std::vector<NameFit>& fits, const TorchFile* torch) {
  const NameFit& first = fits.front();
  std::string expression = torch ? torch->dicts().python(torch->dicts().all()[first.set]) : "saved";
  std::string text = str(path, " holds ", fits.size(), " sets of tensors that fit the model equally well: ",
                         few(fits.size(), [&](size_t i) { return place_of(fits[i], torch); }));
  if (expression.empty()) fail(text);
  if (!first.prefix.empty())
    expression =
        str("{k: v for k, v in ", expression, ".items() if k.startswith(", pickle::python_text(first.prefix), ")}");
  const std::string load = torch ? load_call(path, *torch)
                                 : str("import torch, safetensors.torch; saved = safetensors.torch.load_file(",
                                       pickle::python_text(path), ")");
  fail(text, "; two lines of Python make a file of the first",
       torch && torch->needs_trust() ? ", where you trust the file:" : ":", recipe(load, expression));
}

NameFit choose(const std::string& path, const std::vector<std::string>& names, const ModelNames& model,
               const Sets& sets, const TorchFile* torch) {
  const std::vector<NameFit> fits = model.best_fits(sets);
  const bool by_chance = fits.size() > 1 && fits.front().found * 2 < model.size();
  if (fits.empty() || by_chance) fail_to_find(path, names, sets, torch);
  std::vector<NameFit> different = fits;
  if (torch) {
    Differences differences(torch->dicts(), model);
    std::erase_if(different, [&](const NameFit& fit) { return !differences.is_new(fit); });
  }
  if (different.size() > 1) fail_to_choose(path, different, torch);
  return different.front();
}

// Sorts the names of a set that was taken, and keeps the notes on what was left out.
class Sorter {
 public:
  Sorter(const NameFit& fit, const ModelNames& model) : prefix_(fit.prefix), model_(model) {}

  // The name without the prefix where it lies in a part of the model.
  std::optional<std::string> own(std::string_view name) const {
    if (!name.starts_with(prefix_)) return std::nullopt;
    name.remove_prefix(prefix_.size());
    return model_.have_part_of(name) ? std::optional<std::string>(name) : std::nullopt;
  }
  void leave_out_tensor(std::string_view name) { tensors_.emplace_back(name); }
  void leave_out_other(std::string_view name) { others_.emplace_back(name); }

  void add_notes(std::vector<std::string>& notes) const {
    if (!prefix_.empty()) notes.push_back(str("the prefix '", prefix_, "' was taken off the names"));
    if (!tensors_.empty())
      notes.push_back(str(tensors_.size() == 1 ? "a tensor that is not the model's was"
                                               : str(tensors_.size(), " tensors that are not the model's were"),
                          " left out: ", few(tensors_)));
    if (!others_.empty())
      notes.push_back(str(others_.size() == 1 ? "an entry that is no tensor was"
                                              : str(others_.size(), " entries that are no tensors were"),
                          " left out: ", few(others_)));
  }

 private:
  std::string prefix_;
  const ModelNames& model_;
  std::vector<std::string> tensors_, others_;
};

void take_from(const TensorFile& content, const std::vector<std::string>& names, TensorFile& taken) {
  const FileTensor* counters = content.find("counters");
  check(!counters || !counters->is_int64(), content.path,
        " is what train --resume goes on from; take best.safetensors or last.safetensors of the same run");
  const ModelNames model(names);
  std::vector<std::string_view> set;
  for (const FileTensor& entry : content.tensors) set.push_back(entry.name);
  Sorter sorter(choose(content.path, names, model, {set}, nullptr), model);
  for (const FileTensor& entry : content.tensors) {
    if (const std::optional<std::string> name = sorter.own(entry.name))
      taken.tensors.emplace_back(entry).name = *name;
    else
      sorter.leave_out_tensor(entry.name);
  }
  sorter.add_notes(taken.notes);
}

void take_from(TorchFile& torch, const std::vector<std::string>& names, TensorFile& taken) {
  const ModelNames model(names);
  Sets sets;
  for (const TensorDicts::Entries& dict : torch.dicts().all()) sets.push_back(names_of(dict));
  const NameFit fit = choose(taken.path, names, model, sets, &torch);
  const TensorDicts::Entries& dict = torch.dicts().all()[fit.set];
  if (const std::string where = place_of({fit.set, "", 0}, &torch); dict.place != 0 || !dict.module.empty())
    taken.notes.push_back(str("the weights were taken from ", where));

  Sorter sorter(fit, model);
  for (const NamedValue& item : dict.items) {
    const std::optional<std::string> name = sorter.own(item.name);
    const auto* tensor = item.value->as<StridedTensor>();
    const pickle::Global* maker = pickle::maker_of(*item.value);
    if (maker && name && model.contain(*name))
      fail(taken.path, ": the entry ", std::string(item.name), " is to be made by ", maker->name,
           ", and nothing in a weight file is executed; a state dict as torch.save(model.state_dict(), ...) writes it "
           "holds tensors alone");
    if (!tensor)
      sorter.leave_out_other(item.name);
    else if (name)
      taken.tensors.push_back(torch.read(*name, *tensor));
    else
      sorter.leave_out_tensor(item.name);
  }
  sorter.add_notes(taken.notes);
}

}  // namespace

WeightFile::WeightFile(const std::string& path) {
  const Format format = recognise(path);
  const std::optional<std::string> warning = check_digest(path);
  if (format == Format::safetensors)
    content_ = read_safetensors(path);
  else
    torch_ = format == Format::torch_zip ? TorchFile::open_zip(path) : TorchFile::open_legacy(path);
  content_.path = path;
  if (warning) content_.notes.push_back(*warning);
}

WeightFile::~WeightFile() = default;

TensorFile WeightFile::take(const std::vector<std::string>& names) const {
  TensorFile taken;
  taken.path = content_.path;
  taken.metadata = content_.metadata;
  torch_ ? take_from(*torch_, names, taken) : take_from(content_, names, taken);
  taken.notes.insert(taken.notes.end(), content_.notes.begin(), content_.notes.end());
  return taken;
}

TensorFile read_weights(const std::string& path, const std::vector<std::string>& names) {
  return WeightFile(path).take(names);
}

}  // namespace boxcam
