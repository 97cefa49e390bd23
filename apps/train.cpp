// Trains a ResNet with cross-entropy + lambda * box penalty, in the eight numbered steps of the thesis.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <limits>

#include "apps/cam.h"
#include "apps/data.h"
#include "apps/evaluation.h"
#include "apps/model.h"
#include "apps/overlays.h"
#include "apps/progress.h"
#include "apps/run_folder.h"
#include "engine/device.h"
#include "engine/random.h"
#include "nn/data/input.h"
#include "xai/boxes.h"
#include "xai/losses.h"

using namespace boxcam;

namespace {

constexpr const char* kDiverged =
    "the last checkpoint is untouched; a new run with a lower --lr or with --clip-grad-norm may help, and can start "
    "from this run's last epoch with --weights last.safetensors";

struct Options {
  DataOptions data;
  ModelOptions model;
  CamOptions cam;
  TrainOptions train;
  RunOptions run;
};

/// What a step leaves behind for the reader of the progress bar.
struct StepReport {
  double cross_entropy, penalty;
};

/// Which image's boxes the penalty uses for each image: its own, or (the control) those of another boxed image of the
/// batch. A random cycle through the boxed images, so that nobody keeps its own.
std::vector<std::vector<Box>> penalty_boxes(const Batch& batch, const Options& o, int64_t step) {
  std::vector<std::vector<Box>> boxes = batch.boxes;
  if (!o.train.shuffled_boxes) return boxes;
  std::vector<size_t> cycle;
  for (size_t n = 0; n < boxes.size(); ++n)
    if (!boxes[n].empty()) cycle.push_back(n);
  Random random(o.run.seed, stream_of("shuffled boxes") + static_cast<uint64_t>(step));
  shuffle(cycle, random);
  for (size_t i = 0; i < cycle.size(); ++i) boxes[cycle[i]] = batch.boxes[cycle[(i + 1) % cycle.size()]];
  return boxes;
}

/// Which images enter the penalty; empty: all.
std::vector<char> counted_images(const Batch& batch, const TrainOptions& o) {
  std::vector<char> counted;
  if (o.skip_unboxed)
    for (const auto& boxes : batch.boxes) counted.push_back(!boxes.empty());
  return counted;
}

/// Stops with a sentence when a term of the loss, or the gradient, is not finite.
void check_finite(const StepReport& report, const std::vector<Tensor>& gradients, const std::vector<NamedTensor>& names,
                  const Tensor& each_cross_entropy, const Tensor& raw_cam, const Batch& batch, int64_t step) {
  const auto stop = [&](const std::string& what, const std::string& image) {
    fail("step ", step, ": ", what, " is not finite (", image, "); ", kDiverged);
  };
  if (!std::isfinite(report.cross_entropy)) {
    const auto each = each_cross_entropy.to_vector();
    size_t n = 0;
    while (n + 1 < each.size() && std::isfinite(each[n])) ++n;
    stop("the cross-entropy", "image " + batch.ids[n]);
  }
  // The normaliser's derivative is unbounded on a flat map: name the flattest.
  const auto flattest = [&] {
    const auto m = raw_cam.to_vector();
    const size_t cells = m.size() / batch.ids.size();
    size_t worst = 0;
    double least = std::numeric_limits<double>::infinity();
    for (size_t n = 0; n < batch.ids.size(); ++n) {
      const auto [low, high] = std::minmax_element(m.begin() + n * cells, m.begin() + (n + 1) * cells);
      if (*high > 0 && *high - std::max(*low, 0.0) < least) least = *high - std::max(*low, 0.0), worst = n;
    }
    return str("the flattest Grad-CAM is that of image ", batch.ids[worst]);
  };
  if (!std::isfinite(report.penalty)) stop("the penalty", flattest());
  for (size_t i = 0; i < gradients.size(); ++i)
    if (!std::isfinite(sum(gradients[i]).item())) stop("the gradient of " + names[i].name, flattest());
}

/// One training step. CL is the classifier; GC is the copy of it on which the thesis takes Grad-CAM, or null.
StepReport train_step(ResNet& CL, ResNet* GC, Optimizer& optimizer, const std::vector<NamedTensor>& parameters,
                      const Batch& batch, double learning_rate, const Options& o, Metrics& metrics) {
  const TrainOptions& t = o.train;
  const Tensor x = input_tensor(batch), labels = label_tensor(batch);
  const int64_t size = batch.image_size, step = optimizer.steps();
  // A penalty that reaches no weight needs no graph.
  const bool differentiate = t.penalty_gradient == TrainOptions::PenaltyGradient::full && t.lambda > 0;
  const GradCamOptions cam_options{o.cam.target, o.cam.normalizer, differentiate};
  const Mode cam_mode = t.cam_batch_norm == CamOptions::BatchNorm::train ? Mode::train : Mode::eval;
  const bool one_pass = !GC && cam_mode == Mode::train;  // the CAM is taken from the classifier's own pass

  // (1) Grad-CAM of the labelled class: on the copy GC (the thesis), or on CL itself, where there is nothing to copy.
  Forward cl, gc;
  if (one_pass) {
    gc = cl = CL.forward(x, {Mode::train, true}, {o.cam.tap});
  } else {
    const GradMode mode(differentiate || !CL.feeds_head(o.cam.tap));
    gc = (GC ? *GC : CL).forward(x, {cam_mode, false}, {o.cam.tap});
  }
  const auto [alpha, M, C] = cam_of(GC ? *GC : CL, gc, o.cam.tap, labels, size, size, cam_options);

  // (2) Logits of CL.
  if (!one_pass) cl = CL.forward(x, {Mode::train, true});

  // (3) Cross-entropy.
  const Tensor each = take_at(log_softmax(cl.logits), reshape(labels, {batch.size, 1})) * -1.0;
  const Tensor cross_entropy = mean(each);

  // (4) The penalty: the mean CAM outside the boxes, P = mean C (1 - B).
  const Tensor B = box_masks(penalty_boxes(batch, o, step), size, size, t.margin);
  const Tensor P = box_penalty(C, B, counted_images(batch, t));

  // (5) Weighted sum.
  const Tensor loss = t.lambda > 0 ? cross_entropy + t.lambda * P : cross_entropy;

  // (6) Back-propagation on CL, and the optimiser's update.
  std::vector<Tensor> weights;
  for (const NamedTensor& p : parameters) weights.push_back(p.tensor);
  std::vector<Tensor> gradients = grad({loss}, weights);
  const StepReport report{cross_entropy.item(), P.item()};
  check_finite(report, gradients, parameters, each, M, batch, step);
  if (t.clip_grad_norm > 0) clip_grad_norm(gradients, t.clip_grad_norm);
  optimizer.step(gradients, learning_rate);

  // (7) Metrics, always against the images' own boxes.
  metrics.add(cl.logits, labels, C, box_masks(batch.boxes, size, size, o.cam.eval_margin));

  // (8) Copy CL onto GC; nothing to do where they are one.
  if (GC) GC->copy_from(CL);
  return report;
}

nlohmann::json identity(const Options& o, const CLI::App& app, const Dataset& train, const Dataset& validation) {
  nlohmann::json json;
  json["options"] = options_as_json(app);
  // What --thesis and the defaults settled after parsing.
  auto& given = json["options"];
  given["batch"] = std::to_string(o.data.batch);
  given["epochs"] = std::to_string(o.train.epochs);
  given["lr"] = str(o.train.learning_rate);
  given["eval-margin"] = str(o.cam.eval_margin);
  given["cam-model"] = o.train.cam_model == TrainOptions::CamModel::copy ? "copy" : "shared";
  given["cam-batch-norm"] = o.train.cam_batch_norm == CamOptions::BatchNorm::eval ? "eval" : "train";
  given["cam-target"] = o.cam.target == CamTarget::logit ? "logit" : "centered";
  given["penalty-gradient"] = o.train.penalty_gradient == TrainOptions::PenaltyGradient::full ? "full" : "constant";
  given["output"] = o.train.output;
  given["threads"] = std::to_string(threads());
  json["identity"] = {{"boxcam", "0.1.0"},       {"onednn", onednn_version()},
                      {"compiler", __VERSION__}, {"processor", processor_name()},
                      {"threads", threads()},    {"device", "cpu"},
                      {"precision", "f32"}};
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
  const RunFolder folder(t.output, t.resume);
  std::string weights_report;
  ResNet CL = make_model(o.model, static_cast<int64_t>(train->classes().size()), o.run.seed, weights_report);
  std::optional<ResNet> GC;
  if (t.cam_model == TrainOptions::CamModel::copy) GC = CL.clone();
  std::vector<NamedTensor> parameters;
  for (const NamedTensor& n : CL.named_tensors())
    if (n.is_parameter) parameters.push_back(n);
  Optimizer optimizer(parameters, t.optimizer);
  Loader loader(*train, loader_options(o.data, *train, true, o.run.seed));
  const int64_t total_steps = t.epochs * loader.batches();

  const nlohmann::json run_json = identity(o, app, *train, *validation);
  Progress progress;
  if (t.resume) {
    folder.check_same_options(run_json.at("options"));
    progress = folder.load_checkpoint(CL, optimizer);
    if (GC) GC->copy_from(CL);
    folder.truncate_epochs(progress.epoch);
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
          train_step(CL, GC ? &*GC : nullptr, optimizer, parameters, *batch, learning_rate, o, metrics);
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
    settle_train_options(app, o.data, o.cam, o.train);
    return run(o, app);
  });
}
