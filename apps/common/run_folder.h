// A run's folder: what it is made of, and how it is written so that nothing is ever lost.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

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
  double cross_entropy = 0, penalty = 0;  ///< sums over the epoch so far
  std::vector<double> metrics;            ///< Metrics::state of the epoch so far
};

class RunFolder {
 public:
  /// Makes the folder. Throws Error when it cannot be written, or holds something and `resume` is off, or holds no
  /// checkpoint and `resume` is on.
  RunFolder(const std::string& path, bool resume);

  std::string file(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

  void write_json(const std::string& name, const nlohmann::json& json) const;
  nlohmann::json read_json(const std::string& name) const;
  /// Throws Error naming the options whose values differ from those of the run to be resumed; --device may.
  void check_same_options(const nlohmann::json& options) const;
  /// Where a resumed run changes its device, adds place, device and GPU to "moved" in run.json. Returns the device that
  /// the run was on, empty if it stays there. `identity` is that of the run as resumed.
  std::string record_device(const nlohmann::json& identity, const Progress& progress) const;

  /// Appends a line to epochs.jsonl; `truncate_epochs` drops lines of `epoch` and later (a resumed run repeats them).
  void add_epoch(const nlohmann::json& line) const;
  void truncate_epochs(int64_t epoch) const;

  void save_model(const std::string& name, const Classifier& model) const;
  void save_checkpoint(const Classifier& model, const Optimizer& optimizer, const Progress& progress) const;
  Progress load_checkpoint(Classifier& model, Optimizer& optimizer) const;

 private:
  std::string path_;
};

}  // namespace boxcam
