#include "apps/common/options/train.h"

#include <cmath>
#include <cstdlib>
#include <tuple>

#include "apps/common/data/kinds.h"
#include "apps/common/tensorboard/tensorboard.h"
#include "engine/base/text.h"

namespace boxcam {

namespace {

void declare_penalty(OptionTable& table, Penalty& o) {
  table.number("--lambda", o.lambda, at_least(0), "weight of the penalty (--loss)");
  table.number("--margin", o.margin, at_least(0), "pixels of the network's input added around boxes in the penalty");
  table.row("--loss", o.loss, cam_losses(), "the penalty of a CAM C and boxes B");
  table.word("--unboxed", o.unboxed,
             "images without a box: their whole CAM is penalised, or they are left out of the penalty");
}

void declare_reading(OptionTable& table, Reading& o) {
  table.word("--penalty-gradient", o.teaches,
             "what of the penalty is differentiated: all; nothing (the thesis to the letter); through the activations "
             "or through the weights of the map only; all, on the copy, and added to the classifier's gradients; or "
             "nothing, but Grad-CAM's own gradient of the scores stays in the buffers and is added");
  table.word("--transfer-gradient", o.transfer,
             "--penalty-gradient transfer: all of it, or through the activations only");
  table.word("--cam-model", o.cam_model, "Grad-CAM on the classifier itself, or on a copy of it (the thesis)");
  table.word("--cam-batch-norm", o.batch_norm, "batch statistics or running statistics in the CAM's pass");
}

void declare_method(OptionTable& table, TrainOptions& o) {
  table.group("Method");
  declare_penalty(table, o.method.penalty);
  table.word("--boxes", o.method.boxes,
             "what losses read: the image's own boxes, or a control: those of another image of the batch, or of the "
             "training split, the same in every epoch; in a random place; the largest in the centre; all but the "
             "boxes; no box");
  table.number(
      "--evidence-split", o.method.evidence_split, at_least(0),
      "weight mu of the signed split: the logits' part from inside the boxes has to classify (with weight 1/2) "
      "and that from outside to speak for no class; 0: off");
  table.number("--background-swap", o.method.swap.share, between(0, 1),
               "share of the training images that keep what their boxes hold and get the ground of another");
  table.word("--swap-shape", o.method.swap.shape,
             "what a swap keeps of a box: all of it, a rounded box or an ellipse in it, drawn for each; or all of it");
  table.number("--swap-consistency", o.method.swap.consistency, at_least(0),
               "weight of KL(f(x) || f(x')) of the images x that became x' by --background-swap; 0: off");
  table.number("--context-only", o.method.context.weight, at_least(0),
               "weight of the cross-entropy of the images without their objects, taught as none; 0: off");
  table.word("--context-fill", o.method.context.fill, "what takes the place of the objects for --context-only");
  declare_reading(table, o.method.reading);
  table.choice(
      "--head-bias", o.method.head_bias, Words<bool>{{"on", true}, {"off", false}},
      "the last layer's bias; off: zeros that are not trained, so that with --cam-target centered no image that "
      "is classified right has an empty CAM at the last tap");
  table.flag("--thesis", o.thesis,
             "the thesis' literal step: --cam-target logit --cam-model copy --cam-batch-norm eval "
             "--penalty-gradient constant --cam-profile pgc-1.4, and by default --batch 16 --epochs 30");
}

void declare_training(OptionTable& table, TrainOptions& o) {
  table.group("Training");
  table.whole("--epochs", o.epochs, between(1, 100000), "passes over the training split");
  table.word("--optimizer", o.optimizer.kind, "the update rule");
  table.number("--lr", o.schedule.learning_rate, at_least(0),
               "learning rate; if not given, or 0: 0.01 for sgd, 0.001 for adamw");
  table.number("--momentum", o.optimizer.momentum, at_least(0), "of sgd");
  table.flag("--nesterov", o.optimizer.nesterov, "Nesterov momentum");
  table.number("--weight-decay", o.optimizer.weight_decay, at_least(0),
               "of every parameter, norms and biases included");
  table.word("--schedule", o.schedule.kind, "of the learning rate, per step");
  table.number("--warmup", o.schedule.warmup, between(0, 1), "share of all steps with a rising learning rate");
  table.choice("--class-balance", o.class_balance, Words<bool>{{"off", false}, {"on", true}},
               "weigh the cross-entropy of a training image by the inverse of how frequent its class is");
  table.number("--clip-grad-norm", o.method.clip_grad_norm, at_least(0),
               "largest 2-norm of the whole gradient; 0: off");
}

}  // namespace

void declare_step(OptionTable& table, DataOptions& data, ModelOptions& model, TrainOptions& train) {
  declare_batch(table, data);
  declare_augment(table, data, "random changes of training images; boxes move with them");
  declare_model(table, model);
  declare_start_weights(table, model);
  declare_explanation(table, train.method.explain);
  declare_normalizer(table, train.method.explain);
  declare_cam_class(table, train.method.explain);
  declare_measuring(table, train.method.measuring);
  declare_method(table, train);
  declare_training(table, train);
}

void declare_run(OptionTable& table, TrainOptions& o) {
  table.group("Training");
  table.word(
      "--best-by", o.best_by,
      "which epoch is kept as best.safetensors and tested (validation; the thesis: content-heatmap); worst-class, "
      "worst-group: the lowest accuracy of any class, of any group that the data know");
  table.flag(
      "--keep-epochs", o.keep_epochs,
      "keep the weights of every epoch, epoch-N.safetensors, and test those that other rules of --best-by choose");
  table.list("--test-margins", o.test_margins,
             "margins at which the test's CAM metrics are taken besides --eval-margin, comma-separated");
  table.text("--output", o.output, str("the run's folder (default: ", kDefaultOutput, ")"));
  table.flag("--resume", o.resume, "go on from the checkpoint in --output; options that are not given are the run's");
  table.text("--verify", o.verify,
             "the folder of a run: repeats it as run.json says and compares weights, metrics and test bit by bit; the "
             "repetition is kept only where --output is given");
  table.unrecorded();
  table.whole("--verify-steps", o.verify_steps, at_least(0),
              "repeat so many steps only; 0: the whole run and its test");
  table.unrecorded();
  table.flag("--tensorboard", o.tensorboard,
             "also write an event file for TensorBoard into the run's folder; SOURCE_DATE_EPOCH settles its times");
}

namespace {

/// What is not derived for several labels (docs/method.md, "Several labels"), or decides nothing there.
void refuse_for_several_labels(const OptionTable& table, const TrainOptions& t) {
  const Method& m = t.method;
  const std::string not_derived = "is not derived for --task multi-label";
  const std::tuple<bool, const char*, std::string> refused[] = {
      {t.thesis, "--thesis",
       "stands for the thesis' literal step, which has one label: it contradicts --task multi-label"},
      {m.explain.cam.target == CamTarget::centered, "--cam-target",
       "centered does not go with --task multi-label: its sigmoid sees a shift common to all logits, so that there is "
       "nothing to centre; use logit"},
      {m.explain.explains == ExplainOptions::Class::predicted, "--cam-class",
       "predicted does not go with --task multi-label, which explains every class that an image shows"},
      {m.splits(), "--evidence-split", not_derived},
      {m.swap.share > 0, "--background-swap", not_derived},
      {m.context.weight > 0, "--context-only", not_derived},
      {m.reading.leaks(), "--penalty-gradient", "leak " + not_derived},
      {m.boxes != BoxControl::own, "--boxes",
       "a control gives images boxes of no class, so it does not go with --task multi-label: expected own"},
      {t.class_balance, "--class-balance",
       "weighs images by their one label, so it does not go with --task multi-label: expected off"},
      {table.typed("--unboxed"), "--unboxed",
       "decides nothing of --task multi-label: a class that an image shows has a box"},
      {t.best_by == TrainOptions::BestBy::worst_group, "--best-by",
       "worst-group tells how often the one label is right, so it does not go with --task multi-label: expected "
       "content-heatmap, accuracy, worst-class or last"}};
  for (const auto& [found, option, reason] : refused) table.refuse(found, option, reason);
}

}  // namespace

void settle_train_options(const OptionTable& table, DataOptions& data, TrainOptions& t) {
  using Teaches = Reading::Teaches;
  using CamModel = Reading::CamModel;
  using BatchNorm = Reading::BatchNorm;
  table.refuse(t.tensorboard && !writes_events(), "--tensorboard",
               "this build has no protobuf; install libprotobuf-dev and protobuf-compiler, and build again");
  CamOptions& cam = t.method.explain.cam;
  Reading& reading = t.method.reading;
  table.refuse(!cam.explainer->can_teach(), "--explainer",
               str(cam.explainer->name, " cannot teach: ",
                   cam.explainer->can_teach() ? "" : cam.explainer->cannot_teach, "; evaluate and explain take it"));
  t.method.task = data.task;
  if (data.task == Task::multi_label) refuse_for_several_labels(table, t);
  if (t.thesis) {
    const char* reason = "contradicts --thesis, which stands for the thesis' literal step";
    table.imply("--cam-target", cam.target, CamTarget::logit, reason);
    table.imply("--cam-model", reading.cam_model, CamModel::copy, reason);
    table.imply("--cam-batch-norm", reading.batch_norm, BatchNorm::eval, reason);
    table.imply("--penalty-gradient", reading.teaches, Teaches::constant, reason);
    table.imply("--cam-profile", cam.profile, CamProfile::pgc_1_4, reason);
    table.imply("--head-bias", t.method.head_bias, true, reason);
    table.imply("--class-balance", t.class_balance, false, reason);
    if (!table.given("--batch")) data.batch = 16;
    if (!table.given("--epochs")) t.epochs = 30;
  }
  if (reading.teaches == Teaches::transfer) {
    const char* reason =
        "contradicts --penalty-gradient transfer, whose gradient is taken on the copy, with running "
        "statistics: it implies --cam-model copy --cam-batch-norm eval";
    table.imply("--cam-model", reading.cam_model, CamModel::copy, reason);
    table.imply("--cam-batch-norm", reading.batch_norm, BatchNorm::eval, reason);
  }
  table.refuse(table.typed("--transfer-gradient") && reading.teaches != Teaches::transfer, "--transfer-gradient",
               "belongs to --penalty-gradient transfer");
  table.refuse(reading.copies() && reading.leaks(), "--penalty-gradient",
               "leak does not go with --cam-model copy: the copy is what keeps Grad-CAM's gradient out of the "
               "classifier's buffers; use --cam-model shared");
  table.refuse(reading.copies() && reading.teaches != Teaches::constant && reading.teaches != Teaches::transfer,
               "--penalty-gradient",
               "full, activations and weights do not go with --cam-model copy: the copy's CAM cannot reach the "
               "classifier; use --penalty-gradient constant (the thesis) or transfer, or --cam-model shared");
  const Method& method = t.method;
  for (const auto& [option, on] : {std::pair{"--evidence-split", method.splits()},
                                   {"--background-swap", method.swap.share > 0},
                                   {"--context-only", method.context.weight > 0}}) {
    table.refuse(on && t.thesis, option, "contradicts --thesis, which stands for the thesis' literal step");
    table.refuse(
        on && method.boxes == BoxControl::none, "--boxes",
        str("none does not go with ", option, ": without a box nothing is inside; it belongs to --loss alone"));
    table.refuse(on && !data_have_boxes(data), option,
                 str("there are no boxes in --data ", data.data, ", so nothing is inside of them: expected 0"));
  }
  table.refuse(method.swap.consistency > 0 && method.swap.share == 0, "--swap-consistency",
               "belongs to --background-swap, which is off");
  table.refuse(table.typed("--swap-shape") && method.swap.share == 0, "--swap-shape",
               "belongs to --background-swap, which is off");
  table.refuse(table.typed("--context-fill") && method.context.weight == 0, "--context-fill",
               "belongs to --context-only, which is off");
  if (!data_have_boxes(data)) {
    const std::string reason = str("there are no boxes in --data ", data.data);
    table.refuse(t.method.boxes != BoxControl::own, "--boxes", reason + ", and so nothing to control: expected own");
    table.refuse(t.method.penalty.lambda > 0, "--lambda", reason + ", so nothing lies outside of them: expected 0");
    table.refuse(table.given("--best-by") && t.best_by == TrainOptions::BestBy::content_heatmap, "--best-by",
                 reason + ", and so no Content-Heatmap: expected accuracy, worst-class or last");
    if (!table.given("--best-by")) t.best_by = TrainOptions::BestBy::accuracy;
  }
  if (!table.given("--eval-margin")) t.method.measuring.margin = t.method.penalty.margin;
  for (const std::string& text : t.test_margins) {
    char* end = nullptr;
    const double margin = std::strtod(text.c_str(), &end);
    table.refuse(text.empty() || *end || !std::isfinite(margin) || margin < 0, "--test-margins",
                 str("expected numbers of 0 or more, found '", text, "'"));
  }
  double& rate = t.schedule.learning_rate;
  if (rate == 0 || !table.given("--lr")) rate = t.optimizer.kind == OptimizerOptions::Kind::sgd ? 0.01 : 0.001;
  if (t.output.empty()) t.output = kDefaultOutput;
}

std::string reading_in_options(const Method& method, const std::vector<std::string>& taps) {
  const ExplainOptions& explain = method.explain;
  const Reading& reading = method.reading;
  return str("--penalty-gradient ", word_of(reading.teaches), " --cam-model ", word_of(reading.cam_model),
             " --cam-batch-norm ", word_of(reading.batch_norm), " --cam-normalizer ", word_of(explain.cam.normalizer),
             " --cam-class ", word_of(explain.explains), " --cam-target ", word_of(explain.cam.target),
             " --cam-profile ", word_of(explain.cam.profile), " --explainer ", explain.cam.explainer->name, " --tap ",
             join(taps, ","));
}

}  // namespace boxcam
