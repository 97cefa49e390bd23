#include "apps/common/run_folder.h"

#include <filesystem>
#include <set>
#include <sstream>

#include "apps/common/data/kinds.h"
#include "engine/base/durable.h"
#include "engine/base/file.h"
#include "engine/base/text.h"
#include "models/weights.h"
#include "nn/data/json.h"

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

/// Options that change how a run is computed, or where its inputs lie, but not what it is.
const std::set<std::string> kMayDiffer = {"device", "threads", "weights", "weights-allow-missing", "output", "resume",
                                          "tensorboard",
                                          // What these change, check_same_data compares.
                                          "none-class", "missing-images"};

/// Whether a new run may be put there.
bool is_free(const std::string& folder) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error))
    if (entry.path().filename() != FolderLock::kFile) return false;
  return true;
}

}  // namespace

bool RunFolder::is_locked(const std::string& path) { return FolderLock(path, false).taken(); }

void RunFolder::clear_unbegun(const std::string& path) {
  check(!fs::is_symlink(path), path, " is a link: expected a run's own folder");  // whose files would be removed?
  const FolderLock lock(path, false);
  std::error_code error;
  const auto has = [&](const char* name) { return fs::exists(path + "/" + name, error); };
  if (lock.taken() || has(kCheckpoint) || has("test.json")) return;
  for (const auto& entry : fs::directory_iterator(path, error)) fs::remove_all(entry.path(), error);
}

RunFolder::RunFolder(const std::string& path, bool resume) : path_(path) {
  std::error_code error;
  if (resume)
    check(fs::exists(file(kCheckpoint), error), "--resume: ", path, " holds no ", kCheckpoint);
  else if (fs::exists(path, error))
    check(fs::is_directory(path, error), "--output: ", path, " is not a folder");
  fs::create_directories(path, error);
  check(!error, "--output: cannot make the folder ", path, ": ", error.message());
  sync_entry(fs::path(path).has_filename() ? path : fs::path(path).parent_path().string());
  lock_.emplace(path);
  check(!lock_->taken(), "--output: ", kFolderIsTaken, " ", path);
  check(resume || is_free(path), "--output: the folder ", path,
        " is not empty; choose another one, or --resume to go on with the run in it");
  try {
    AtomicFile(file(".probe")).write("x");
  } catch (const Error&) {
    fail("--output: the folder ", path, " cannot be written");
  }
}

void RunFolder::write_json(const std::string& name, const nlohmann::json& json) const {
  write_file(file(name), {json_text(json, 2), "\n"});
}

nlohmann::json RunFolder::read_json(const std::string& name) const { return read_json_file(file(name)); }

nlohmann::json read_json_file(const std::string& path) { return parse_json(read_file(path), path); }

std::vector<nlohmann::json> read_json_lines(const std::string& path) {
  std::vector<nlohmann::json> lines;
  std::error_code error;
  if (!fs::exists(path, error)) return lines;
  std::istringstream in(read_file(path));  // a stream of a file would take an error for its end
  for (std::string line; std::getline(in, line);) {
    nlohmann::json json = parse_json_or_discard(line);
    if (json.is_object()) lines.push_back(std::move(json));
  }
  return lines;
}

nlohmann::json recorded_options(const std::string& asks, const std::string& folder) {
  const std::string path = folder + "/run.json";
  std::error_code error;
  check(fs::exists(path, error), asks, ": ", folder, " holds no run");
  const nlohmann::json run = parse_json_or_discard(read_file(path));
  check(run.is_object() && run.contains("options") && run["options"].is_object(), path, " has no options of a run");
  nlohmann::json options = run["options"];
  for (const char* own : {"output", "resume"}) options.erase(own);
  return options;
}

void check_same_options(const std::string& asks, const nlohmann::json& recorded, const nlohmann::json& asked,
                        const std::string& folder, const std::string& train_on) {
  std::vector<std::string> differences;
  for (const auto& [name, value] : asked.items()) {
    const auto was = recorded.find(name);
    if (kMayDiffer.contains(name) || was == recorded.end() || *was == value) continue;
    if (name == "data" && kind_name(plain_text(*was)) == kind_name(plain_text(value)))
      continue;  // its place; check_same_data compares the rest
    check(name != "epochs", "--epochs: the run in ", folder, " was planned for ", plain_text(*was),
          " epochs, and its learning rates with them, not for ", plain_text(value),
          "; to train on from its last weights: ", train_on);
    differences.push_back(str("--", name, " is ", json_text(value), ", was ", json_text(*was)));
  }
  check(differences.empty(), asks, ": the run in ", folder,
        " was started with other options: ", join(differences, "; "));
}

void check_same_data(const std::string& asks, const std::string& folder, const nlohmann::json& now) {
  const nlohmann::json before = read_json_file(folder + "/run.json");
  std::vector<std::string> differences;
  for (const auto& [split, is] : now.at("data").items()) {
    const auto was = before.at("data").find(split);
    if (was == before.at("data").end() || !was->is_object() || !is.is_object()) continue;
    if (was->at("identity") != is.at("identity"))
      differences.push_back(
          str("the ", split, " split is ", plain_text(is.at("content")), ", was ", plain_text(was->at("content"))));
  }
  check(differences.empty(), asks, ": the run in ", folder,
        " has other data (files, order, labels or boxes): ", join(differences, "; "));
}

namespace {

/// The identity as it was last: with what later moves changed of it.
nlohmann::json last_identity(const nlohmann::json& run) {
  nlohmann::json last = run.at("identity");
  for (const nlohmann::json& move : run.value("moved", nlohmann::json::array())) last.update(move);
  return last;
}

bool is_as_it_was(const nlohmann::json& last, const std::string& name, const nlohmann::json& value) {
  return last.contains(name) && last[name] == value;
}

}  // namespace

std::vector<std::string> identity_changes(const nlohmann::json& run, const nlohmann::json& identity) {
  const nlohmann::json last = last_identity(run);
  std::vector<std::string> changes;
  for (const auto& [name, value] : identity.items())
    if (!is_as_it_was(last, name, value))
      changes.push_back(str(name, " was ", last.contains(name) ? plain_text(last[name]) : "not recorded", " and is ",
                            plain_text(value)));
  return changes;
}

std::vector<std::string> RunFolder::record_move(const nlohmann::json& now, const Progress& progress) const {
  nlohmann::json run = read_json("run.json");
  const nlohmann::json last = last_identity(run);
  nlohmann::json move = {{"epoch", progress.epoch}, {"batch", progress.batch}};
  for (const auto& [name, value] : now.at("identity").items())
    if (!is_as_it_was(last, name, value)) move[name] = value;
  std::vector<std::string> changes = identity_changes(run, now.at("identity"));
  const nlohmann::json& place = now.at("options").at("data");
  const bool elsewhere = run["options"]["data"] != place;
  if (elsewhere) {
    move["data"] = place;
    run["options"]["data"] = place;
  }
  if (changes.empty() && !elsewhere) return changes;
  run["moved"].push_back(move);
  write_json("run.json", run);
  return changes;
}

void RunFolder::add_line(const char* name, const nlohmann::json& line) const {
  append_to_file(file(name), json_text(line) + "\n");
}

std::vector<nlohmann::json> RunFolder::read_epochs() const { return read_json_lines(file(kEpochs)); }

void RunFolder::truncate_lines(const char* name, const char* key, int64_t from) const {
  std::string kept;
  for (const nlohmann::json& line : read_json_lines(file(name)))
    if (line.value(key, from) < from) kept += json_text(line) + "\n";
  write_file(file(name), {kept});
}

void RunFolder::save_model(const std::string& name, const Classifier& model,
                           const std::map<std::string, std::string>& metadata) const {
  TensorFile content = export_weights(model.named_tensors());
  content.metadata = metadata;
  content.metadata["tensors-sha256"] = tensors_sha256(content);
  write_safetensors(file(name), content);
}

void RunFolder::save_checkpoint(const Classifier& model, const Optimizer& optimizer, const Progress& p) const {
  TensorFile content;
  append(content, "model.", export_weights(model.named_tensors()));
  for (const NamedTensor& t : optimizer.state()) content.tensors.emplace_back("optimizer." + t.name, t.tensor);
  content.tensors.emplace_back("counters", Shape{4},
                               std::vector<int64_t>{p.epoch, p.batch, optimizer.steps(), p.best_epoch});
  std::vector<double> sums = {p.best_value};
  StepReport terms = p.terms;
  for (const double* term : terms.values()) sums.push_back(*term);
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
  Progress p;
  const std::vector<double*> terms = p.terms.values();
  // A file that is older than a term has a run without it.
  check(counters.size() == 4 && sums.size() >= 3 && sums.size() <= 1 + terms.size(), file(kCheckpoint),
        " is of another version of boxcam");
  constexpr int64_t most = int64_t{1} << 40;  // of steps and epochs; further ones are added to them
  for (const int64_t counter : counters)
    check(counter >= -1 && counter <= most, file(kCheckpoint), ": expected counters of epochs and steps, found ",
          counter);
  optimizer.set_steps(counters[2]);
  p.epoch = counters[0];
  p.batch = counters[1];
  p.best_epoch = counters[3];
  p.best_value = sums[0];
  for (size_t i = 1; i < sums.size(); ++i) *terms[i - 1] = sums[i];
  p.metrics = content.at("metrics").tensor.to_vector();
  return p;
}

}  // namespace boxcam
