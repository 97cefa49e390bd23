// Trains a ResNet with cross-entropy + lambda * box penalty, in the eight numbered steps of the thesis.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <limits>

#include "apps/common/data.h"
#include "apps/common/evaluation.h"
#include "apps/common/model.h"
#include "apps/common/overlays.h"
#include "apps/common/progress.h"
#include "apps/common/run_folder.h"
#include "apps/train_step.h"
#include "engine/machine.h"
#include "engine/settings.h"

using namespace boxcam;

namespace {

struct Options {
  DataOptions data;
  ModelOptions model;
  CamOptions cam;
  TrainOptions train;
  RunOptions run;
};

nlohmann::json identity(const Options& o, const CLI::App& app, const Dataset& train, const Dataset& validation) {
  nlohmann::json json;
  json["options"] = options_as_json(app);
  for (const auto& [name, value] : o.train.implied) json["options"][name] = value;
  json["options"]["threads"] = std::to_string(threads());
  json["identity"] = {{"boxcam", "0.1.0"},
                      {"onednn", onednn_version()},
                      {"compiler", __VERSION__},
                      {"processor", processor_name()},
                      {"native_kernels", native_kernels()},
                      {"threads", threads()},
                      {"device", name(o.run.device)},
                      {"cuda", cuda_version()},
                      {"gpu", o.run.device == Device::cuda ? cuda_device_name() : "none"},
                      {"precision", name(o.run.precision)}};
  json["data"] = {{"train", train.describe()}, {"validation", validation.describe()}, {"classes", train.classes()}};
  return json;
}

int run(const Options& o, const CLI::App& app) {
  const TrainOptions& t = o.train;
  apply(o.run);
  catch_interrupts();

  // Data, model, optimiser.
  const auto train = open_split(o.data, "train"), validation = open_split(o.data, "validation");
  check(train->size() > 1, "the training split has ", train->size(), " images: at least 2 are needed");
  std::string weights_report;
  ResNet CL = make_model(o.model, static_cast<int64_t>(train->classes().size()), o.run.seed, weights_report);
  CL.set_activation_dtype(o.run.precision);
  CL.check_taps(o.cam.taps);
  const RunFolder folder(t.output, t.resume);
  std::optional<ResNet> GC;
  if (t.cam_model == TrainOptions::CamModel::copy) GC = CL.clone();
  move_to(o.run.device, CL.named_tensors());
  if (GC) move_to(o.run.device, GC->named_tensors());
  Optimizer optimizer(only_parameters(CL.named_tensors()), t.optimizer);
  Loader loader(*train, loader_options(o.data, *train, true, o.run.seed));
  const int64_t total_steps = t.epochs * loader.batches();

  const nlohmann::json run_json = identity(o, app, *train, *validation);
  Progress progress;
  if (t.resume) {
    folder.check_same_options(run_json.at("options"));
    progress = folder.load_checkpoint(CL, optimizer);
    if (GC) GC->copy_from(CL);
    folder.truncate_epochs(progress.epoch);
    const std::string before = folder.record_device(run_json.at("identity"), progress);
    if (!before.empty())
      std::cerr << "note: the run was on " << before << " and goes on on " << name(o.run.device)
                << ": its bits will be those of neither; run.json says from where on\n";
  } else {
    folder.write_json("run.json", run_json);
    folder.save_checkpoint(CL, optimizer, progress);
  }

  std::cout << "train       " << train->describe() << "\nvalidation  " << validation->describe() << "\nmodel       "
            << o.model.model << ", " << CL.parameter_count() << " parameters, " << weights_report
            << "\nsteps       (1) "
            << (GC ? "Grad-CAM on a copy of the classifier" : "Grad-CAM on the classifier itself: nothing to copy")
            << ", (8) " << (GC ? "the classifier is copied onto it" : "nothing to copy") << "\noutput      " << t.output
            << (t.resume ? str(", resumed at epoch ", progress.epoch + 1, ", batch ", progress.batch) : "")
            << std::endl;

  for (; progress.epoch < t.epochs; ++progress.epoch) {
    Metrics metrics(static_cast<int64_t>(train->classes().size()));
    if (!progress.metrics.empty()) metrics.restore(progress.metrics);
    ProgressBar bar(str("epoch ", progress.epoch + 1, "/", t.epochs), loader.batches(), progress.batch);
    // Of the last step, also when all of the epoch's were done before a resume.
    double learning_rate = t.schedule.at(std::max<int64_t>(optimizer.steps() - 1, 0), total_steps);
    const auto save = [&] {
      progress.metrics = metrics.state();
      folder.save_checkpoint(CL, optimizer, progress);
    };
    const auto leave = [&] {
      bar.clear();
      save();
      std::cerr << "interrupted: stopped in epoch " << progress.epoch + 1 << " after batch " << progress.batch << " of "
                << loader.batches() << "; go on with the same command and --resume\n";
      return 130;
    };

    loader.start_epoch(progress.epoch, progress.batch);
    while (const auto batch = loader.next()) {
      learning_rate = t.schedule.at(optimizer.steps(), total_steps);
      const StepReport step =
          train_step(CL, GC ? &*GC : nullptr, optimizer, step_input(*batch, t, o.run, optimizer.steps()), learning_rate,
                     o.cam, t, metrics);
      ++progress.batch;
      progress.cross_entropy += step.cross_entropy;
      progress.penalty += step.penalty;
      bar.advance(batch->size, str("cross-entropy ", step.cross_entropy, "  penalty ", step.penalty, "  accuracy ",
                                   percent(metrics.accuracy()), "  Content-Heatmap ",
                                   percent(metrics.content_heatmap(o.cam.content_heatmap))));
      if (interrupted()) return leave();
    }
    bar.clear();

    const auto v = evaluate(CL, *validation, o.data, o.cam, interrupted);
    if (!v) return leave();
    check(std::isfinite(v->cross_entropy), "epoch ", progress.epoch + 1, ": the cross-entropy on the validation split ",
          "is not finite, the weights have diverged; ", kDiverged);
    const double steps = static_cast<double>(progress.batch);
    const double cross_entropy = progress.cross_entropy / steps, penalty = progress.penalty / steps;
    const double val_heatmap = v->metrics.content_heatmap(o.cam.content_heatmap);
    folder.add_epoch({{"epoch", progress.epoch},
                      {"learning_rate", learning_rate},
                      {"loss", number(cross_entropy + t.lambda * penalty)},
                      {"cross_entropy", number(cross_entropy)},
                      {"penalty", number(penalty)},
                      {"train_accuracy", number(metrics.accuracy())},
                      {"train_content_heatmap", number(metrics.content_heatmap(o.cam.content_heatmap))},
                      {"train_empty_cams", number(metrics.empty_cams())},
                      {"val_loss", number(v->cross_entropy)},
                      {"val_accuracy", number(v->metrics.accuracy())},
                      {"val_content_heatmap", number(val_heatmap)},
                      {"val_box_coverage", number(v->metrics.box_coverage())},
                      {"val_empty_cams", number(v->metrics.empty_cams())},
                      {"images_per_second", bar.images_per_second()},
                      {"seconds", bar.seconds()}});
    std::printf(
        "epoch %lld/%lld  cross-entropy %.4f  penalty %.4f  train accuracy %s  |  validation %s  |  %.1f images/s\n",
        static_cast<long long>(progress.epoch + 1), static_cast<long long>(t.epochs), cross_entropy, penalty,
        percent(metrics.accuracy()).c_str(), summary(*v, o.cam).c_str(), bar.images_per_second());
    const std::string warning = empty_cam_warning(v->metrics);
    if (!warning.empty()) std::cout << warning << "\n";
    std::cout << std::flush;

    // The best epoch so far; a NaN (no Content-Heatmap at all) never is.
    const double value = t.best_by == TrainOptions::BestBy::last       ? static_cast<double>(progress.epoch)
                         : t.best_by == TrainOptions::BestBy::accuracy ? v->metrics.accuracy()
                                                                       : val_heatmap;
    if (progress.best_epoch < 0 || value > progress.best_value || std::isnan(progress.best_value)) {
      progress.best_value = value;
      progress.best_epoch = progress.epoch;
      folder.save_model("best.safetensors", CL);
    }
    folder.save_model("last.safetensors", CL);

    Progress next;
    next.epoch = progress.epoch + 1;
    next.best_epoch = progress.best_epoch;
    next.best_value = progress.best_value;
    folder.save_checkpoint(CL, optimizer, next);
    next.epoch = progress.epoch;  // the loop counts it up
    progress = next;
    if (interrupted()) {
      std::cerr << "interrupted: stopped after epoch " << progress.epoch + 1
                << "; go on with the same command and --resume\n";
      return 130;
    }
  }

  // The kept epoch on the test split.
  CL = load_model(folder.file("best.safetensors"), o.model.model, 0);
  move_to(o.run.device, CL.named_tensors());
  CL.set_activation_dtype(o.run.precision);
  std::string note;
  const auto splits = open_test_splits(o.data, note);
  nlohmann::json test = {{"best_epoch", progress.best_epoch}};
  if (!note.empty()) {
    std::cout << "note: " << note << "\n";
    test["note"] = note;
  }
  for (size_t i = 0; i < splits.size(); ++i) {
    const auto e = evaluate(CL, *splits[i].data, o.data, o.cam, interrupted);
    if (!e) {
      std::cerr << "interrupted: stopped in the test; go on with the same command and --resume\n";
      return 130;
    }
    std::cout << splits[i].name << ", epoch " << progress.best_epoch + 1 << ": " << summary(*e, o.cam) << "\n";
    const std::string warning = empty_cam_warning(e->metrics);
    if (!warning.empty()) std::cout << warning << "\n";
    add_to_json(test, i == 0 ? "test_" : "out_of_context_", *e, o.cam);
    if (i > 0) continue;
    test["split"] = splits[i].name;
    test["per_class_accuracy"] = per_class_json(e->metrics, train->classes());
    test["confusion"] = confusion_json(e->metrics);
  }
  folder.write_json("test.json", test);
  write_overlay_sheet(folder.file("overlays.png"), CL, splits, o.data, o.cam);
  std::cout << "overlays    " << folder.file("overlays.png") << "\n";
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Trains a ResNet with cross-entropy + lambda * the Grad-CAM mass outside the boxes.", "train");
  Options o;
  add_data_options(app, o.data, true);
  add_model_options(app, o.model);
  add_cam_options(app, o.cam);
  add_train_options(app, o.train);
  add_run_options(app, o.run);
  return run_app(app, argc, argv, [&] {
    settle_data_options(app, o.data);
    settle_train_options(app, o.data, o.cam, o.train);
    return run(o, app);
  });
}
