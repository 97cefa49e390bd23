#include "apps/train_step.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "xai/losses.h"
#include "xai/multi_label.h"

namespace boxcam {

namespace {

/// The images' Grad-CAM that is nearest to flat, where the normaliser's derivative is unbounded, or one that is not
/// finite itself.
std::string flattest_cam(const Step& step, const StepInput& input, CamProfile profile) {
  const bool rectified = profile != CamProfile::pgc_1_3_1;
  size_t worst = 0;
  double least = std::numeric_limits<double>::infinity();
  for (const Tensor& maps : step.M) {
    const auto m = maps.to_vector();
    const size_t cells = m.size() / input.ids.size();
    for (size_t n = 0; n < input.ids.size(); ++n) {
      const auto begin = m.begin() + static_cast<std::ptrdiff_t>(n * cells), end = begin + std::ptrdiff_t(cells);
      const auto [low, high] = std::minmax_element(begin, end);
      if (!std::isfinite(std::accumulate(begin, end, 0.0))) return "the Grad-CAM is that of image " + input.ids[n];
      const double range = *high - (rectified ? std::max(*low, 0.0) : *low);
      if ((*high > 0 || !rectified) && range < least) least = range, worst = n;
    }
  }
  if (std::isinf(least)) return "every Grad-CAM is empty";
  return str("the flattest Grad-CAM is that of image ", input.ids[worst]);
}

}  // namespace

Tensor weighted_by_class(const Tensor& each, const Tensor& labels, const std::vector<double>& weights) {
  if (weights.empty()) return each;
  const auto classes = static_cast<int64_t>(weights.size());
  const Tensor table = Tensor::from({classes}, weights).to(each.dtype()).to(each.device());
  return each * sum(one_hot(labels, classes, each.dtype()) * table, {1});
}

std::vector<char> counted_images(const StepInput& input, const Penalty& penalty) {
  const bool skips = penalty.unboxed == Penalty::Unboxed::skip;
  const auto& lost = input.lost_boxes;
  if (!skips && std::count(lost.begin(), lost.end(), 1) == 0) return {};
  std::vector<char> counted;
  for (size_t n = 0; n < input.boxes.size(); ++n)
    counted.push_back(!(skips && input.boxes[n].empty()) && (lost.empty() || !lost[n]));
  return counted;
}

TrainStep::TrainStep(Classifier& CL, const Method& method, const OptimizerOptions& optimizer)
    : CL_(CL),
      method_(method),
      GC_(method.reading.copies() ? CL.copy() : nullptr),
      optimizer_(only_parameters(CL.named_tensors()), optimizer) {
  settle_taps(method_.explain, CL);
  check(!method.splits() || CL.head_of(CL.default_tap()).defined(), "--evidence-split: the tap ", CL.default_tap(),
        " of ", CL.name(), " does not go through pooling into a linear head");
  if (!method.head_bias) {
    Tensor b = CL.head_bias();
    b.copy_from(Tensor::zeros(b.shape(), b.dtype(), b.device()));
    renew_copy();
  }
  method_.explain.cam.gradient = method_.reading.through(method_.penalty.lambda);
}

void TrainStep::renew_copy() {
  if (GC_) GC_->copy_from(CL_);
}

/// The CAM of each image's label. Gives what --loss makes of it, [N].
Tensor TrainStep::explain_labels(Step& step, const StepInput& input) const {
  step.B = input.loss_masks(method_.penalty.margin);
  const Explanation e =
      explain(GC_ ? *GC_ : CL_, input.x, step.gc, input.labels, method_.explain, {method_.penalty.loss, step.B});
  step.classes = e.classes, step.alpha = e.alpha, step.M = e.raw, step.C = e.cam;
  return e.losses;
}

/// The same of each pair of an image and a class that it shows: a class after another, for the whole batch. A CAM is
/// measured as soon as it is there, so that only what the penalty needs of it stays. [N, Q].
Tensor TrainStep::explain_pairs(Step& step, const StepInput& input) const {
  const Pairs& pairs = *input.pairs;
  const auto masks = [&](double margin) {
    return pairs.masks(input.x.dim(1), margin, input.x.dtype(), input.x.device());
  };
  const std::vector<Tensor> own = masks(method_.measuring.margin);
  step.pairs.assign(input.ids.size(), std::vector<CamRecord>(own.size()));
  return pair_losses(pairs.boxed, masks(method_.penalty.margin), [&](const Tensor& q, const Tensor& B) {
    const Explanation e = explain(GC_ ? *GC_ : CL_, input.x, step.gc, q, method_.explain, {method_.penalty.loss, B});
    step.M.insert(step.M.end(), e.raw.begin(), e.raw.end());
    const auto label = static_cast<size_t>(q.to_vector()[0]);
    const std::vector<CamRecord> records = cam_records(e.cam, own[label]);
    for (size_t n = 0; n < records.size(); ++n) step.pairs[n][label] = records[n];
    return e.losses;
  });
}

/// What CL's own pass says inside the boxes, and outside, whatever the reading of the penalty is.
void TrainStep::split_evidence_of(Step& step, const Tensor& labels) const {
  const std::string tap = CL_.default_tap();
  const Tensor b = CL_.head_bias();
  step.evidence = split_evidence(step.cl.taps.at(tap), CL_.head_of(tap), b, step.cl.logits, step.B);
  const Tensor each =
      weighted_by_class(evidence_cross_entropies(step.evidence, b, labels), labels, method_.class_weights);
  step.evidence_cross_entropy = mean_over_boxed(each, step.evidence);
  step.evidence_penalty = mean_over_boxed(evidence_penalties(step.evidence), step.evidence);
  step.classified = step.classified + Method::kEvidenceCrossEntropy * step.evidence_cross_entropy +
                    method_.evidence_split * step.evidence_penalty;
}

/// KL(f(x) || f(x')) of the images whose ground was swapped: f(x) is a constant of a pass of its own, which has batch
/// statistics and moves no running ones.
void TrainStep::compare_with_unswapped(Step& step, const StepInput& input) const {
  const Tensor before = [&] {
    const NoGrad constant;
    return log_softmax(CL_.forward(input.unswapped, ForwardOptions::observing(Mode::train)).logits);
  }();
  const Tensor each = sum(exp(before) * (before - log_softmax(step.cl.logits)), {1});
  step.swap_consistency = mean_over_images(each, input.swapped);
  step.classified = step.classified + method_.swap.consistency * step.swap_consistency;
}

/// What is left without the objects is taught as "none", or as no class rather than another where there is no "none":
/// in a pass of its own as above, which is differentiated.
void TrainStep::classify_hidden(Step& step, const StepInput& input) const {
  const Tensor logits = CL_.forward(input.hidden, ForwardOptions::observing(Mode::train)).logits;
  const std::vector<int32_t> none(input.ids.size(), static_cast<int32_t>(input.none));
  const Tensor each = input.none < 0 ? -mean(log_softmax(logits), {1})
                                     : cross_entropies(logits, Tensor::from({logits.dim(0)}, none, logits.device()));
  step.context_only = mean_over_images(each, input.hides);
  step.classified = step.classified + method_.context.weight * step.context_only;
}

/// Gradients of CL's parameters: of the cross-entropy (and what is beside it), and of what the CAM teaches. In one pass
/// through a common graph; otherwise in two, the second on the copy's parameters where there is a copy (transfer), and
/// added.
std::vector<Tensor> TrainStep::gradients_of(const Step& step) const {
  const std::vector<Tensor> parameters = CL_.parameters();
  if (method_.reading.one_pass() && step.taught.defined())
    return grad_and_release({step.classified + step.taught}, parameters);
  std::vector<Tensor> gradients = grad_and_release({step.classified}, parameters);
  if (step.taught.defined()) {
    const std::vector<Tensor> more = grad_and_release({step.taught}, GC_ ? GC_->parameters() : parameters);
    for (size_t i = 0; i < gradients.size(); ++i) gradients[i] = gradients[i] + more[i];
  }
  return gradients;
}

/// A zero that gets no gradient stays one: neither momentum nor weight decay has anything to act on.
void TrainStep::hold_head_bias(std::vector<Tensor>& gradients) const {
  const std::vector<NamedTensor> parameters = only_parameters(CL_.named_tensors());
  for (size_t i = 0; i < parameters.size(); ++i)
    if (parameters[i].is_head_bias())
      gradients[i] = Tensor::zeros(gradients[i].shape(), gradients[i].dtype(), gradients[i].device());
}

/// Stops with a sentence when a term of the loss, or the gradient, is not finite.
void TrainStep::check_finite(const Step& step, const StepInput& input) const {
  const auto stop = [&](const std::string& what, const std::string& image) {
    fail("step ", optimizer_.steps(), ": ", what, " is not finite (", image, "); ", kDiverged);
  };
  if (!std::isfinite(step.cross_entropy.item())) {
    const auto each = step.cross_entropies.to_vector();
    size_t n = 0;
    while (n + 1 < each.size() && std::isfinite(each[n])) ++n;
    stop("the cross-entropy", "image " + input.ids[n]);
  }
  for (const auto& [what, term] : {std::pair{"the cross-entropy inside the boxes", step.evidence_cross_entropy},
                                   {"what lies outside of them", step.evidence_penalty},
                                   {"the consistency of swapped images", step.swap_consistency},
                                   {"the cross-entropy of the context alone", step.context_only}})
    if (term.defined() && !std::isfinite(term.item()))
      stop(what, str("of the ", input.ids.size(), " images of the batch"));
  const CamOptions& cam = method_.explain.cam;
  if (!std::isfinite(step.P.item())) stop("the penalty", flattest_cam(step, input, cam.profile));
  Tensor total;  // one number comes to the host; only if it is not finite the gradients are looked at one by one
  for (const Tensor& g : step.gradients) total = total.defined() ? total + sum(g) : sum(g);
  if (std::isfinite(total.item())) return;
  const std::string reason = cam.gradient != CamGradient::none
                                 ? flattest_cam(step, input, cam.profile)
                                 : std::string("the penalty sends no gradient in this reading");
  size_t i = 0;
  for (const NamedTensor& t : only_parameters(CL_.named_tensors()))
    if (!std::isfinite(sum(step.gradients[i++]).item())) stop("the gradient of " + t.name, reason);
}

StepReport TrainStep::operator()(const StepInput& input, double learning_rate, Metrics& metrics,
                                 const StepWatch& watch) {
  const Tensor &x = input.x, &labels = input.labels;
  Step step;  // its tensors under their own names, here and in a debugger
  Forward &gc = step.gc, &cl = step.cl;
  Tensor &P = step.P, &cross_entropy = step.cross_entropy, &loss = step.loss;
  const auto done = [&](int number) {
    if (watch.after) watch.after(number, step);
  };
  const ExplainOptions& options = method_.explain;
  const Penalty& penalty = method_.penalty;
  const Reading& reading = method_.reading;
  Classifier &CL = CL_, &GC = GC_ ? *GC_ : CL_;
  std::vector<std::string> more_taps = watch.taps;
  if (const std::string last = CL.default_tap();
      method_.splits() && std::find(more_taps.begin(), more_taps.end(), last) == more_taps.end())
    more_taps.push_back(last);

  // (1) Grad-CAM of the labelled class: on the copy GC (the thesis), or on CL itself, where there is nothing to copy.
  gc = explained_forward(GC, x, reading.cam_pass(), options, reading.one_pass() || reading.leaks(), more_taps);
  const Tensor losses = input.pairs ? explain_pairs(step, input) : explain_labels(step, input);
  done(1);

  // (2) Logits of CL.
  cl = reading.one_pass() ? gc : CL.forward(x, ForwardOptions::training(), more_taps);
  done(2);

  // (3) Cross-entropy.
  step.cross_entropies =
      input.pairs ? sigmoid_cross_entropies(cl.logits, input.pairs->present) : cross_entropies(cl.logits, labels);
  cross_entropy = mean(weighted_by_class(step.cross_entropies, labels, method_.class_weights));
  done(3);

  // (4) The penalty: the mean CAM outside the boxes, P = mean C (1 - B), whose terms step 1 made while C was in the
  // cache, or another --loss of C and B. Beside it the signed split, which reads B but no CAM.
  P = input.pairs ? mean_over_pairs(losses, input.pairs->boxed)
                  : mean_over_images(losses, counted_images(input, penalty));
  step.classified = cross_entropy;
  if (method_.splits()) split_evidence_of(step, labels);
  if (input.unswapped.defined()) compare_with_unswapped(step, input);
  if (input.hidden.defined()) classify_hidden(step, input);
  done(4);

  // (5) Weighted sum. What of the CAM's side is differentiated depends on the reading; often nothing.
  loss = step.classified + penalty.lambda * P;
  if (reading.leaks()) step.taught = explained_score(gc.logits, step.classes, options.cam);
  if (options.cam.gradient != CamGradient::none) step.taught = penalty.lambda * P;
  done(5);

  // (6) Back-propagation on CL, and the optimiser's update.
  step.gradients = gradients_of(step);
  if (!method_.head_bias) hold_head_bias(step.gradients);
  check_finite(step, input);
  if (method_.clip_grad_norm > 0) clip_grad_norm(step.gradients, method_.clip_grad_norm);
  optimizer_.step(step.gradients, learning_rate);
  done(6);

  // (7) Metrics, always against the images' own boxes.
  if (input.pairs) {
    metrics.add(cl.logits.to_vector(), input.pairs->shows(), records_of(step.pairs, *input.pairs));
    metrics.add_lost_boxes(input.pairs->lost_boxes());
  } else {
    metrics.add(cl.logits, labels, step.C, input.own_masks(method_.measuring.margin));
    metrics.add_lost_boxes(std::count(input.lost_boxes.begin(), input.lost_boxes.end(), 1));
  }
  done(7);

  // (8) Copy CL onto GC; nothing to do where they are one.
  if (GC_) GC_->copy_from(CL);
  done(8);
  StepReport terms{cross_entropy.item(), P.item()};
  const auto value = [](const Tensor& term) { return term.defined() ? term.item() : 0; };
  terms.evidence_cross_entropy = value(step.evidence_cross_entropy);
  terms.evidence_penalty = value(step.evidence_penalty);
  terms.swap_consistency = value(step.swap_consistency);
  terms.context_only = value(step.context_only);
  terms.swapped =
      static_cast<double>(std::count(input.swapped.begin(), input.swapped.end(), 1)) / static_cast<double>(x.dim(0));
  return terms;
}

}  // namespace boxcam
