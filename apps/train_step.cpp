#include "apps/train_step.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "apps/common/cam.h"
#include "engine/base/random.h"
#include "nn/input.h"
#include "xai/boxes.h"
#include "xai/losses.h"

namespace boxcam {

namespace {

using Teaches = TrainOptions::PenaltyGradient;

/// Through what the penalty is differentiated. One that reaches no weight needs no graph.
CamGradient cam_gradient(const TrainOptions& o) {
  if (o.lambda == 0) return CamGradient::none;
  switch (o.penalty_gradient) {
    case Teaches::full: return CamGradient::full;
    case Teaches::activations: return CamGradient::activations;
    case Teaches::weights: return CamGradient::weights;
    case Teaches::transfer: return o.transfer_activations ? CamGradient::activations : CamGradient::full;
    case Teaches::constant:
    case Teaches::leak: break;
  }
  return CamGradient::none;
}

/// The CAM's pass. It never moves running statistics, and is recorded only where something is differentiated.
Forward explained_pass(ResNet& model, const Tensor& x, const std::vector<std::string>& taps, const CamOptions& cam,
                       const TrainOptions& o) {
  const bool recorded =
      cam_gradient(o) != CamGradient::none || o.penalty_gradient == Teaches::leak || !has_closed_form(model, cam);
  const GradMode mode(recorded);
  return model.forward(x, {o.cam_batch_norm == CamOptions::BatchNorm::train ? Mode::train : Mode::eval, false}, taps);
}

/// Gradients of CL's parameters: of the cross-entropy, and of what the CAM teaches. In one pass through a common graph;
/// otherwise in two, the second on the copy's parameters where there is a copy (transfer), and added.
std::vector<Tensor> gradients_of(const Step& step, const ResNet& CL, const ResNet* GC, bool one_pass) {
  if (one_pass && step.taught.defined()) return grad_and_release({step.cross_entropy + step.taught}, CL.parameters());
  std::vector<Tensor> gradients = grad_and_release({step.cross_entropy}, CL.parameters());
  if (step.taught.defined()) {
    const std::vector<Tensor> more = grad_and_release({step.taught}, (GC ? *GC : CL).parameters());
    for (size_t i = 0; i < gradients.size(); ++i) gradients[i] = gradients[i] + more[i];
  }
  return gradients;
}

/// Stops with a sentence when a term of the loss, or the gradient, is not finite.
void check_finite(const Step& step, const ResNet& CL, const StepInput& input, CamProfile profile, const TrainOptions& o,
                  int64_t number) {
  const auto stop = [&](const std::string& what, const std::string& image) {
    fail("step ", number, ": ", what, " is not finite (", image, "); ", kDiverged);
  };
  if (!std::isfinite(step.cross_entropy.item())) {
    const auto each = step.cross_entropies.to_vector();
    size_t n = 0;
    while (n + 1 < each.size() && std::isfinite(each[n])) ++n;
    stop("the cross-entropy", "image " + input.ids[n]);
  }
  // The normaliser's derivative is unbounded on a flat map: name the flattest, or one that is not finite itself.
  const auto flattest = [&] {
    const bool rectified = profile != CamProfile::pgc_1_3_1;
    size_t worst = 0;
    double least = std::numeric_limits<double>::infinity();
    for (const Tensor& maps : step.M) {
      const auto m = maps.to_vector();
      const size_t cells = m.size() / input.ids.size();
      for (size_t n = 0; n < input.ids.size(); ++n) {
        const auto [low, high] = std::minmax_element(m.begin() + n * cells, m.begin() + (n + 1) * cells);
        if (!std::isfinite(std::accumulate(m.begin() + n * cells, m.begin() + (n + 1) * cells, 0.0)))
          return "the Grad-CAM is that of image " + input.ids[n];
        const double range = *high - (rectified ? std::max(*low, 0.0) : *low);
        if ((*high > 0 || !rectified) && range < least) least = range, worst = n;
      }
    }
    if (std::isinf(least)) return std::string("every Grad-CAM is empty");
    return str("the flattest Grad-CAM is that of image ", input.ids[worst]);
  };
  if (!std::isfinite(step.P.item())) stop("the penalty", flattest());
  Tensor total;  // one number comes to the host; only if it is not finite the gradients are looked at one by one
  for (const Tensor& g : step.gradients) total = total.defined() ? total + sum(g) : sum(g);
  if (std::isfinite(total.item())) return;
  size_t i = 0;
  for (const NamedTensor& t : CL.named_tensors())
    if (t.is_parameter && !std::isfinite(sum(step.gradients[i++]).item()))
      stop("the gradient of " + t.name, cam_gradient(o) != CamGradient::none
                                            ? flattest()
                                            : std::string("the penalty sends no gradient in this reading"));
}

}  // namespace

std::vector<char> counted_images(const StepInput& input, const TrainOptions& o) {
  std::vector<char> counted;
  if (o.skip_unboxed)
    for (const auto& boxes : input.boxes) counted.push_back(!boxes.empty());
  return counted;
}

StepInput step_input(const Batch& batch, const TrainOptions& options, const RunOptions& run, int64_t step) {
  StepInput input{input_tensor(batch, run.device), label_tensor(batch, run.device), batch.boxes, batch.boxes,
                  batch.ids};
  if (!options.shuffled_boxes) return input;
  std::vector<size_t> cycle;
  for (size_t n = 0; n < batch.boxes.size(); ++n)
    if (!batch.boxes[n].empty()) cycle.push_back(n);
  Random random(run.seed, stream_of("shuffled boxes") + static_cast<uint64_t>(step));
  shuffle(cycle, random);
  for (size_t i = 0; i < cycle.size(); ++i) input.penalty_boxes[cycle[i]] = batch.boxes[cycle[(i + 1) % cycle.size()]];
  return input;
}

StepReport train_step(ResNet& CL, ResNet* GC, Optimizer& optimizer, const StepInput& input, double learning_rate,
                      const CamOptions& cam, const TrainOptions& o, Metrics& metrics, const StepWatch& watch) {
  const auto& [x, labels, boxes, penalty_boxes, ids] = input;
  const int64_t size = x.dim(1);
  const bool one_pass = !GC && o.cam_batch_norm == CamOptions::BatchNorm::train;  // the CAM reads CL's training pass
  Step step;
  auto& [gc, classes, alpha, M, C, cl, cross_entropies, cross_entropy, B, P, loss, taught, gradients] = step;
  const auto done = [&](int number) {
    if (watch) watch(number, step);
  };
  std::vector<std::string> taps = cam.taps;
  if (watch && std::find(taps.begin(), taps.end(), "layer4") == taps.end())
    taps.push_back("layer4");  // who looks on sees what reaches the head, whatever is explained

  // (1) Grad-CAM of the labelled class: on the copy GC (the thesis), or on CL itself, where there is nothing to copy.
  gc = one_pass ? CL.forward(x, {Mode::train, true}, taps) : explained_pass(GC ? *GC : CL, x, taps, cam, o);
  classes = explained_classes(gc, labels, cam);
  B = box_masks(penalty_boxes, size, size, o.margin, x.dtype(), x.device());
  const GradCam explained = cam_of(GC ? *GC : CL, gc, classes, size, size, cam, cam_gradient(o), B);
  alpha = explained.alpha, M = explained.raw, C = explained.cam;
  done(1);

  // (2) Logits of CL.
  cl = one_pass ? gc : CL.forward(x, {Mode::train, true}, watch ? taps : std::vector<std::string>{});
  done(2);

  // (3) Cross-entropy.
  cross_entropies = boxcam::cross_entropies(cl.logits, labels);
  cross_entropy = mean(cross_entropies);
  done(3);

  // (4) The penalty: the mean CAM outside the boxes, P = mean C (1 - B), whose terms step 1 made while C was in the
  // cache, or another --loss of C and B.
  const Tensor losses = o.loss == box_loss ? explained.box_losses : o.loss(C, B);
  P = mean_over_images(losses, counted_images(input, o));
  done(4);

  // (5) Weighted sum. What of the CAM's side is differentiated depends on the reading; often nothing.
  loss = cross_entropy + o.lambda * P;
  if (o.penalty_gradient == Teaches::leak) taught = explained_score(gc.logits, classes, cam.target);
  if (cam_gradient(o) != CamGradient::none) taught = o.lambda * P;
  done(5);

  // (6) Back-propagation on CL, and the optimiser's update.
  gradients = gradients_of(step, CL, GC, one_pass);
  check_finite(step, CL, input, cam.profile, o, optimizer.steps());
  if (o.clip_grad_norm > 0) clip_grad_norm(gradients, o.clip_grad_norm);
  optimizer.step(gradients, learning_rate);
  done(6);

  // (7) Metrics, always against the images' own boxes.
  metrics.add(cl.logits, labels, C, box_masks(boxes, size, size, cam.eval_margin, x.dtype(), x.device()));
  done(7);

  // (8) Copy CL onto GC; nothing to do where they are one.
  if (GC) GC->copy_from(CL);
  done(8);
  return {cross_entropy.item(), P.item()};
}

}  // namespace boxcam
