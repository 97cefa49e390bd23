// A run's folder: what it is made of, and how it is written so that nothing is ever lost.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "apps/common/folder_lock.h"
#include "apps/common/json.h"
#include "apps/common/method.h"
#include "nn/classifier.h"
#include "nn/files/safetensors.h"
#include "nn/optim.h"

namespace boxcam {

/// Where a training run stands: everything that `--resume` needs beside model and optimiser.
struct Progress {
  int64_t epoch = 0;        ///< the epoch being trained
  int64_t batch = 0;        ///< batches of it already trained
  int64_t best_epoch = -1;  ///< -1: none yet
  double best_value = 0;
  StepReport terms;             ///< sums over the epoch so far
  std::vector<double> metrics;  ///< Metrics::state of the epoch so far
};

inline constexpr const char* kEpochs = "epochs.jsonl";  ///< a line an epoch
inline constexpr const char* kProof = "proof.jsonl";    ///< digests of the state (proof.h)

/// What RunFolder throws, in its sentence, where another process holds the folder.
inline constexpr const char* kFolderIsTaken = "another process is training in the folder";

class RunFolder {
 public:
  /// Makes the folder and locks it for this process. Throws Error when it cannot be written, is locked by another
  /// process, or holds something and `resume` is off, or holds no checkpoint and `resume` is on.
  RunFolder(const std::string& path, bool resume);
  /// Whether a process holds the lock of the folder at `path`. False where there is no folder, or no way to lock.
  static bool is_locked(const std::string& path);
  /// Empties the folder of a run that was stopped before its first checkpoint, so that it can begin anew; does nothing
  /// where there is a checkpoint, a test, no folder, or a process that holds it. Throws Error for a link.
  static void clear_unbegun(const std::string& path);

  std::string file(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

  void write_json(const std::string& name, const nlohmann::json& json) const;
  nlohmann::json read_json(const std::string& name) const;
  /// Adds to "moved" in run.json where a resumed run goes on and what of the machine is not as it was: place, and of
  /// what changed in `run`'s identity and of the data's place the new values. Returns a sentence for each; none where
  /// nothing changed.
  std::vector<std::string> record_move(const nlohmann::json& run, const Progress& progress) const;

  /// Appends a line to kEpochs or kProof.
  void add_line(const char* name, const nlohmann::json& line) const;
  /// Drops what a resumed run repeats: lines whose `key` is `from` or more.
  void truncate_lines(const char* name, const char* key, int64_t from) const;
  std::vector<nlohmann::json> read_epochs() const;

  /// `metadata`: what the file says of itself; the digest of its tensors is added.
  void save_model(const std::string& name, const Classifier& model,
                  const std::map<std::string, std::string>& metadata) const;
  void save_checkpoint(const Classifier& model, const Optimizer& optimizer, const Progress& progress) const;
  Progress load_checkpoint(Classifier& model, Optimizer& optimizer) const;

 private:
  std::string path_;
  std::optional<FolderLock> lock_;
};

/// Of a file. Throws Error naming it.
nlohmann::json read_json_file(const std::string& path);
/// The lines of a file that are objects; none where there is no file. What a crash cut short is no line.
std::vector<nlohmann::json> read_json_lines(const std::string& path);

// Of a run that goes on (--resume) or is repeated (--verify); `asks` is that option.

/// "options" of the run in a folder, but for those that are this process' own (output, resume). Throws Error
/// where there is no run.
nlohmann::json recorded_options(const std::string& asks, const std::string& folder);

/// Throws Error naming every option in `asked` whose value is not the recorded one, with both; where more epochs are
/// asked for, with `train_on`, the command for that. Options that change how a run is computed but not what, or name
/// what may have been moved, may differ.
void check_same_options(const std::string& asks, const nlohmann::json& recorded, const nlohmann::json& asked,
                        const std::string& folder, const std::string& train_on);

/// Throws Error where the data in `now` (a run.json) are not those of the run in the folder, describing both.
void check_same_data(const std::string& asks, const std::string& folder, const nlohmann::json& now);

/// What in `identity` is not as run.json has it, later moves included: "threads was 2 and is 1".
std::vector<std::string> identity_changes(const nlohmann::json& run, const nlohmann::json& identity);

}  // namespace boxcam
