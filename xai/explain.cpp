#include "xai/explain.h"

#include <algorithm>

namespace boxcam {

namespace {

void check_tap(const Tensor& labels, const Tensor& tap) {
  check(tap.ndim() == 4 && labels.ndim() == 1 && tap.dim(0) == labels.dim(0),
        "explain: expected a tap [N, h, w, K] and labels [N], found ", tap.shape(), " and ", labels.shape());
}

bool through_weights(CamGradient g) { return g == CamGradient::weights || g == CamGradient::full; }
bool through_activations(CamGradient g) { return g == CamGradient::activations || g == CamGradient::full; }

/// The explainer's weights, differentiable where the options say so.
Tensor weights_of(const Tensor& tap, const Tensor& gradient, DType dtype, const CamOptions& o) {
  const bool differentiable = through_weights(o.gradient);
  const GradMode mode(differentiable);
  const Tensor A = differentiable ? tap : tap.detach();
  return o.explainer->weigh(Evidence(A, gradient, dtype));
}

/// From the score's gradient at each tap, [N, h, w, K] or [N, 1, 1, K], to everything else, in `dtype`.
Explanation assemble(const Tensor& labels, const std::vector<Tensor>& gradients, const std::vector<Tensor>& taps,
                     DType dtype, int64_t height, int64_t width, const CamOptions& o, const MaskedLoss& loss) {
  Explanation e;
  e.classes = labels;
  const GradMode mode(o.gradient != CamGradient::none);
  for (size_t i = 0; i < taps.size(); ++i) {
    const Tensor weights = weights_of(taps[i], gradients[i], dtype, o);
    const Tensor A = cast(through_activations(o.gradient) ? taps[i] : taps[i].detach(), dtype);
    const bool by_channel = weights.dim(1) == 1 && weights.dim(2) == 1;
    e.alpha.push_back(by_channel ? reshape(weights, {A.dim(0), A.dim(3)}) : mean(weights, {1, 2}));
    if (loss.loss && loss.loss->fused && by_channel && taps.size() == 1 && o.profile == CamProfile::pgc_1_4) {
      const FusedCam all = loss.loss->fused(A, e.alpha[0], loss.masks, o.normalizer);
      e.raw = {all.raw}, e.cam = all.cam, e.losses = all.losses;
      return e;
    }
    e.raw.push_back(sum(A * weights, {3}));
  }
  e.cam = normalize_cam(e.raw, height, width, o.profile, o.normalizer);
  if (loss.loss) e.losses = loss.loss->of_images(e.cam, loss.masks);
  return e;
}

}  // namespace

Tensor target_weights(const Tensor& labels, int64_t classes, CamTarget target, DType dtype) {
  const Tensor weights = one_hot(labels, classes, dtype);
  return target == CamTarget::centered ? weights - 1.0 / static_cast<double>(classes) : weights;
}

Tensor explained_score(const Tensor& logits, const Tensor& labels, CamTarget target) {
  return sum(logits * target_weights(labels, logits.dim(1), target, logits.dtype()));
}

Explanation explain(const Tensor& logits, const Tensor& labels, const std::vector<Tensor>& taps, int64_t height,
                    int64_t width, const CamOptions& options, const MaskedLoss& loss) {
  check(!taps.empty(), "explain: expected at least one tap");
  for (const Tensor& tap : taps) {
    check_tap(labels, tap);
    check(tap.requires_grad() && logits.requires_grad(),
          "explain: the forward pass was not recorded, so there is no gradient from the logits to the tap");
  }
  const std::vector<Tensor> gradients = [&] {
    const GradMode recorded(true);  // the score's path to the taps is needed even for a CAM that is data
    return grad({explained_score(logits, labels, options.target)}, taps,
                {.create_graph = through_weights(options.gradient)});
  }();
  return assemble(labels, gradients, taps, logits.dtype(), height, width, options, loss);
}

Explanation explain_linear_head(const Tensor& head_weight, const Tensor& labels, const Tensor& tap, int64_t height,
                                int64_t width, const CamOptions& options, const MaskedLoss& loss) {
  check_tap(labels, tap);
  check(head_weight.ndim() == 2 && head_weight.dim(1) == tap.dim(3), "explain_linear_head: the head ",
        head_weight.shape(), " does not fit the tap ", tap.shape());
  const Tensor gradient = [&] {
    const GradMode mode(through_weights(options.gradient));
    const Tensor weights = target_weights(labels, head_weight.dim(0), options.target, head_weight.dtype());
    const Tensor of_cell = matmul(weights, head_weight) / static_cast<double>(tap.dim(1) * tap.dim(2));
    return reshape(of_cell, {tap.dim(0), 1, 1, tap.dim(3)});
  }();
  return assemble(labels, {gradient}, {tap}, head_weight.dtype(), height, width, options, loss);
}

void settle_taps(ExplainOptions& options, const Classifier& model) {
  if (options.taps.empty()) options.taps = {model.default_tap()};
  model.check_taps(options.taps);
}

bool has_closed_form(const Classifier& model, const ExplainOptions& options) {
  return options.taps.size() == 1 && model.head_of(options.taps[0]).defined();
}

Tensor explained_classes(const Tensor& logits, const Tensor& labels, const ExplainOptions& options) {
  return options.explains == ExplainOptions::Class::predicted ? reshape(argmax(logits.detach()), labels.shape())
                                                              : labels;
}

Forward explained_forward(Classifier& model, const Tensor& x, const ForwardOptions& pass, const ExplainOptions& options,
                          bool record, const std::vector<std::string>& more_taps) {
  const bool recorded = record || options.cam.gradient != CamGradient::none || !has_closed_form(model, options);
  const GradMode mode(recorded);
  std::vector<std::string> taps = options.taps;
  // An unrecorded pass computes otherwise around a tap (folded batch norm), and who looks on must change nothing.
  for (const std::string& tap : more_taps)
    if (recorded && std::find(taps.begin(), taps.end(), tap) == taps.end()) taps.push_back(tap);
  return model.forward(x, pass, taps);
}

Explanation explain(const Classifier& model, const Tensor& x, const Forward& pass, const Tensor& labels,
                    const ExplainOptions& options, const MaskedLoss& loss) {
  const Tensor classes = explained_classes(pass.logits, labels, options);
  std::vector<Tensor> taps;
  for (const std::string& name : options.taps) taps.push_back(pass.taps.at(name));
  const int64_t height = x.dim(1), width = x.dim(2);
  return has_closed_form(model, options)
             ? explain_linear_head(model.head_of(options.taps[0]), classes, taps[0], height, width, options.cam, loss)
             : explain(pass.logits, classes, taps, height, width, options.cam, loss);
}

}  // namespace boxcam
