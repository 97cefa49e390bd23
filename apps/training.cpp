#include "apps/training.h"

#include <set>

#include "apps/common/data/kinds.h"
#include "apps/common/groups.h"
#include "apps/common/program.h"
#include "apps/train_step.h"
#include "engine/base/sha256.h"
#include "engine/base/text.h"
#include "engine/machine.h"
#include "nn/data/image.h"

namespace boxcam {

namespace {

/// Options that change how a run is computed or where its inputs and outputs lie, but not what it is; and those that
/// only say which data: the data's identities say that better.
const std::set<std::string> kNoPart = {
    // machine and places
    "device", "threads", "loader-threads", "output", "resume", "weights", "class-names", "tensorboard",
    // stands for other options, which are recorded too
    "thesis",
    // data
    "data", "classes", "train-images", "val-images", "test-images", "data-seed", "group-of", "several-classes",
    "expand-children", "difficult", "sources", "context-correlation", "scenes-level", "none-class", "missing-images"};

}  // namespace

void declare_training(OptionTable& table, TrainingOptions& o) {
  declare_data_set(table, o.data, {"train", "val", "test"});
  declare_step(table, o.data, o.model, o.train);
  declare_background_variants(table, o.data);
  declare_run(table, o.train);
  declare_seed(table, o.run);
  declare_cpu(table, o.run);
  declare_device(table, o.run);
  declare_loader(table, o.data);
}

std::string settle_training(OptionTable& table, TrainingOptions& o, const ModelCard& start) {
  const std::string note = adopt(start, Adopt::network, table, o.data);
  settle_data_options(table, o.data);
  settle_train_options(table, o.data, o.train);
  check_network(start, Adopt::network, table);
  apply(o.run);
  settle_loader(o.data, o.run.device);
  return note;
}

RunSplits training_splits(DataOptions& options, TrainOptions::BestBy best_by) {
  RunSplits splits = open_run_splits(options);
  check(best_by != TrainOptions::BestBy::worst_group || !group_sizes(*splits.validation.data).empty(),
        "--best-by: the validation split of --data ", options.data,
        " knows no groups: expected content-heatmap, accuracy, worst-class or last");
  const int64_t size = splits.train.data->size();
  check(size > 1, "the training split has ", size, " images: at least 2 are needed");
  return splits;
}

NewModel new_model(TrainingOptions& o, const ModelCard& start, const Dataset& train) {
  ModelOptions options = o.model;
  if (o.train.resume) options.weights.clear(), options.allow_missing.clear();
  NewModel made = make_model(options, start, train.classes(), o.run.seed);
  place(*made.model, o.run);
  o.run.threads = threads();
  settle_taps(o.train.method.explain, *made.model);
  if (o.train.class_balance) o.train.method.class_weights = balancing_weights(train);
  return made;
}

nlohmann::json run_json(const TrainingOptions& o, const OptionTable& table, const RunSplits& splits,
                        const NewModel& made) {
  nlohmann::json json = nlohmann::json::object();
  json["options"] = table.json();
  json["identity"] = {{"boxcam", version()},
                      {"commit", build_commit()},
                      {"flags", build_flags()},
                      {"c_library", c_library()},
                      {"onednn", onednn_version()},
                      {"compiler", __VERSION__},
                      {"jpeg", jpeg_decoder()},
                      {"processor", processor_name()},
                      {"native_kernels", native_kernels()},
                      {"threads", threads()},
                      {"device", name(o.run.device)},
                      {"cuda", cuda_version()},
                      {"gpu", o.run.device == Device::cuda ? cuda_device_name() : "none"},
                      {"precision", name(o.run.precision)}};
  json["loader"] = {{"threads", o.data.loader_threads}, {"cache_bytes", o.data.loader_cache}};
  json["data"] = splits_json(splits.all());
  if (!made.weights_sha256.empty()) json["weights"] = {{"tensors-sha256", made.weights_sha256}};
  return json;
}

std::string run_hash(const OptionTable& table, const nlohmann::json& run) {
  nlohmann::json what = {{"options", nlohmann::json::object()}, {"data", nlohmann::json::object()}};
  for (const auto& [name, value] : run.at("options").items())
    if (!kNoPart.contains(name) && !table.is_standard("--" + name, plain_text(value)))
      what["options"][name] = plain_text(value);
  for (const auto& [split, is] : run.at("data").items()) what["data"][split] = is.is_object() ? is.at("identity") : is;
  if (run.contains("weights")) what["weights"] = run["weights"].at("tensors-sha256");
  Sha256 hash;
  hash.add(json_text(what));
  return hash.digits();
}

}  // namespace boxcam
