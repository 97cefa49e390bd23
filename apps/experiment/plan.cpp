#include "apps/experiment/plan.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <map>

#include "apps/common/evaluation.h"
#include "apps/common/options/table.h"
#include "apps/train_step.h"
#include "apps/training.h"
#include "engine/base/text.h"

namespace boxcam {

namespace fs = std::filesystem;

namespace {

/// Eight digits tell a study's runs apart; plan_runs checks it.
constexpr size_t kDigits = 8;

/// One run's options, parsed and settled in train's own way.
class Settled {
 public:
  explicit Settled(std::vector<std::string> arguments) : app_("", "train"), table_(app_) {
    declare_training(table_, options);
    std::reverse(arguments.begin(), arguments.end());  // as CLI11 takes them
    app_.allow_extras();
    app_.parse(arguments);
    const std::vector<std::string> unknown = app_.remaining();
    check(unknown.empty(), "unknown option ", unknown.empty() ? "" : unknown[0]);
    take_class_names(table_, options.data);
    start_ = read_card(options.model.weights);
    settle_training(table_, options, start_);
  }

  TrainingOptions options;
  const OptionTable& table() const { return table_; }
  const ModelCard& start() const { return start_; }
  /// The recorded options of those named, as a key.
  std::string key(const std::vector<std::string>& names) const {
    const nlohmann::json all = table_.json();
    nlohmann::json part = nlohmann::json::object();
    for (const std::string& name : names) part[name] = all.at(name);
    return json_text(part);
  }

 private:
  CLI::App app_;
  OptionTable table_;
  ModelCard start_;
};

/// What several runs share is opened once.
class Opened {
 public:
  const RunSplits& splits(Settled& run) {
    const std::string key =
        run.key({"data", "classes", "train-images", "val-images", "test-images", "data-seed", "image-size", "resize",
                 "augment", "group-of", "several-classes", "expand-children", "difficult", "sources", "none-class",
                 "missing-images", "context-correlation", "scenes-level"});
    auto found = splits_.find(key);
    if (found == splits_.end()) {
      const RunSplits opened = training_splits(run.options.data, run.options.train.best_by);
      found = splits_.emplace(key, std::pair(opened, run.options.data.none_class)).first;
    }
    run.options.data.none_class = found->second.second;
    return found->second.first;
  }
  /// Settles what depends on the model. Checks, too, that a step of this method can be made of it.
  NewModel& model(Settled& run, const Dataset& train) {
    const std::string key = run.key({"model", "weights", "weights-allow-missing", "tap", "class-balance", "explainer",
                                     "evidence-split", "cam-model"}) +
                            join(train.classes(), ",");
    auto found = models_.find(key);
    if (found == models_.end()) {
      NewModel made = new_model(run.options, run.start(), train);
      TrainStep(*made.model, run.options.train.method, run.options.train.optimizer);
      found = models_.emplace(key, Model{std::move(made), run.options.train.method.explain.taps}).first;
    }
    run.options.train.method.explain.taps = found->second.taps;
    return found->second.made;
  }

 private:
  struct Model {
    NewModel made;
    std::vector<std::string> taps;
  };
  std::map<std::string, std::pair<RunSplits, NoneClass>> splits_;
  std::map<std::string, Model> models_;
};

constexpr size_t kMostRuns = 10'000;

std::vector<std::string> arguments_of(const OptionList& options) {
  std::vector<std::string> words;
  for (const auto& [name, value] : options) {
    if (value == "false") continue;  // a flag that is not set
    // One word: a value that begins with dashes is no option.
    words.push_back("--" + name + (value == "true" ? "" : "=" + value));
  }
  return words;
}

const std::string* value_in(const OptionList& options, const std::string& name) {
  for (const auto& [key, value] : options)
    if (key == name) return &value;
  return nullptr;
}

/// Margins that a study tells at one image size, at that of its runs.
void scale_margins(OptionList& options, const OptionList& given, double from) {
  const std::string* size = value_in(options, "image-size");
  const double factor = size ? std::atof(size->c_str()) / from : 1;
  if (from == 0 || factor == 1 || !(factor > 0)) return;
  for (auto& [name, value] : options) {
    if ((name != "margin" && name != "eval-margin" && name != "test-margins") || value_in(given, name)) continue;
    std::vector<std::string> scaled;
    for (size_t begin = 0; begin <= value.size();) {
      const size_t end = std::min(value.find(',', begin), value.size());
      // A hundredth of a pixel: no more digits than a margin deserves.
      scaled.push_back(str(std::round(std::atof(value.substr(begin, end - begin).c_str()) * factor * 100) / 100));
      begin = end + 1;
    }
    value = join(scaled, ",");
  }
}

void check_given(const Study& study, const OptionList& given) {
  for (const auto& [name, value] : given)
    for (const StudyRowOptions& row : study.rows)
      if (const std::string* own = value_in(row.options, name))
        fail("--", name, " is what the rows of this study say (", row.name, ": ", *own,
             "); make another study file, or leave it out");
}

/// The same words and sentences as train's, with the row's name.
template <class Function>
auto in_row(const std::string& row, const Function& function) {
  try {
    return function();
  } catch (const CLI::ParseError& e) {
    fail("row ", row, ": ", e.what());
  } catch (const Error& e) {
    fail("row ", row, ": ", e.what());
  }
}

PlannedRun planned(const Study& study, size_t row, uint64_t seed, const OptionList& given, const std::string& folder,
                   int threads, Opened& opened) {
  OptionList options = study.options;
  put_over(options, given);
  put_over(options, study.rows[row].options);
  scale_margins(options, given, study.margins_at);
  PlannedRun run;
  run.row = row;
  run.seed = seed;
  run.arguments = arguments_of(options);
  const auto add = [&](const char* option, const auto& value) {
    run.arguments.emplace_back(option);
    run.arguments.push_back(std::to_string(value));
  };
  add("--seed", seed);
  if (!value_in(options, "data-seed")) add("--data-seed", seed);
  add("--threads", threads);
  Settled settled(run.arguments);
  const RunSplits& splits = opened.splits(settled);
  NewModel& model = opened.model(settled, *splits.train.data);
  const nlohmann::json json = run_json(settled.options, settled.table(), splits, model);
  run.options = json["options"];
  run.hash = run_hash(settled.table(), json);
  run.folder = str(folder, "/", study.rows[row].name, "/", seed, "-", run.hash.substr(0, kDigits));
  return run;
}

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

}  // namespace

OptionList read_options(const std::vector<std::string>& words) {
  CLI::App app("", "train");
  TrainingOptions options;
  OptionTable table(app);
  declare_training(table, options);
  const nlohmann::json all = table.json();
  std::vector<std::string> known;
  for (const auto& [name, value] : all.items()) known.push_back("--" + name);
  OptionList list;
  for (size_t i = 0; i < words.size(); ++i) {
    std::string name = words[i], value;
    const size_t equals = name.find('=');
    if (equals != std::string::npos) value = name.substr(equals + 1), name.resize(equals);
    check(name.starts_with("--"), "expected an option of train, found '", words[i], "'");
    for (const char* own : {"--output", "--resume", "--seed", "--threads", "--profile", "--verify", "--verify-steps"})
      check(name != own, name, " is not an option of a study's runs (see experiment --help)");
    check(table.has(name), "unknown option ", name, did_you_mean(name, known), " (see train --help)");
    const auto recorded = all.find(name.substr(2));  // what decides nothing is not, and no flag
    if (recorded != all.end() && recorded->is_boolean()) {
      value = value.empty() ? "true" : value;
    } else if (equals == std::string::npos) {
      check(i + 1 < words.size(), name, ": needs a value");
      value = words[++i];
    }
    put_over(list, {{name.substr(2), value}});
  }
  return list;
}

std::vector<PlannedRun> plan_runs(const Study& study, const OptionList& given, const std::string& folder, int threads) {
  check_given(study, given);
  std::vector<PlannedRun> runs;
  Opened opened;
  check(study.rows.size() * study.seeds.size() <= kMostRuns, "the study has ", study.rows.size(), " rows and ",
        study.seeds.size(), " seeds: expected at most ", kMostRuns, " runs");
  for (const uint64_t seed : study.seeds)
    for (size_t row = 0; row < study.rows.size(); ++row)
      runs.push_back(
          in_row(study.rows[row].name, [&] { return planned(study, row, seed, given, folder, threads, opened); }));
  std::map<std::string, const PlannedRun*> by_hash;
  for (const PlannedRun& run : runs) {
    const auto [other, added] = by_hash.emplace(run.hash, &run);
    check(added, "the rows ", study.rows[other->second->row].name, " and ", study.rows[run.row].name,
          " are the same run with seed ", run.seed, ": their options differ in nothing that acts");
  }
  return runs;
}

std::string command_of(const PlannedRun& run, const std::string& train) {
  std::error_code error;
  const bool begun = fs::exists(run.folder + "/checkpoint.safetensors", error);
  std::string line = shell_word(train);
  if (begun)
    line += " --resume";
  else
    for (const std::string& word : run.arguments) line += " " + shell_word(word);
  return line + " --output " + shell_word(run.folder);
}

std::vector<RunCost> measured_costs(const Study& study, const std::vector<PlannedRun>& runs) {
  std::vector<RunCost> costs;
  for (size_t row = 0; row < study.rows.size(); ++row) {
    Settled run(runs[row].arguments);
    const RunSplits splits = training_splits(run.options.data, run.options.train.best_by);
    const Dataset& train = *splits.train.data;
    const NewModel made = new_model(run.options, run.start(), train);
    const TrainOptions& t = run.options.train;
    TrainStep step(*made.model, t.method, t.optimizer);
    const LoaderOptions loading = loader_options(run.options.data, train, true, 0);
    Loader loader(train, loading);
    StepInputs inputs(t.method, train, loading, run.options.run.device, 0);
    Metrics metrics(static_cast<int64_t>(train.classes().size()));
    loader.start_epoch(0);
    constexpr int64_t kSteps = 4;  // and one before them, which fills caches
    int64_t steps = 0, images = 0;
    double begin = now(), evaluation = 0;
    while (steps <= kSteps) {
      auto batch = loader.next();
      if (!batch) break;
      if (steps == 1) begin = now(), images = 0;
      images += batch->size;
      step(inputs(*batch, steps++), 0, metrics);
    }
    const double per_image = (now() - begin) / static_cast<double>(images);
    // What is evaluated goes forward and through a CAM: about a third of a step, of which two are backward.
    int64_t measured = splits.validation.data->size() * t.epochs;
    for (const DataSplit& split : splits.test.splits) measured += split.data->size();
    evaluation = per_image / 3 * static_cast<double>(measured);
    const double bytes = 4.0 * static_cast<double>(made.model->parameter_count());
    costs.push_back({per_image * static_cast<double>(train.size() * t.epochs) + evaluation,
                     4 * bytes});  // best, last, and a checkpoint with the optimiser's state
  }
  return costs;
}

}  // namespace boxcam
