// Options of the method and of training.
#pragma once

#include "apps/common/method.h"
#include "apps/common/options/data.h"
#include "apps/common/options/explain.h"
#include "nn/optim.h"

namespace boxcam {

inline constexpr const char* kDefaultOutput = "runs/train";

struct TrainOptions {
  enum class BestBy { content_heatmap, accuracy, worst_class, worst_group, last };
  Method method;
  OptimizerOptions optimizer;
  Schedule schedule;
  int64_t epochs = 30;
  BestBy best_by = BestBy::content_heatmap;
  bool thesis = false;
  bool class_balance = false;
  std::string output;
  bool resume = false;
  std::string verify;        ///< folder of a run to repeat; empty: none
  int64_t verify_steps = 0;  ///< 0: the whole run
  bool tensorboard = false;
  bool keep_epochs = false;
  std::vector<std::string> test_margins;  ///< numbers, which settle_train_options checks
};

/// All that a training step depends on but for the data set: batches, model, explanation, method, optimiser and
/// schedule.
void declare_step(OptionTable& table, DataOptions& data, ModelOptions& model, TrainOptions& train);
/// --best-by, --keep-epochs, --test-margins, --output, --resume, --verify, --verify-steps, --tensorboard.
void declare_run(OptionTable& table, TrainOptions& options);

/// What --thesis implies, for options that were not given, and defaults that depend on others; refuses those that
/// contradict it, and pairs of options that cannot go together (docs/method.md, "The readings"), naming the reason.
void settle_train_options(const OptionTable& table, DataOptions& data, TrainOptions& train);

/// "--penalty-gradient full --cam-model shared ...": the options that make a reading, of a model with these taps.
std::string reading_in_options(const Method& method, const std::vector<std::string>& taps);

}  // namespace boxcam
