// What a training run is before its first step: options settled, data opened, a model made. `train` goes on from here;
// `experiment` stops here, to know what a run will be.
#pragma once

#include <string>

#include "apps/common/data/data.h"
#include "apps/common/json.h"
#include "apps/common/model.h"
#include "apps/common/options/train.h"

namespace boxcam {

struct TrainingOptions {
  DataOptions data;
  ModelOptions model;
  TrainOptions train;
  RunOptions run;
};

/// All options of `train`.
void declare_training(OptionTable& table, TrainingOptions& options);

/// Of parsed options what they leave open, and what contradicts itself, the weights or the data, as a sentence thrown;
/// `start` is the card of --weights. Returns what was taken from it, for the terminal; empty: nothing.
std::string settle_training(OptionTable& table, TrainingOptions& options, const ModelCard& start);

/// Opened before a model is made, so that what is wrong with the data is said first; with it, a rule of --best-by that
/// they do not do for.
RunSplits training_splits(DataOptions& options, TrainOptions::BestBy best_by);

/// Makes the model, and settles what depends on it. A resumed run has its weights from its checkpoint.
NewModel new_model(TrainingOptions& options, const ModelCard& start, const Dataset& train);

/// What run.json says: every option, the identity of the program, the machine, the data and the weights it began with.
nlohmann::json run_json(const TrainingOptions& options, const OptionTable& table, const RunSplits& splits,
                        const NewModel& made);

/// 64 hexadecimal digits (SHA-256) of what a run is: of the options in its run.json those that are not at their
/// defaults, the data's identities and the weights' digest. Where data and weights lie, where the run is written, what
/// computes it with how many threads, play no part; an option that a later version adds plays none at its default.
std::string run_hash(const OptionTable& table, const nlohmann::json& run);

}  // namespace boxcam
