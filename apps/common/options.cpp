#include "apps/common/options.h"

#include <omp.h>

#include <charconv>
#include <chrono>
#include <cmath>
#include <iostream>
#include <map>

#include "engine/base/file.h"
#include "engine/base/text.h"
#include "engine/machine.h"
#include "engine/profile.h"
#include "engine/settings.h"

namespace boxcam {

namespace {

template <class T>
using Words = std::vector<std::pair<std::string, T>>;

/// An option whose value is a word; `words` in the order of the help, the default first or as `value` says.
template <class T>
CLI::Option* add_choice(CLI::App& app, const std::string& name, T& value, const Words<T>& words,
                        const std::string& help) {
  std::vector<std::string> known;
  std::string current;
  for (const auto& [word, meaning] : words) {
    known.push_back(word);
    if (meaning == value) current = word;
  }
  const auto set = [&value, words, known, name](const std::string& text) {
    for (const auto& [word, meaning] : words)
      if (word == text) {
        value = meaning;
        return;
      }
    throw CLI::ValidationError(name, "'" + text + "' is not one of " + join(known) + did_you_mean(text, known));
  };
  CLI::Option* option = app.add_option_function<std::string>(name, set, help);
  option->type_name("{" + join(known, ",") + "}")->default_str(current);
  return option;
}

/// Numbers from `low` up, NaN and infinity refused.
CLI::Validator at_least(double low, const char* what) {
  return CLI::Validator(
      [low, what](std::string& text) -> std::string {
        char* end = nullptr;
        const double value = std::strtod(text.c_str(), &end);
        if (end == text.c_str() || *end || !std::isfinite(value) || value < low)
          return str("expected ", what, " of ", low, " or more, found '", text, "'");
        return "";
      },
      "");
}

CLI::Validator whole_number() {
  return CLI::Validator(
      [](std::string& text) -> std::string {
        const bool digits = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
        return digits ? "" : "expected a whole number of 0 or more, found '" + text + "'";
      },
      "");
}

CLI::Validator share() {
  return CLI::Validator(
      [](std::string& text) -> std::string {
        char* end = nullptr;
        const double value = std::strtod(text.c_str(), &end);
        if (end == text.c_str() || *end || !(value >= 0 && value <= 1))
          return "expected a number from 0 to 1, found '" + text + "'";
        return "";
      },
      "");
}

void refuse(bool condition, const std::string& option, const std::string& reason) {
  if (condition) throw CLI::ValidationError(option, reason);
}

// Of the program: set by apply, written by run_app.
std::string profile_file;
std::chrono::steady_clock::time_point profile_begin;

void write_profile() {
  if (profile_file.empty()) return;
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - profile_begin;
  write_file(profile_file, {profile_table(seconds.count())});
}

}  // namespace

void add_data_options(CLI::App& app, DataOptions& o, bool training) {
  using GroupOf = OpenImagesOptions::GroupOf;
  using Several = OpenImagesOptions::SeveralClasses;
  const std::string group = "Data";
  app.add_option("--data", o.data,
                 "what to use: scenes (procedural), open-images:DIR, or packed:FILE (made by prepare)")
      ->capture_default_str()
      ->group(group);
  app.add_option("--classes", o.classes, "names, MIDs or aliases, comma-separated; 'none' is always the last output")
      ->delimiter(',')
      ->default_str(join(o.classes, ","))
      ->group(group);
  if (training) {
    app.add_option("--train-images", o.train_images, "images of the training split; 0: all (scenes: 2000)")
        ->check(whole_number())
        ->capture_default_str()
        ->group(group);
    app.add_option("--val-images", o.val_images, "images of the validation split; 0: all (scenes: 500)")
        ->check(whole_number())
        ->capture_default_str()
        ->group(group);
  }
  app.add_option("--test-images", o.test_images, "images of the test split; 0: all (scenes: 500)")
      ->check(whole_number())
      ->capture_default_str()
      ->group(group);
  app.add_option("--data-seed", o.data_seed, "picks the subset, or draws the scenes")
      ->check(whole_number())
      ->capture_default_str()
      ->group(group);
  app.add_option("--image-size", o.image_size, "side of the network's square input, in pixels")
      ->check(CLI::Range(32, 1024))
      ->capture_default_str()
      ->group(group);
  app.add_option("--batch", o.batch, "images in a batch")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str()
      ->group(group);
  add_choice<Preprocess::Resize>(app, "--resize", o.resize,
                                 {{"squash", Preprocess::Resize::squash}, {"crop", Preprocess::Resize::crop}},
                                 "both sides to the input's size (boxes stay exact), or shorter side and centre crop")
      ->group(group);
  if (training)
    add_choice<Preprocess::Augment>(app, "--augment", o.augment,
                                    {{"none", Preprocess::Augment::none},
                                     {"flip", Preprocess::Augment::flip},
                                     {"crop-flip", Preprocess::Augment::crop_flip}},
                                    "random changes of training images; boxes move with them")
        ->group(group);
  add_choice<GroupOf>(app, "--group-of", o.group_of, {{"keep", GroupOf::keep}, {"drop", GroupOf::drop}},
                      "boxes around a group of objects")
      ->group(group);
  add_choice<Several>(app, "--several-classes", o.several_classes,
                      {{"largest", Several::largest}, {"drop", Several::drop}},
                      "images with several of the classes: the class of the largest box, or left out")
      ->group(group);
  app.add_flag("--expand-children", o.expand_children, "boxes of subclasses count (Car also takes Van, ...)")
      ->group(group);
  app.add_option("--sources", o.sources, "only images of these sources (SourceSet), comma-separated")
      ->delimiter(',')
      ->group(group);
  app.add_option("--context-correlation", o.context_correlation,
                 "scenes: the share of objects in their usual context (1: every ship on water)")
      ->check(share())
      ->capture_default_str()
      ->group(group);
}

void add_model_options(CLI::App& app, ModelOptions& o) {
  const std::string group = "Model";
  app.add_option("--model", o.model, "one of " + join(resnet_names()))
      ->check(CLI::Validator(
          [](std::string& text) -> std::string {
            const auto& names = resnet_names();
            if (std::find(names.begin(), names.end(), text) != names.end()) return "";
            return "'" + text + "' is not one of " + join(names) + did_you_mean(text, names);
          },
          ""))
      ->capture_default_str()
      ->group(group);
  app.add_option("--weights", o.weights, "file with weights to start from: .pth (zip or legacy) or .safetensors")
      ->group(group);
  app.add_option("--weights-allow-missing", o.allow_missing,
                 "parts of the model that the file may lack and that start fresh, such as layer4,fc")
      ->delimiter(',')
      ->group(group);
}

void add_cam_options(CLI::App& app, CamOptions& o) {
  const std::string group = "Grad-CAM";
  app.add_option("--tap", o.taps,
                 "the activations that are explained: layer1 .. layer4, layer4.2, layer4.2.conv3 ...; of several, "
                 "comma-separated, the maps are averaged")
      ->delimiter(',')
      ->default_str(join(o.taps, ","))
      ->group(group);
  add_choice<CamTarget>(app, "--cam-target", o.target, {{"logit", CamTarget::logit}, {"centered", CamTarget::centered}},
                        "the explained score: the class' logit (the thesis), or minus the mean of all logits")
      ->group(group);
  add_choice<CamNormalizer>(app, "--cam-normalizer", o.normalizer,
                            {{"differentiated", CamNormalizer::differentiated}, {"constant", CamNormalizer::constant}},
                            "whether minimum and maximum are differentiated or constants")
      ->group(group);
  add_choice<bool>(app, "--cam-class", o.explains_predicted, {{"label", false}, {"predicted", true}},
                   "the class that is explained: the image's own, or the one the network predicts")
      ->group(group);
  add_choice<CamProfile>(
      app, "--cam-profile", o.profile,
      {{"pgc-1.4", CamProfile::pgc_1_4}, {"pgc-1.3.1", CamProfile::pgc_1_3_1}, {"paper", CamProfile::paper}},
      "the order of ReLU, min-max and resize, by release of pytorch-grad-cam")
      ->group(group);
  add_choice<ContentHeatmap>(app, "--content-heatmap", o.content_heatmap,
                             {{"batch", ContentHeatmap::batch},
                              {"pooled", ContentHeatmap::pooled},
                              {"image-mean", ContentHeatmap::image_mean}},
                             "mean of batch ratios (the thesis), ratio of the split's sums, mean of image ratios")
      ->group(group);
  app.add_option("--eval-margin", o.eval_margin, "pixels added around boxes when measuring (train: as --margin)")
      ->check(at_least(0, "a number"))
      ->capture_default_str()
      ->group(group);
}

void add_train_options(CLI::App& app, TrainOptions& o) {
  using Kind = OptimizerOptions::Kind;
  using Curve = Schedule::Kind;
  const std::string method = "Method", group = "Training";
  app.add_option("--lambda", o.lambda, "weight of the penalty (--loss)")
      ->check(at_least(0, "a number"))
      ->capture_default_str()
      ->group(method);
  app.add_option("--margin", o.margin, "pixels of the network's input added around boxes in the penalty")
      ->check(at_least(0, "a number"))
      ->capture_default_str()
      ->group(method);
  Words<CamLossFunction> losses;
  std::string formulas;
  for (const CamLoss& l : cam_losses()) {
    losses.emplace_back(l.name, l.of_images);
    formulas += str(formulas.empty() ? "" : ", ", l.name, " ", l.formula);
  }
  add_choice<CamLossFunction>(app, "--loss", o.loss, losses, "the penalty of a CAM C and boxes B: " + formulas)
      ->group(method);
  add_choice<bool>(app, "--unboxed", o.skip_unboxed, {{"penalise", false}, {"skip", true}},
                   "images without a box: their whole CAM is penalised, or they are left out of the penalty")
      ->group(method);
  add_choice<bool>(app, "--boxes", o.shuffled_boxes, {{"own", false}, {"shuffled", true}},
                   "penalise with the boxes of another image of the batch: the control")
      ->group(method);
  add_choice<TrainOptions::PenaltyGradient>(
      app, "--penalty-gradient", o.penalty_gradient,
      {{"full", TrainOptions::PenaltyGradient::full},
       {"constant", TrainOptions::PenaltyGradient::constant},
       {"activations", TrainOptions::PenaltyGradient::activations},
       {"weights", TrainOptions::PenaltyGradient::weights},
       {"transfer", TrainOptions::PenaltyGradient::transfer},
       {"leak", TrainOptions::PenaltyGradient::leak}},
      "what of the penalty is differentiated: all; nothing (the thesis to the letter); through the activations or "
      "through alpha only; all, on the copy, and added to the classifier's gradients; or nothing, but Grad-CAM's own "
      "gradient of the scores stays in the buffers and is added")
      ->group(method);
  add_choice<bool>(app, "--transfer-gradient", o.transfer_activations, {{"full", false}, {"activations", true}},
                   "--penalty-gradient transfer: all of it, or through the activations only")
      ->group(method);
  add_choice<TrainOptions::CamModel>(
      app, "--cam-model", o.cam_model,
      {{"shared", TrainOptions::CamModel::shared}, {"copy", TrainOptions::CamModel::copy}},
      "Grad-CAM on the classifier itself, or on a copy of it (the thesis)")
      ->group(method);
  add_choice<CamOptions::BatchNorm>(app, "--cam-batch-norm", o.cam_batch_norm,
                                    {{"train", CamOptions::BatchNorm::train}, {"eval", CamOptions::BatchNorm::eval}},
                                    "batch statistics or running statistics in the CAM's pass")
      ->group(method);
  app.add_flag("--thesis", o.thesis,
               "the thesis' literal step: --cam-target logit --cam-model copy --cam-batch-norm eval "
               "--penalty-gradient constant --cam-profile pgc-1.4, and by default --batch 16 --epochs 30")
      ->group(method);

  app.add_option("--epochs", o.epochs, "passes over the training split")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str()
      ->group(group);
  add_choice<Kind>(app, "--optimizer", o.optimizer.kind, {{"sgd", Kind::sgd}, {"adamw", Kind::adamw}},
                   "the update rule")
      ->group(group);
  app.add_option("--lr", o.learning_rate, "learning rate; 0: 0.01 for sgd, 0.001 for adamw")
      ->check(at_least(0, "a number"))
      ->capture_default_str()
      ->group(group);
  app.add_option("--momentum", o.optimizer.momentum, "of sgd")
      ->check(at_least(0, "a number"))
      ->capture_default_str()
      ->group(group);
  app.add_flag("--nesterov", o.optimizer.nesterov, "Nesterov momentum")->group(group);
  app.add_option("--weight-decay", o.optimizer.weight_decay, "of every parameter, norms and biases included")
      ->check(at_least(0, "a number"))
      ->capture_default_str()
      ->group(group);
  add_choice<Curve>(app, "--schedule", o.schedule.kind,
                    {{"constant", Curve::constant}, {"cosine", Curve::cosine}, {"step", Curve::step}},
                    "of the learning rate, per step")
      ->group(group);
  app.add_option("--warmup", o.schedule.warmup, "share of all steps with a rising learning rate")
      ->check(share())
      ->capture_default_str()
      ->group(group);
  app.add_option("--clip-grad-norm", o.clip_grad_norm, "largest 2-norm of the whole gradient; 0: off")
      ->check(at_least(0, "a number"))
      ->capture_default_str()
      ->group(group);
  add_choice<TrainOptions::BestBy>(app, "--best-by", o.best_by,
                                   {{"content-heatmap", TrainOptions::BestBy::content_heatmap},
                                    {"accuracy", TrainOptions::BestBy::accuracy},
                                    {"last", TrainOptions::BestBy::last}},
                                   "which epoch is kept as best.safetensors and tested (validation; the thesis: "
                                   "content-heatmap)")
      ->group(group);
  app.add_option("--output", o.output, "the run's folder (default: runs/train)")->group(group);
  app.add_flag("--resume", o.resume, "go on from the folder's checkpoint")->group(group);
}

void add_run_options(CLI::App& app, RunOptions& o) {
  const std::string group = "Machine";
  app.add_option("--seed", o.seed, "of fresh weights, order and augmentation")
      ->check(whole_number())
      ->capture_default_str()
      ->group(group);
  app.add_option("--threads", o.threads, "CPU threads; 0: all cores; results depend on it bit by bit")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str()
      ->group(group);
  add_choice<ConvAlgorithm>(app, "--conv-algorithm", o.conv_algorithm,
                            {{"auto", ConvAlgorithm::automatic}, {"direct", ConvAlgorithm::direct}},
                            "auto: Winograd where the library has it and it is faster")
      ->group(group);
  app.add_option("--profile", o.profile,
                 "write the time and bytes of each kernel, and waits for the loader, to this file, as a Markdown table")
      ->group(group);
  add_choice<Device>(app, "--device", o.device, {{"cpu", Device::cpu}, {"cuda", Device::cuda}}, "what computes")
      ->group(group);
  app.add_flag("--allow-tf32", o.allow_tf32, "cuda: f32 convolutions and matrix products may round to TF32")
      ->group(group);
  app.add_flag("--fast-algorithms", o.fast_algorithms,
               "cuda: time cuDNN's reproducible engines and take the fastest, which may differ from run to run")
      ->group(group);
  add_choice<DType>(app, "--precision", o.precision, {{"f32", DType::f32}, {"bf16", DType::bf16}},
                    "of activations and convolutions; weights, statistics, CAMs and losses are always f32")
      ->group(group);
}

void settle_train_options(const CLI::App& app, DataOptions& data, CamOptions& cam, TrainOptions& t) {
  using PG = TrainOptions::PenaltyGradient;
  using CM = TrainOptions::CamModel;
  using BN = CamOptions::BatchNorm;
  const auto given = [&](const char* name) { return app.count(name) > 0; };
  // Gives an option the value that another one stands for; refuses another value.
  const auto imply = [&](const char* name, auto& value, auto implied, const char* word, const char* reason) {
    refuse(given(name) && value != implied, name, reason);
    value = implied;
    t.implied.emplace_back(name + 2, word);
  };
  if (t.thesis) {
    const char* reason = "contradicts --thesis, which stands for the thesis' literal step";
    imply("--cam-target", cam.target, CamTarget::logit, "logit", reason);
    imply("--cam-model", t.cam_model, CM::copy, "copy", reason);
    imply("--cam-batch-norm", t.cam_batch_norm, BN::eval, "eval", reason);
    imply("--penalty-gradient", t.penalty_gradient, PG::constant, "constant", reason);
    imply("--cam-profile", cam.profile, CamProfile::pgc_1_4, "pgc-1.4", reason);
    if (!given("--batch")) data.batch = 16;
    if (!given("--epochs")) t.epochs = 30;
  }
  if (t.penalty_gradient == PG::transfer) {
    const char* reason =
        "contradicts --penalty-gradient transfer, whose gradient is taken on the copy, with running "
        "statistics: it implies --cam-model copy --cam-batch-norm eval";
    imply("--cam-model", t.cam_model, CM::copy, "copy", reason);
    imply("--cam-batch-norm", t.cam_batch_norm, BN::eval, "eval", reason);
  }
  refuse(given("--transfer-gradient") && t.penalty_gradient != PG::transfer, "--transfer-gradient",
         "belongs to --penalty-gradient transfer");
  refuse(t.cam_model == CM::copy && t.penalty_gradient == PG::leak, "--penalty-gradient",
         "leak does not go with --cam-model copy: the copy is what keeps Grad-CAM's gradient out of the classifier's "
         "buffers; use --cam-model shared");
  refuse(t.cam_model == CM::copy && t.penalty_gradient != PG::constant && t.penalty_gradient != PG::transfer,
         "--penalty-gradient",
         "full, activations and weights do not go with --cam-model copy: the copy's CAM cannot reach the classifier; "
         "use --penalty-gradient constant (the thesis) or transfer, or --cam-model shared");
  if (!given("--eval-margin")) cam.eval_margin = t.margin;
  if (t.learning_rate == 0) t.learning_rate = t.optimizer.kind == OptimizerOptions::Kind::sgd ? 0.01 : 0.001;
  t.schedule.learning_rate = t.learning_rate;
  if (t.output.empty()) t.output = "runs/train";
  t.implied.insert(t.implied.end(), {{"batch", std::to_string(data.batch)},
                                     {"epochs", std::to_string(t.epochs)},
                                     {"lr", str(t.learning_rate)},
                                     {"eval-margin", str(cam.eval_margin)},
                                     {"output", t.output}});
}

void apply(const RunOptions& options) {
  profile_file = options.profile;
  if (!profile_file.empty()) {
    check_writable("--profile", profile_file);  // now, not at the end
    profile_begin = std::chrono::steady_clock::now();
    set_profiling(true);
  }
  set_settings({options.threads, options.conv_algorithm, options.allow_tf32, options.fast_algorithms});
  if (options.device == Device::cuda) {
    try {
      cuda_device_name();
    } catch (const Error& e) {
      fail("--device cuda: ", e.what(), "; use --device cpu");
    }
  }
  if (options.precision == DType::bf16 && options.device == Device::cpu)
    check(cpu_has_bf16(), "--precision bf16: expected a processor with AVX-512 BF16 and a build with oneDNN, found ",
          processor_name(), " and oneDNN ", onednn_version(), "; use --precision f32");
  if (options.precision == DType::bf16 && options.device == Device::cuda)
    check(cuda_has_bf16(), "--precision bf16: expected a GPU of compute capability 8.0 or more, found ",
          cuda_device_name(), "; use --precision f32");
  if (options.device == Device::cpu && onednn_version() == "none")
    std::cerr << "note: boxcam was built without oneDNN and computes with plain loops: training will be slow\n";
}

/// 25.0 and 25 are one value, so that --resume does not see a difference; integers keep all their digits.
std::string canonical(const std::string& text) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  const bool is_integer = text.find_first_not_of("0123456789") == std::string::npos;
  return error == std::errc() && stop == end && !is_integer ? str(value) : text;
}

nlohmann::json options_as_json(const CLI::App& app) {
  nlohmann::json json = nlohmann::json::object();
  for (const CLI::Option* option : app.get_options()) {
    const std::string name = option->get_lnames().empty() ? "" : option->get_lnames()[0];
    if (name.empty() || name == "help" || name == "version" || name == "profile") continue;  // no part of a run
    if (option->get_expected_min() == 0)                                                     // a flag
      json[name] = option->count() > 0;
    else
      json[name] = canonical(option->count() > 0 ? join(option->results(), ",") : option->get_default_str());
  }
  return json;
}

int run_app(CLI::App& app, int argc, char** argv, const std::function<int()>& body) {
  app.set_version_flag("--version", [] {
    const std::string cuda = cuda_version() == "none" ? "without CUDA" : "CUDA " + cuda_version();
    return str("boxcam 0.1.0, oneDNN ", onednn_version(), ", ", cuda, ", ", processor_name(), ", ",
               std::to_string(omp_get_num_procs()), " cores");
  });
  try {
    app.parse(argc, argv);
    const int status = body();
    write_profile();
    return status;
  } catch (const CLI::Success& e) {
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    if (app.remaining().empty()) {
      std::cerr << app.get_name() << ": " << e.what() << "\n";
      return 2;
    }
    // A mistyped option first: it is also why a required one is missing.
    std::vector<std::string> known;
    for (const CLI::Option* option : app.get_options())
      for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
    const std::string word = app.remaining()[0].substr(0, app.remaining()[0].find('='));
    std::cerr << app.get_name() << ": unknown option " << word << did_you_mean(word, known) << " (see --help)\n";
    return 2;
  } catch (const Error& e) {
    std::cerr << app.get_name() << ": " << e.what() << "\n";
  } catch (const std::bad_alloc&) {
    std::cerr << app.get_name() << ": out of memory; a smaller --batch or --image-size needs less\n";
  } catch (const std::exception& e) {
    std::cerr << app.get_name() << ": " << e.what() << "\n";
  }
  return 1;
}

}  // namespace boxcam
