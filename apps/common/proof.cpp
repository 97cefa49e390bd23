#include "apps/common/proof.h"

#include <filesystem>

#include "engine/base/check.h"
#include "engine/base/text.h"
#include "models/weights.h"
#include "nn/files/safetensors.h"

namespace boxcam {

namespace {

/// The line with this value of `key`; null where there is none.
const nlohmann::json* line_with(const std::vector<nlohmann::json>& lines, const char* key,
                                const nlohmann::json& value) {
  for (const nlohmann::json& line : lines)
    if (line.contains(key) && line[key] == value) return &line;
  return nullptr;
}

}  // namespace

bool is_proof_step(int64_t steps) { return steps > 0 && (steps & (steps - 1)) == 0; }

nlohmann::json proof_of(const Classifier& model, const Optimizer& optimizer) {
  TensorFile state = export_weights(model.named_tensors());
  for (const NamedTensor& t : optimizer.state()) state.tensors.emplace_back("optimizer." + t.name, t.tensor);
  return {{"step", optimizer.steps()}, {"state", tensors_sha256(state)}};
}

Verification::Verification(const std::string& folder, const nlohmann::json& now, int64_t steps)
    : folder_(folder),
      limit_(steps),
      proofs_(read_json_lines(folder + "/" + kProof)),
      epochs_(read_json_lines(folder + "/" + kEpochs)) {
  check_same_data("--verify", folder, now);
  const nlohmann::json run = read_json_file(folder + "/run.json");
  const auto weights = [](const nlohmann::json& of) { return of.value("weights", nlohmann::json::object()); };
  if (weights(run) != weights(now))
    differ("the weights it begins with", json_text(weights(now)), json_text(weights(run)));
  std::error_code error;
  check(steps > 0 || std::filesystem::exists(folder + "/test.json", error), "--verify: the run in ", folder,
        " is not finished: finish it, or say with --verify-steps how far to repeat it");
  changes_ = identity_changes(run, now.at("identity"));
  for (const nlohmann::json& move : run.value("moved", nlohmann::json::array()))
    changes_.push_back(str("it was moved in epoch ", move.value("epoch", int64_t{0}) + 1));
}

void Verification::differ(const std::string& where, const std::string& found, const std::string& recorded) const {
  fail("--verify: the repetition of ", folder_, " parts from it: ", where, " is ", found, ", recorded ", recorded,
       changes_.empty() ? "; program and machine are the same" : "; not as it was: " + join(changes_, "; "));
}

void Verification::check_proof(const nlohmann::json& proof) {
  const nlohmann::json* recorded = line_with(proofs_, "step", proof.at("step"));
  if (!recorded) return;
  const std::string step = json_text(proof.at("step"));
  if (*recorded != proof)
    differ("the state after step " + step, plain_text(proof.at("state")),
           plain_text(recorded->value("state", nlohmann::json())));
  steps_.push_back(step);
}

void Verification::check_epoch(const nlohmann::json& line) {
  const nlohmann::json* recorded = line_with(epochs_, "epoch", line.at("epoch"));
  if (!recorded) return;
  for (const auto& [key, value] : line.items()) {
    if (key == "seconds" || key == "images_per_second" || !recorded->contains(key)) continue;
    if (recorded->at(key) != value)
      differ(str(key, " of epoch ", line.at("epoch").get<int64_t>() + 1), json_text(value),
             json_text(recorded->at(key)));
  }
  ++compared_epochs_;
}

void Verification::check_end(const std::string& repeated) {
  const nlohmann::json found = read_json_file(repeated + "/test.json"),
                       recorded = read_json_file(folder_ + "/test.json");
  for (const auto& [key, value] : recorded.items())
    if (!found.contains(key) || found[key] != value)
      differ(key + " in test.json", found.contains(key) ? json_text(found[key]) : "missing", json_text(value));
  for (const char* file : {"last.safetensors", "best.safetensors"}) {
    const std::string now = tensors_sha256(read_safetensors(repeated + "/" + file)),
                      before = tensors_sha256(read_safetensors(folder_ + "/" + file));
    if (now != before) differ(str("the digest of ", file), now, before);
  }
}

std::string Verification::summary() const {
  if (!compared()) return "nothing was compared";
  std::string text = "the same bits";
  if (!steps_.empty()) text += str(" after step", steps_.size() > 1 ? "s " : " ", join(steps_, ", "));
  if (compared_epochs_ > 0)
    text += str(steps_.empty() ? " in " : " and in ", compared_epochs_, compared_epochs_ > 1 ? " epochs" : " epoch");
  return text;
}

}  // namespace boxcam
