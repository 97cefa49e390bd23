#include "apps/common/run_folder.h"

#include <filesystem>
#include <fstream>
#include <sstream>

#include "engine/base/file.h"
#include "models/weights.h"

namespace boxcam {

namespace fs = std::filesystem;

namespace {

constexpr const char* kCheckpoint = "checkpoint.safetensors";

/// The tensors of `file` whose names begin with `prefix`, without it.
TensorFile part(const TensorFile& file, const std::string& prefix) {
  TensorFile result;
  result.path = file.path;
  for (FileTensor t : file.tensors)
    if (t.name.starts_with(prefix)) {
      t.name.erase(0, prefix.size());
      result.tensors.push_back(std::move(t));
    }
  return result;
}

void append(TensorFile& file, const std::string& prefix, const TensorFile& tensors) {
  for (FileTensor t : tensors.tensors) {
    t.name = prefix + t.name;
    file.tensors.push_back(std::move(t));
  }
}

}  // namespace

RunFolder::RunFolder(const std::string& path, bool resume) : path_(path) {
  std::error_code error;
  const bool exists = fs::exists(path, error);
  if (resume)
    check(fs::exists(file(kCheckpoint), error), "--resume: ", path, " holds no ", kCheckpoint);
  else if (exists) {
    check(fs::is_directory(path, error), "--output: ", path, " is not a folder");
    check(fs::is_empty(path, error), "--output: the folder ", path,
          " is not empty; choose another one, or --resume to go on with the run in it");
  }
  fs::create_directories(path, error);
  check(!error, "--output: cannot make the folder ", path, ": ", error.message());
  const std::string probe = file(".probe");
  check(std::ofstream(probe).put('x').good(), "--output: the folder ", path, " cannot be written");
  fs::remove(probe, error);
}

void RunFolder::write_json(const std::string& name, const nlohmann::json& json) const {
  write_file(file(name), {json.dump(2), "\n"});
}

nlohmann::json RunFolder::read_json(const std::string& name) const {
  const std::string text = read_file(file(name));
  try {
    return nlohmann::json::parse(text);
  } catch (const nlohmann::json::exception& e) {
    fail(file(name), " is not valid JSON: ", e.what());
  }
}

void RunFolder::check_same_options(const nlohmann::json& options) const {
  const nlohmann::json run = read_json("run.json");
  const auto before = run.find("options");
  check(before != run.end() && before->is_object(), file("run.json"), " has no options to compare with");
  std::string differences;
  for (const auto& [name, value] : options.items()) {
    if (name == "resume" || name == "output" || name == "device") continue;
    const auto was = before->find(name);
    if (was != before->end() && *was == value) continue;
    differences += str(differences.empty() ? "" : "; ", "--", name, " is ", value.dump(), ", was ",
                       was != before->end() ? was->dump() : "none");
  }
  check(differences.empty(), "--resume: the run in ", path_, " was started with other options: ", differences);
}

std::string RunFolder::record_device(const nlohmann::json& identity, const Progress& progress) const {
  nlohmann::json run = read_json("run.json");
  nlohmann::json& moved = run["moved"];
  const nlohmann::json& last = moved.empty() ? run["identity"] : moved.back();
  const std::string before = last.value("device", "");
  if (before == identity.at("device")) return "";
  moved.push_back({{"epoch", progress.epoch},
                   {"batch", progress.batch},
                   {"device", identity.at("device")},
                   {"cuda", identity.at("cuda")},
                   {"gpu", identity.at("gpu")}});
  write_json("run.json", run);
  return before;
}

void RunFolder::add_epoch(const nlohmann::json& line) const {
  std::ofstream out(file("epochs.jsonl"), std::ios::app);
  out << line.dump() << "\n";
  out.flush();
  check(out.good(), "cannot write ", file("epochs.jsonl"));
}

void RunFolder::truncate_epochs(int64_t epoch) const {
  std::ifstream in(file("epochs.jsonl"));
  std::ostringstream kept;
  for (std::string line; std::getline(in, line);) {
    const auto json = nlohmann::json::parse(line, nullptr, false);
    if (json.is_object() && json.value("epoch", epoch) < epoch) kept << line << "\n";
  }
  write_file(file("epochs.jsonl"), {kept.str()});
}

void RunFolder::save_model(const std::string& name, const Classifier& model) const {
  TensorFile content = export_weights(model.named_tensors());
  content.metadata["format"] = "pt";
  content.metadata["model"] = model.name();
  write_safetensors(file(name), content);
}

void RunFolder::save_checkpoint(const Classifier& model, const Optimizer& optimizer, const Progress& p) const {
  TensorFile content;
  append(content, "model.", export_weights(model.named_tensors()));
  for (const NamedTensor& t : optimizer.state()) content.tensors.emplace_back("optimizer." + t.name, t.tensor);
  content.tensors.emplace_back("counters", Shape{4},
                               std::vector<int64_t>{p.epoch, p.batch, optimizer.steps(), p.best_epoch});
  const std::vector<double> sums = {p.best_value, p.cross_entropy, p.penalty};
  content.tensors.emplace_back("sums", Tensor::from({static_cast<int64_t>(sums.size())}, sums));
  content.tensors.emplace_back("metrics", Tensor::from({static_cast<int64_t>(p.metrics.size())}, p.metrics));
  content.metadata["model"] = model.name();
  write_safetensors(file(kCheckpoint), content);
}

Progress RunFolder::load_checkpoint(Classifier& model, Optimizer& optimizer) const {
  const TensorFile content = read_safetensors(file(kCheckpoint));
  load_weights(model.named_tensors(), part(content, "model."), {{}, false});
  const TensorFile state = part(content, "optimizer.");
  for (NamedTensor t : optimizer.state()) t.tensor.copy_from(state.at(t.name).tensor);
  const auto& counters = content.at("counters").int64;
  const auto sums = content.at("sums").tensor.to_vector();
  check(counters.size() == 4 && sums.size() == 3, file(kCheckpoint), " is of another version of boxcam");
  optimizer.set_steps(counters[2]);
  Progress p;
  p.epoch = counters[0];
  p.batch = counters[1];
  p.best_epoch = counters[3];
  p.best_value = sums[0];
  p.cross_entropy = sums[1];
  p.penalty = sums[2];
  p.metrics = content.at("metrics").tensor.to_vector();
  return p;
}

}  // namespace boxcam
