// Trains a classifier with cross-entropy + lambda * penalty: epochs of train_step.cpp's eight steps, each validated and
// kept, then the test. The loop is Run::operator(). --verify is the same run once more, compared with what the first
// left behind.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <map>
#include <optional>

#include "apps/common/background_variants.h"
#include "apps/common/epoch_rules.h"
#include "apps/common/evaluation.h"
#include "apps/common/groups.h"
#include "apps/common/overlays.h"
#include "apps/common/program.h"
#include "apps/common/progress.h"
#include "apps/common/proof.h"
#include "apps/common/report/report.h"
#include "apps/common/run_folder.h"
#include "apps/common/tensorboard/tensorboard.h"
#include "apps/common/test_images.h"
#include "apps/train_step.h"
#include "apps/training.h"
#include "engine/base/text.h"
#include "engine/machine.h"

using namespace boxcam;

namespace {

/// Of --keep-epochs.
std::string kept_epoch(int64_t epoch) { return str("epoch-", epoch + 1, ".safetensors"); }

class Run {
 public:
  /// `table` declares the fields of `options`, which are settled further here. `start` is the card of --weights.
  Run(TrainingOptions& options, const OptionTable& table, const ModelCard& start)
      : o_(options),
        splits_(training_splits(o_.data, o_.train.best_by)),
        made_(new_model(o_, start, train_)),
        folder_(o_.train.output, o_.train.resume),
        step_(CL_, o_.train.method, o_.train.optimizer),
        loader_(train_, loader_options(o_.data, train_, true, o_.run.seed)),
        inputs_(o_.train.method, train_, loader_options(o_.data, train_, true, o_.run.seed), o_.run.device,
                o_.run.seed),
        run_json_(run_json(o_, table, splits_, made_)),
        metadata_(card_metadata(table, train_.classes())),
        training_groups_(group_sizes(train_)),
        metrics_(static_cast<int64_t>(train_.classes().size()), o_.data.task) {}

  /// The exit status.
  int operator()() {
    catch_interrupts();  // until here there is nothing to save
    if (!o_.train.verify.empty()) verification_.emplace(o_.train.verify, run_json_, o_.train.verify_steps);
    o_.train.resume ? resume() : begin();
    if (o_.train.tensorboard) events_.emplace(folder_.path(), progress_.epoch);
    introduce();
    try {
      for (; progress_.epoch < o_.train.epochs; ++progress_.epoch) {
        if (!train_epoch()) return leave();
        const std::optional<Evaluation> validated = validate();
        if (!validated) return leave();
        keep(*validated);
        if (interrupted()) return left("after epoch ", progress_.epoch + 1);
        if (verified_enough()) return report_verified();
      }
      return test() ? report_verified() : left("in the test");
    } catch (const std::exception& e) {
      if (!whole_ || verification_) throw;
      fail(sentence_of(e), "; ", save_after_error());
    }
  }

 private:
  void begin();
  void resume();
  void introduce() const;
  bool train_epoch();                    ///< false when interrupted
  std::optional<Evaluation> validate();  ///< empty when interrupted
  void record(const Evaluation& validated);
  double value_of(const Evaluation& validated) const;
  void keep(const Evaluation& validated);
  bool test();  ///< false when interrupted
  bool measure_at_margins(nlohmann::json& test, Classifier& best, const std::vector<Evaluation>& evaluations) const;
  bool test_other_rules(nlohmann::json& test) const;
  int leave();
  int report_verified() const;
  bool verified_enough() const { return verification_ && verification_->enough(step_.optimizer().steps()); }
  void prove();
  template <class... Where>
  int left(const Where&... where) const {
    if (verification_) {
      std::cerr << "interrupted: stopped " << str(where...) << ", until then " << verification_->summary() << "\n";
      return exit_status();
    }
    std::cerr << "interrupted: stopped " << str(where...) << "; go on with " << resume_command() << "\n";
    return exit_status();
  }
  std::string resume_command() const { return "train --resume --output " + shell_word(o_.train.output); }
  std::string save_after_error();
  void save_epoch_so_far();
  void save(const Progress& progress) { folder_.save_checkpoint(CL_, step_.optimizer(), progress); }

  TrainingOptions& o_;
  const RunSplits splits_;
  const Dataset &train_ = *splits_.train.data, &validation_ = *splits_.validation.data;
  NewModel made_;
  Classifier& CL_ = *made_.model;
  RunFolder folder_;
  TrainStep step_;
  Loader loader_;
  StepInputs inputs_;
  nlohmann::json run_json_;
  std::map<std::string, std::string> metadata_;  // of model files
  std::optional<EventFile> events_;              // --tensorboard
  std::optional<Verification> verification_;     // --verify
  const std::map<std::string, int64_t> training_groups_;
  Progress progress_;
  bool whole_ = true;  // what a checkpoint holds belongs together: not within a step, nor once the weights diverged
  // Of the epoch.
  Metrics metrics_;
  std::optional<ProgressBar> bar_;
  double learning_rate_ = 0;  // of its last step
};

void Run::begin() {
  folder_.write_json("run.json", run_json_);
  save(progress_);
}

void Run::resume() {
  check_same_data("--resume", folder_.path(), run_json_);
  progress_ = folder_.load_checkpoint(CL_, step_.optimizer());
  step_.renew_copy();
  folder_.truncate_lines(kEpochs, "epoch", progress_.epoch);
  // Of the last step again: where its digest could not be written, the run was saved behind it all the same.
  const int64_t steps = step_.optimizer().steps();
  folder_.truncate_lines(kProof, "step", steps);
  if (is_proof_step(steps)) prove();
  const std::vector<std::string> changes = folder_.record_move(run_json_, progress_);
  if (!changes.empty())
    std::cerr << "note: the machine is not as it was, and so the run's bits will not be those of either: "
              << join(changes) << "; run.json says from where on\n";
}

void Run::introduce() const {
  const bool copies = step_.copy() != nullptr;
  std::cout << "train       " << train_.describe() << "\nvalidation  " << validation_.describe() << "\nmodel       "
            << CL_.name() << ", " << CL_.parameter_count() << " parameters, " << made_.report << "\nsteps       (1) "
            << (copies ? "Grad-CAM on a copy of the classifier" : "Grad-CAM on the classifier itself: nothing to copy")
            << ", (8) " << (copies ? "the classifier is copied onto it" : "nothing to copy") << "\noutput      "
            << o_.train.output
            << (o_.train.resume ? str(", resumed at epoch ", progress_.epoch + 1, ", batch ", progress_.batch) : "")
            << std::endl;
  print_notes(std::cout, splits_.all());
}

/// The batches of an epoch that are not trained yet.
bool Run::train_epoch() {
  const Method& method = o_.train.method;
  const Schedule& schedule = o_.train.schedule;
  const int64_t total_steps = o_.train.epochs * loader_.batches();
  metrics_ = Metrics(metrics_.classes(), metrics_.task());
  if (!progress_.metrics.empty()) metrics_.restore(progress_.metrics);
  bar_.emplace(str("epoch ", progress_.epoch + 1, "/", o_.train.epochs), loader_.batches(), progress_.batch);
  const Optimizer& optimizer = step_.optimizer();
  // Of the last step, also when all of the epoch's were done before a resume.
  learning_rate_ = schedule.at(std::max<int64_t>(optimizer.steps() - 1, 0), total_steps);

  loader_.start_epoch(progress_.epoch, progress_.batch);
  while (auto batch = loader_.next()) {
    learning_rate_ = schedule.at(optimizer.steps(), total_steps);
    const StepInput input = inputs_(*batch, optimizer.steps());
    whole_ = false;
    const StepReport step = step_(input, learning_rate_, metrics_);
    progress_.terms += step;
    ++progress_.batch;
    whole_ = true;
    if (is_proof_step(optimizer.steps())) prove();
    // Mean average precision sorts all images so far: once an epoch is enough.
    const std::string accuracy =
        metrics_.task() == Task::single_label ? "  accuracy " + percent(metrics_.accuracy()) : "";
    bar_->advance(batch->size,
                  str("cross-entropy ", step.cross_entropy, "  penalty ", step.penalty, accuracy, "  Content-Heatmap ",
                      percent(metrics_.content_heatmap(method.measuring.content_heatmap))));
    const bool enough = verified_enough() && progress_.batch < loader_.batches();  // at its end, with what it measured
    if (interrupted() || enough) return false;
  }
  bar_->clear();
  return true;
}

/// Keeps the digest of the state, or compares it with the one that is kept.
void Run::prove() {
  const nlohmann::json proof = proof_of(CL_, step_.optimizer());
  folder_.add_line(kProof, proof);
  if (verification_) verification_->check_proof(proof);
}

int Run::report_verified() const {
  if (!verification_) return 0;
  check(verification_->compared(), "--verify: the run in ", o_.train.verify, " recorded nothing of its first ",
        step_.optimizer().steps(), " steps to compare with: repeat at least an epoch, ", loader_.batches(), " steps");
  std::cout << "verified    " << o_.train.verify << ": " << verification_->summary()
            << (o_.train.verify_steps > 0 ? "" : ", the same weights at the end and the same test") << "\n";
  return 0;
}

std::optional<Evaluation> Run::validate() {
  auto v = evaluate(CL_, validation_, o_.data, o_.train.method.explain, o_.train.method.measuring, interrupted);
  whole_ = !v || std::isfinite(v->cross_entropy);
  check(whole_, "epoch ", progress_.epoch + 1,
        ": the cross-entropy on the validation split is not finite, the weights have diverged; ", kDiverged);
  return v;
}

/// The epoch's line in epochs.jsonl and on the terminal.
void Run::record(const Evaluation& v) {
  const Measuring& measuring = o_.train.method.measuring;
  const Method& method = o_.train.method;
  const StepReport terms = progress_.terms / static_cast<double>(progress_.batch);
  const AccuracyNames& names = accuracy_names(metrics_.task());
  nlohmann::json line = {{"epoch", progress_.epoch},
                         {"learning_rate", learning_rate_},
                         {"loss", number(method.loss(terms))},
                         {"cross_entropy", number(terms.cross_entropy)},
                         {"penalty", number(terms.penalty)},
                         {"train_" + names.key, number(metrics_.accuracy())},
                         {"train_content_heatmap", number(metrics_.content_heatmap(measuring.content_heatmap))},
                         {"train_empty_cams", number(metrics_.empty_cams())},
                         {"train_lost_boxes", metrics_.lost_boxes()},
                         {"val_loss", number(v.cross_entropy)},
                         {"val_" + names.key, number(v.metrics.accuracy())},
                         {"val_" + names.worst_class_key, number(v.metrics.worst_class_accuracy())},
                         {"val_content_heatmap", number(v.metrics.content_heatmap(measuring.content_heatmap))},
                         {"val_box_coverage", number(v.metrics.box_coverage())},
                         {"val_empty_cams", number(v.metrics.empty_cams())},
                         {"images_per_second", bar_->images_per_second()},
                         {"seconds", bar_->seconds()}};
  const GroupAccuracy groups = group_accuracy(v, training_groups_);
  add_groups_to_json(line, "val_", groups);
  std::string more;  // terms that not every method has
  if (method.splits()) {
    line["evidence_cross_entropy"] = number(terms.evidence_cross_entropy);
    line["evidence_penalty"] = number(terms.evidence_penalty);
    more += str("  split ", terms.evidence_cross_entropy, " and ", terms.evidence_penalty);
  }
  if (method.swap.consistency > 0) {
    line["swap_consistency"] = number(terms.swap_consistency);
    more += str("  consistency ", terms.swap_consistency);
  }
  if (method.context.weight > 0) {
    line["context_only"] = number(terms.context_only);
    more += str("  context ", terms.context_only);
  }
  if (method.swap.share > 0) {
    line["swapped"] = number(terms.swapped);
    more += str("  swapped ", percent(terms.swapped));
  }
  folder_.add_line(kEpochs, line);
  if (verification_) verification_->check_epoch(line);
  if (events_) events_->add_epoch(line);
  std::printf(
      "epoch %lld/%lld  cross-entropy %.4f  penalty %.4f%s  train %s %s  |  validation %s%s  |  %.1f images/s\n",
      static_cast<long long>(progress_.epoch + 1), static_cast<long long>(o_.train.epochs), terms.cross_entropy,
      terms.penalty, more.c_str(), names.word.c_str(), percent(metrics_.accuracy()).c_str(),
      summary(v, measuring).c_str(), worst_group_text(groups).c_str(), bar_->images_per_second());
  const std::string warning = empty_cam_warning(v.metrics);
  if (!warning.empty()) std::cout << warning << "\n";
  std::cout << std::flush;
}

/// By what the best epoch is chosen.
double Run::value_of(const Evaluation& v) const {
  const TrainOptions& t = o_.train;
  switch (t.best_by) {
    case TrainOptions::BestBy::content_heatmap: return v.metrics.content_heatmap(t.method.measuring.content_heatmap);
    case TrainOptions::BestBy::accuracy: return v.metrics.accuracy();
    case TrainOptions::BestBy::worst_class: return v.metrics.worst_class_accuracy();
    case TrainOptions::BestBy::worst_group: return group_accuracy(v, training_groups_).worst;
    case TrainOptions::BestBy::last: return static_cast<double>(progress_.epoch);
  }
  fail("an epoch cannot be chosen");
}

/// Records the epoch, keeps its weights, and the best ones so far; a NaN (no Content-Heatmap at all) never is best.
void Run::keep(const Evaluation& v) {
  record(v);
  const TrainOptions& t = o_.train;
  const double value = value_of(v);
  if (progress_.best_epoch < 0 || value > progress_.best_value || std::isnan(progress_.best_value)) {
    folder_.save_model("best.safetensors", CL_, metadata_);
    progress_.best_value = value;
    progress_.best_epoch = progress_.epoch;
  }
  folder_.save_model("last.safetensors", CL_, metadata_);
  if (t.keep_epochs) folder_.save_model(kept_epoch(progress_.epoch), CL_, metadata_);

  Progress next;
  next.epoch = progress_.epoch + 1;
  next.best_epoch = progress_.best_epoch;
  next.best_value = progress_.best_value;
  save(next);
  progress_ = next;
  progress_.epoch = next.epoch - 1;  // the loop counts on
}

/// Interrupted within an epoch, or far enough.
int Run::leave() {
  bar_->clear();
  if (verified_enough()) return report_verified();
  save_epoch_so_far();
  return left("in epoch ", progress_.epoch + 1, " after batch ", progress_.batch, " of ", loader_.batches());
}

void Run::save_epoch_so_far() {
  if (progress_.batch > 0) progress_.metrics = metrics_.state();
  save(progress_);
}

/// What went wrong is no fault of the weights: they are kept. The end of the error's sentence.
std::string Run::save_after_error() {
  if (bar_) bar_->clear();
  try {
    save_epoch_so_far();
    return str("the run is saved up to epoch ", progress_.epoch + 1, ", batch ", progress_.batch,
               "; once this is mended, go on with ", resume_command());
  } catch (const std::exception& e) {
    return str("saving the run failed too (", sentence_of(e), "), so its last checkpoint is what ", resume_command(),
               " goes on from");
  }
}

/// The prefix of a test split's keys.
std::string prefix_of(size_t split) { return split == 0 ? "test_" : "out_of_context_"; }

/// --test-margins: false when interrupted.
bool Run::measure_at_margins(nlohmann::json& test, Classifier& best, const std::vector<Evaluation>& evaluations) const {
  Measuring measuring = o_.train.method.measuring;
  const double own = measuring.margin;
  for (const std::string& margin : o_.train.test_margins) {
    measuring.margin = std::atof(margin.c_str());
    for (size_t i = 0; i < splits_.test.splits.size(); ++i) {
      std::optional<Evaluation> e = evaluations[i];
      if (measuring.margin != own)
        e = evaluate(best, *splits_.test.splits[i].data, o_.data, o_.train.method.explain, measuring, interrupted);
      if (!e) return false;
      add_to_json(test["at_margin"][str(measuring.margin)], prefix_of(i), *e, measuring);
    }
  }
  return true;
}

/// --keep-epochs: the tests of the epochs that the rules of --best-by choose; false when interrupted.
bool Run::test_other_rules(nlohmann::json& test) const {
  if (!o_.train.keep_epochs) return true;
  const std::vector<nlohmann::json> lines = folder_.read_epochs();
  std::map<int64_t, nlohmann::json> tests;  // by epoch: rules may choose the same
  for (const auto& [rule, keys] : epoch_rules()) {
    const int64_t place = chosen_epoch(lines, rule);
    if (place < 0) continue;
    const int64_t epoch = lines[static_cast<size_t>(place)].at("epoch");
    nlohmann::json& one = tests[epoch];
    if (one.is_null()) {
      const auto model = load_model(folder_.file(kept_epoch(epoch)), o_.model.model).model;
      boxcam::place(*model, o_.run);
      one = {{"epoch", epoch}};
      for (size_t i = 0; i < splits_.test.splits.size(); ++i) {
        const auto e = evaluate(*model, *splits_.test.splits[i].data, o_.data, o_.train.method.explain,
                                o_.train.method.measuring, interrupted);
        if (!e) return false;
        add_to_json(one, prefix_of(i), *e, o_.train.method.measuring);
      }
    }
    object_in(test, "by_rule")[rule] = one;
  }
  return true;
}

/// The kept epoch on the test split.
bool Run::test() {
  const ExplainOptions& explain = o_.train.method.explain;
  const Measuring& measuring = o_.train.method.measuring;
  const auto best = load_model(folder_.file("best.safetensors"), o_.model.model).model;
  place(*best, o_.run);
  const auto& [splits, note] = splits_.test;
  nlohmann::json test = {{"best_epoch", progress_.best_epoch}};
  if (!note.empty()) {
    std::cout << "note: " << note << "\n";
    test["note"] = note;
  }
  std::vector<Evaluation> evaluations;
  for (size_t i = 0; i < splits.size(); ++i) {
    const auto e = evaluate(*best, *splits[i].data, o_.data, explain, measuring, interrupted);
    if (!e) return false;
    std::cout << splits[i].name << ", epoch " << progress_.best_epoch + 1 << ": " << summary(*e, measuring) << "\n";
    const std::string warning = empty_cam_warning(e->metrics);
    if (!warning.empty()) std::cout << warning << "\n";
    evaluations.push_back(*e);
    const std::string prefix = prefix_of(i);
    add_to_json(test, prefix, *e, measuring);
    const GroupAccuracy groups = group_accuracy(*e, training_groups_);
    add_groups_to_json(test, prefix, groups);
    std::cout << groups_text(*e, groups);
    if (i > 0) continue;
    test["split"] = splits[i].name;
    add_classes_to_json(test, *e, *best, train_.classes());
  }
  if (o_.data.background_variants) {
    const auto variants = measure_background_variants(*best, o_.data, interrupted);
    if (!variants) return false;
    add_to_json(test, *variants);
    std::cout << background_variants_text(*variants);
  }
  if (!measure_at_margins(test, *best, evaluations) || !test_other_rules(test)) return false;
  std::vector<TestedSplit> tested;
  for (size_t i = 0; i < splits.size(); ++i) tested.push_back({splits[i], evaluations[i]});
  write_test_images(folder_.path(), *best, tested, o_.data, explain);
  write_overlay_sheet(folder_.file("overlays.png"), *best, splits, o_.data, explain);
  if (events_) events_->add_test(test, folder_.file("overlays.png"));
  folder_.write_json("test.json", test);  // a run that has it is finished
  if (verification_) verification_->check_end(folder_.path());
  write_run_page(folder_.path());
  std::cout << "overlays    " << folder_.file("overlays.png") << "\nreport      " << folder_.file("report.html")
            << "\n";
  return true;
}

/// Gives the options that are not on the command line those of the run in `folder`, and refuses others that are.
void restore_run(OptionTable& table, TrainingOptions& o, const std::string& asks, const std::string& folder) {
  nlohmann::json recorded = recorded_options(asks, folder), asked = table.json();
  for (const auto& [name, value] : recorded.items())
    if (!table.typed("--" + name)) asked.erase(name);
  const std::string planned = recorded.value("epochs", "0");
  const int64_t more = std::max<int64_t>(o.train.epochs - std::atoll(planned.c_str()), 1);
  // As many threads as before keep the bits, but more than there are processors would only wait for each other.
  if (o.train.resume && std::atoi(recorded.value("threads", "0").c_str()) > usable_processors())
    recorded.erase("threads");
  table.restore(recorded);
  const std::string options =
      table.command_line({"--epochs", "--weights", "--weights-allow-missing", "--output", "--resume"});
  const std::string last = shell_word(folder + "/last.safetensors");
  check_same_options(asks, recorded, asked, folder,
                     str("train ", options, " --weights ", last, " --epochs ", more, " --output DIR"));
}

/// Where a repetition is written that nobody asked to keep.
class ScratchFolder {
 public:
  ScratchFolder() : path_((std::filesystem::temp_directory_path() / "boxcam-verify-XXXXXX").string()) {
    check(::mkdtemp(path_.data()) != nullptr, "--verify: cannot make a folder in ",
          std::filesystem::temp_directory_path().string());
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

int program(int argc, char** argv) {
  CLI::App app("Trains a classifier with cross-entropy + lambda * the Grad-CAM mass outside the boxes.", "train");
  TrainingOptions o;
  OptionTable table(app);
  declare_training(table, o);
  return run_app(app, argc, argv, [&] {
    take_class_names(table, o.data);
    std::optional<ScratchFolder> scratch;
    table.refuse(o.train.verify.empty() && o.train.verify_steps > 0, "--verify-steps", "needs --verify RUN");
    table.refuse(o.train.resume && !o.train.verify.empty(), "--verify",
                 "contradicts --resume: a run is repeated from its first step");
    if (o.train.output.empty() && o.train.verify.empty()) o.train.output = kDefaultOutput;
    if (o.train.resume) restore_run(table, o, "--resume", o.train.output);
    if (!o.train.verify.empty()) {
      restore_run(table, o, "--verify", o.train.verify);
      if (o.train.output.empty()) o.train.output = scratch.emplace().path();
    }
    const ModelCard start = o.train.resume ? ModelCard() : read_card(o.model.weights);
    const std::string note = settle_training(table, o, start);
    if (!note.empty()) std::cout << note << "\n";
    outlive_lost_writes();
    return Run(o, table, start)();
  });
}

}  // namespace

int main(int argc, char** argv) { return guarded("train", program, argc, argv); }
