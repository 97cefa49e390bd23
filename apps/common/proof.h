// That a run can be repeated to the bit: the digests it leaves behind (proof.jsonl), and the comparison with them while
// `train --verify` repeats it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "apps/common/json.h"
#include "apps/common/run_folder.h"
#include "nn/classifier.h"
#include "nn/optim.h"

namespace boxcam {

/// Whether the state is kept after so many steps: 1, 2, 4, 8 and so on, for a difference grows and is found early.
bool is_proof_step(int64_t steps);

/// {"step": 8, "state": "12ab..."}: the SHA-256 of all weights, running statistics and the optimiser's state.
nlohmann::json proof_of(const Classifier& model, const Optimizer& optimizer);

/// What a run recorded, against what a repetition of it finds. Whatever is not the same bit by bit is thrown as an
/// Error that says where the run and its repetition part, with both values, and what of the machine is not as it was.
class Verification {
 public:
  /// Reads the run in `folder`, of which `steps` are repeated (0: all and the test). `now` is the run.json of the
  /// repetition: throws Error where data or initial weights are others, or the run has nothing to compare with.
  Verification(const std::string& folder, const nlohmann::json& now, int64_t steps);

  void check_proof(const nlohmann::json& proof);
  void check_epoch(const nlohmann::json& line);
  /// Of the finished repetition in `repeated`: test.json, best.safetensors and last.safetensors.
  void check_end(const std::string& repeated);

  bool enough(int64_t steps) const { return limit_ > 0 && steps >= limit_; }
  /// Whether the run recorded anything of what was repeated.
  bool compared() const { return !steps_.empty() || compared_epochs_ > 0; }
  /// "the same bits after steps 1, 2, 4 and in 3 epochs"
  std::string summary() const;
  /// What of program and machine is not as it was, a sentence part each; none: it is the same.
  const std::vector<std::string>& changes() const { return changes_; }

 private:
  [[noreturn]] void differ(const std::string& where, const std::string& found, const std::string& recorded) const;

  std::string folder_;
  int64_t limit_ = 0;
  std::vector<nlohmann::json> proofs_, epochs_;
  std::vector<std::string> changes_, steps_;  // what was compared
  int64_t compared_epochs_ = 0;
};

}  // namespace boxcam
