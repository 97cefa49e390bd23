#include "apps/walkthrough/story.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <optional>

#include "apps/common/data/data.h"
#include "apps/common/model.h"
#include "models/weights.h"

namespace boxcam {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// A model's tensors as they were when last looked at.
class Snapshot {
 public:
  explicit Snapshot(const Classifier& model) : tensors_(model.named_tensors()) {
    for (const NamedTensor& t : tensors_) before_.push_back(t.tensor.clone());
  }

  /// How many parameters and buffers changed since the last call.
  std::pair<int, int> changes() {
    int parameters = 0, buffers = 0;
    for (size_t i = 0; i < tensors_.size(); ++i) {
      const Tensor& now = tensors_[i].tensor;
      if (std::memcmp(now.raw_data(), before_[i].raw_data(), now.bytes()) == 0) continue;
      ++(tensors_[i].is_parameter() ? parameters : buffers);
      before_[i].copy_from(now);
    }
    return {parameters, buffers};
  }

 private:
  std::vector<NamedTensor> tensors_;
  std::vector<Tensor> before_;
};

void detach(Forward& pass) {
  pass.logits = pass.logits.detach();
  for (auto& [name, tap] : pass.taps) tap = tap.detach();
}

/// The step's tensors without their history, which would keep every activation in memory.
Step without_history(Step step) {
  detach(step.gc);
  detach(step.cl);
  for (Tensor& t : step.alpha) t = t.detach();
  for (Tensor& t : step.M) t = t.detach();
  for (Tensor* t : {&step.C, &step.cross_entropies, &step.cross_entropy, &step.B, &step.P, &step.evidence.inside,
                    &step.evidence.outside, &step.evidence.boxed, &step.evidence_cross_entropy, &step.evidence_penalty,
                    &step.swap_consistency, &step.context_only, &step.classified, &step.loss, &step.taught})
    if (t->defined()) *t = t->detach();
  return step;
}

std::vector<std::string> names_of(const std::map<std::string, Tensor>& taps) {
  std::vector<std::string> names;
  for (const auto& [name, tap] : taps) names.push_back(name);
  return names;
}

/// The gradient that `term` sends to the taps of a pass and to a model's parameters; zeros for an undefined term.
Term gradients_of(const Tensor& term, const std::string& symbol, const Forward& pass, const Classifier& model) {
  Term result{symbol, {}, {}, term.defined()};
  std::vector<Tensor> inputs = model.parameters();
  const size_t count = inputs.size();
  for (const auto& [name, tap] : pass.taps) inputs.push_back(tap);
  std::vector<Tensor> gradients;
  if (term.defined())
    gradients = grad({term}, inputs);
  else
    for (const Tensor& input : inputs) gradients.push_back(Tensor::zeros(input.shape(), input.dtype()));
  const std::vector<std::string> names = names_of(pass.taps);
  for (size_t i = count; i < gradients.size(); ++i) result.activations[names[i - count]] = gradients[i];
  gradients.resize(count);
  result.parameters = std::move(gradients);
  return result;
}

/// The cross-entropy's gradients, from a pass of its own that equals the step's (which does not hold the taps when the
/// CAM has another pass) and moves no running statistics.
Term cross_entropy_term(Classifier& CL, const StepInput& input, const Method& method,
                        const std::vector<std::string>& taps) {
  const Forward pass = CL.forward(input.x, ForwardOptions::observing(Mode::train), taps);
  const Tensor each = cross_entropies(pass.logits, input.labels);
  return gradients_of(mean(weighted_by_class(each, input.labels, method.class_weights)), "CE", pass, CL);
}

/// G = dP/dM, whatever the step differentiates.
std::vector<Tensor> asked_of_maps(const Step& step, const StepInput& input, const WalkOptions& o) {
  std::vector<Tensor> maps;
  for (const Tensor& M : step.M) maps.push_back(M.detach().clone().set_requires_grad());
  const Penalty& penalty = o.train.method.penalty;
  const CamOptions& cam = o.train.method.explain.cam;
  const int64_t size = input.x.dim(1);
  const Tensor C = normalize_cam(maps, size, size, cam.profile, cam.normalizer);
  return grad({mean_over_images(penalty.loss->of_images(C, step.B), counted_images(input, penalty))}, maps);
}

/// From M to what the mean over the taps is taken of; the last stage of all is C itself.
std::vector<CamStage> stages_of(const Tensor& M, int64_t size, CamProfile profile) {
  const auto scale = [](const Tensor& maps) { return scale_cam(maps, CamNormalizer::constant); };
  std::vector<CamStage> stages;
  const auto add = [&](const char* name, const Tensor& maps) { stages.push_back({name, maps}); };
  if (profile != CamProfile::pgc_1_3_1) add("ReLU", relu(M));
  if (profile == CamProfile::pgc_1_4) add("min-max", scale(stages.back().maps));
  if (profile == CamProfile::pgc_1_3_1) add("min-max of the signed map", scale(M));
  add("resized", bilinear_resize(stages.back().maps, size, size));
  return stages;
}

/// What a copy holds, and the time of copy_from onto one that has its memory already and of its pass over a batch.
CopyCost cost_of_copy(const Classifier& CL, const Tensor& x) {
  CopyCost cost;
  const size_t before = memory_use().now;
  const auto copy = CL.copy();
  cost.bytes = memory_use().now - before;
  const auto start = Clock::now();
  copy->copy_from(CL);
  cost.seconds = seconds_since(start);
  const auto pass = Clock::now();
  const NoGrad no_grad;
  copy->forward(x, ForwardOptions::observing());
  cost.forward_seconds = seconds_since(pass);
  return cost;
}

}  // namespace

double Story::seconds() const {
  double total = 0;
  for (const StepCost& cost : costs) total += cost.seconds;
  return total;
}

size_t Story::peak() const {
  size_t most = 0;
  for (const StepCost& cost : costs) most = std::max(most, cost.peak);
  return most;
}

Story tell_step(const WalkOptions& o) {
  const TrainOptions& t = o.train;
  DataOptions data_options = o.data;
  const std::shared_ptr<const Dataset> data = open_splits(data_options, {"train"}).front().data;
  check(o.data.batch <= data->size(), "--batch ", o.data.batch, ": the training split has ", data->size(), " images");
  check(o.checkpoint.empty() || o.model.weights.empty(),
        "--checkpoint and --weights both name the classifier's weights");

  Story story;
  story.data = data->describe();
  story.classes = data->classes();
  const int64_t classes = static_cast<int64_t>(story.classes.size());
  if (!o.checkpoint.empty()) check_classes(o.card, story.classes);
  NewModel made = o.checkpoint.empty() ? make_model(o.model, o.card, story.classes, o.run.seed)
                                       : load_model(o.checkpoint, o.model.model);
  if (!o.checkpoint.empty())
    made.report = str("weights of ", o.checkpoint, made.report.empty() ? "" : "\n", made.report);
  check(made.model->classes() == classes, o.checkpoint, " has ", made.model->classes(), " classes, the data have ",
        classes);
  Classifier& CL = *made.model;
  place(CL, o.run);
  Method method = t.method;
  settle_taps(method.explain, CL);
  if (t.class_balance) method.class_weights = balancing_weights(*data);
  story.taps = method.explain.taps;
  story.model = str(CL.name(), ", ", CL.parameter_count(), " parameters, ", made.report);

  // The batch that `train` begins with.
  const LoaderOptions batches = loader_options(o.data, *data, true, o.run.seed);
  Loader loader(*data, batches);
  loader.start_epoch(0);
  story.batch = *loader.next();
  story.input = StepInputs(method, *data, batches, o.run.device, o.run.seed)(story.batch, 0);
  story.learning_rate = t.schedule.at(0, t.epochs * loader.batches());

  story.copies = method.reading.copies();
  story.single_pass = method.reading.one_pass();

  {  // A rehearsal: the first step pays for making kernels and for fresh memory.
    const auto other = CL.copy();
    Metrics metrics(classes);
    TrainStep(*other, method, t.optimizer)(story.input, story.learning_rate, metrics);
  }

  TrainStep train_step(CL, method, t.optimizer);
  const size_t before_story = memory_use().now;
  story.before = export_weights(CL.named_tensors());
  story.before.metadata["model"] = CL.name();
  Snapshot classifier(CL);
  const auto start = CL.copy();
  size_t held = memory_use().now - before_story, allocated = 0;  // of the story's own
  const Classifier& explained = train_step.copy() ? *train_step.copy() : CL;
  Clock::time_point begin;
  const auto go_on = [&] {
    reset_peak_memory();
    allocated = memory_use().allocated;
    begin = Clock::now();
  };
  // Who looks on sees what reaches the head, whatever is explained.
  StepWatch watch{.taps = {CL.default_tap()}};
  std::optional<Snapshot> copy;
  watch.after = [&](int number, const Step& step) {
    StepCost& cost = story.costs[number - 1];
    cost.seconds = seconds_since(begin);
    const MemoryUse use = memory_use();
    cost.allocated = use.allocated - allocated;
    cost.peak = use.peak - held;
    std::tie(cost.parameters, cost.buffers) = classifier.changes();
    if (copy) {
      const auto [parameters, buffers] = copy->changes();
      cost.copied = parameters + buffers;
    }
    if (number == 5) {
      story.cross_entropy = cross_entropy_term(CL, story.input, method, names_of(step.gc.taps));
      const bool leaks = method.reading.leaks();
      story.penalty = gradients_of(step.taught, leaks ? "Σ score" : "λP", step.gc, explained);
      story.asked = asked_of_maps(step, story.input, o);
    }
    if (number == 8) story.step = without_history(step);
    held += memory_use().now - use.now;
    go_on();
  };
  Metrics metrics(classes);
  const size_t now = memory_use().now;
  if (train_step.copy()) copy.emplace(*train_step.copy());
  held += memory_use().now - now;
  go_on();
  train_step(story.input, story.learning_rate, metrics, watch);

  story.parameters = only_parameters(CL.named_tensors());
  story.parts = CL.parts();
  for (const NamedTensor& p : story.parameters) story.part_of.push_back(CL.part_of(p.name));
  const std::vector<Tensor> old = start->parameters();
  const NoGrad no_grad;
  for (size_t i = 0; i < old.size(); ++i)
    story.change.push_back(norm_of(story.parameters[i].tensor - old[i]) / norm_of(old[i]));
  for (const Tensor& M : story.step.M)
    story.stages.push_back(stages_of(M, story.input.x.dim(1), method.explain.cam.profile));
  story.accuracy = metrics.accuracy();
  story.content_heatmap = metrics.content_heatmap(method.measuring.content_heatmap);
  story.box_coverage = metrics.box_coverage();
  story.empty_cams = metrics.empty_cams();
  story.copy = cost_of_copy(CL, story.input.x);
  if (story.copies) story.copy.seconds = story.costs[7].seconds;
  return story;
}

double norm_of(const Tensor& tensor) { return norm_of(std::vector<Tensor>{tensor}); }

double norm_of(const std::vector<Tensor>& tensors) {
  double square = 0;
  for (const Tensor& t : tensors) {
    const float* values = t.data<float>();
    for (int64_t i = 0; i < t.numel(); ++i) square += static_cast<double>(values[i]) * values[i];
  }
  return std::sqrt(square);
}

std::vector<Tensor> part(const Story& story, const std::vector<Tensor>& gradients, const std::string& name) {
  std::vector<Tensor> result;
  for (size_t i = 0; i < gradients.size(); ++i)
    if (story.part_of[i] == name) result.push_back(gradients[i]);
  return result;
}

TensorFile dump_of(const Story& story, const WalkOptions& o) {
  TensorFile file;
  const auto add = [&](const std::string& name, const Tensor& tensor) { file.tensors.emplace_back(name, tensor); };
  const Step& s = story.step;
  add("input.images", story.input.x);
  add("input.labels", story.input.labels);
  add("step1.classes", s.classes);
  add("step1.logits", s.gc.logits);
  for (size_t i = 0; i < story.taps.size(); ++i) {
    const std::string end = story.taps.size() == 1 ? "" : "." + story.taps[i];
    add("step1.activations" + end, s.gc.taps.at(story.taps[i]));
    add("step1.alpha" + end, s.alpha[i]);
    add("step1.cam_raw" + end, s.M[i]);
    add("step4.cam_raw_gradient" + end, story.asked[i]);
  }
  add("step1.cam", s.C);
  add("step2.logits", s.cl.logits);
  add("step3.cross_entropies", s.cross_entropies);
  add("step4.mask", s.B);
  add("loss.cross_entropy", s.cross_entropy);
  add("loss.penalty", s.P);
  if (s.evidence.inside.defined()) {
    add("step4.evidence_inside", s.evidence.inside);
    add("step4.evidence_outside", s.evidence.outside);
    add("loss.evidence_cross_entropy", s.evidence_cross_entropy);
    add("loss.evidence_penalty", s.evidence_penalty);
  }
  if (s.swap_consistency.defined()) add("loss.swap_consistency", s.swap_consistency);
  if (s.context_only.defined()) add("loss.context_only", s.context_only);
  add("loss.total", s.loss);

  const bool leaks = o.train.method.reading.leaks();
  const std::string taught = leaks ? "grad_leak." : "grad_penalty.";
  const auto add_parameters = [&](const std::string& prefix, const std::vector<Tensor>& gradients) {
    std::vector<NamedTensor> named = story.parameters;
    for (size_t i = 0; i < named.size(); ++i) named[i].tensor = gradients[i];
    for (const FileTensor& t : export_weights(named).tensors) add(prefix + t.name, t.tensor);
  };
  for (const auto& [prefix, term] :
       {std::pair<std::string, const Term*>{"grad_cross_entropy.", &story.cross_entropy}, {taught, &story.penalty}}) {
    for (const auto& [tap, gradient] : term->activations) add(prefix + "activations." + tap, gradient);
    add_parameters(prefix, term->parameters);
  }
  if (leaks) {
    std::vector<Tensor> zeros;
    for (const NamedTensor& p : story.parameters) zeros.push_back(Tensor::zeros(p.tensor.shape(), p.tensor.dtype()));
    add_parameters("grad_penalty.", zeros);
  }
  add_parameters("grad.", s.gradients);
  for (FileTensor t : story.before.tensors) {
    t.name = "model." + t.name;
    file.tensors.push_back(std::move(t));
  }
  file.metadata = story.before.metadata;
  return file;
}

}  // namespace boxcam
