// A weight file of any format: every tensor in it is read, then those of a model that has the names of its first dict.
#include "models/weight_file.h"

#include "nn/files/torch_file.h"
#include "tests/fuzz/target.h"

namespace boxcam::fuzz {
namespace {

using Dicts = pickle::TensorDicts;

std::vector<std::string> names_in(const Dicts& dicts) {
  std::vector<std::string> names;
  if (!dicts.all().empty())
    for (const pickle::NamedValue& item : dicts.all().front().items) names.emplace_back(item.name);
  return names;
}

void read_all(TorchFile& file) {
  for (const Dicts::Entries& dict : file.dicts().all())
    for (const pickle::NamedValue& item : dict.items)
      if (const auto* tensor = item.value->as<pickle::StridedTensor>()) file.read(std::string(item.name), *tensor);
}

}  // namespace

void run(std::string_view input) {
  const std::string path = write("weights", input);
  std::vector<std::string> names = {"a"};
  if (input.starts_with("PK") || is_legacy_torch(input)) {
    const auto file = input.starts_with("PK") ? TorchFile::open_zip(path) : TorchFile::open_legacy(path);
    names = names_in(file->dicts());
    read_all(*file);
  }
  WeightFile(path).take(names);
}

}  // namespace boxcam::fuzz
