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

/// An explainer that cannot teach makes maps that are data.
void check_teaches(const CamOptions& o) {
  check(o.gradient == CamGradient::none || o.explainer->can_teach(), "explain: ", o.explainer->name,
        " cannot be differentiated: ", o.explainer->cannot_teach ? o.explainer->cannot_teach : "");
}

void check_needs_no_model(const CamOptions& o) {
  check_teaches(o);
  check(!o.explainer->asks_model(), "explain: ", o.explainer->name,
        " asks the model again, and so explains a model, not tensors");
}

/// The explainer's weights, or its map, differentiable where the options say so.
template <class Function>
Tensor ask(Function function, const Tensor& tap, const Tensor& gradient, DType dtype, const CamOptions& o,
           const Subject* subject, const std::string& name) {
  const bool differentiable = through_weights(o.gradient);
  const GradMode mode(differentiable);
  const Tensor A = differentiable ? tap : tap.detach();
  return function(Evidence(A, gradient, dtype, subject, name));
}

/// Where the score's gradient at each tap, [N, h, w, K] or [N, 1, 1, K], comes from: undefined where it is not needed.
struct Source {
  std::vector<Tensor> taps, gradients;
  const Subject* subject = nullptr;     ///< where the explainer asks the model,
  std::vector<std::string> names = {};  ///< and the taps' names in it
};

/// From the activations, and what the explainer needs besides, to everything else, in `dtype`.
Explanation assemble(const Tensor& labels, const Source& from, DType dtype, int64_t height, int64_t width,
                     const CamOptions& o, const MaskedLoss& loss) {
  Explanation e;
  e.classes = labels;
  const Explainer& explainer = *o.explainer;
  const GradMode mode(o.gradient != CamGradient::none);
  if (explainer.of_input) e.raw.push_back(explainer.of_input(*from.subject));
  for (size_t i = 0; i < from.taps.size() && !explainer.of_input; ++i) {
    const Tensor& tap = from.taps[i];
    const Tensor gradient = from.gradients.empty() ? Tensor() : from.gradients[i];
    const std::string name = from.names.empty() ? "" : from.names[i];
    if (explainer.map) {
      e.raw.push_back(ask(explainer.map, tap, gradient, dtype, o, from.subject, name));
      continue;
    }
    const Tensor weights = ask(explainer.weigh, tap, gradient, dtype, o, from.subject, name);
    const Tensor A = cast(through_activations(o.gradient) ? tap : tap.detach(), dtype);
    const bool by_channel = weights.dim(1) == 1 && weights.dim(2) == 1;
    e.alpha.push_back(by_channel ? reshape(weights, {A.dim(0), A.dim(3)}) : mean(weights, {1, 2}));
    if (loss.loss && loss.loss->fused && by_channel && from.taps.size() == 1 && o.profile == CamProfile::pgc_1_4) {
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

/// [N, classes]: the explained score's gradient at the logits, differentiable where the options say so.
Tensor gradient_at_logits(const Tensor& logits, const Tensor& labels, int64_t classes, DType dtype,
                          const CamOptions& o) {
  if (!o.explainer->score) return target_weights(labels, classes, o.target, dtype);
  check(logits.defined(), "explain_linear_head: ", o.explainer->name, " has a score of its own, and reads the logits");
  const bool differentiable = through_weights(o.gradient);
  const GradMode recorded(true);
  Tensor at = differentiable && logits.requires_grad() ? logits : logits.detach();
  if (!at.requires_grad()) at.set_requires_grad();
  return grad({explained_score(at, labels, o)}, {at}, {.create_graph = differentiable})[0];
}

}  // namespace

Tensor target_weights(const Tensor& labels, int64_t classes, CamTarget target, DType dtype) {
  const Tensor weights = one_hot(labels, classes, dtype);
  return target == CamTarget::centered ? weights - 1.0 / static_cast<double>(classes) : weights;
}

Tensor explained_score(const Tensor& logits, const Tensor& labels, CamTarget target) {
  return sum(logits * target_weights(labels, logits.dim(1), target, logits.dtype()));
}

Tensor explained_score(const Tensor& logits, const Tensor& labels, const CamOptions& options) {
  const Score own = options.explainer->score;
  return own ? sum(own(logits, labels)) : explained_score(logits, labels, options.target);
}

Explanation explain(const Tensor& logits, const Tensor& labels, const std::vector<Tensor>& taps, int64_t height,
                    int64_t width, const CamOptions& options, const MaskedLoss& loss) {
  check(!taps.empty(), "explain: expected at least one tap");
  check_needs_no_model(options);
  for (const Tensor& tap : taps) check_tap(labels, tap);
  if (!options.explainer->needs_gradient())
    return assemble(labels, {.taps = taps, .gradients = {}}, logits.dtype(), height, width, options, loss);
  for (const Tensor& tap : taps) {
    check(tap.requires_grad() && logits.requires_grad(),
          "explain: the forward pass was not recorded, so there is no gradient from the logits to the tap");
  }
  const std::vector<Tensor> gradients = [&] {
    const GradMode recorded(true);  // the score's path to the taps is needed even for a CAM that is data
    return grad({explained_score(logits, labels, options)}, taps, {.create_graph = through_weights(options.gradient)});
  }();
  return assemble(labels, {taps, gradients}, logits.dtype(), height, width, options, loss);
}

Explanation explain_linear_head(const Tensor& head_weight, const Tensor& labels, const Tensor& tap, int64_t height,
                                int64_t width, const CamOptions& options, const MaskedLoss& loss,
                                const Tensor& logits) {
  check_needs_no_model(options);
  check_tap(labels, tap);
  check(head_weight.ndim() == 2 && head_weight.dim(1) == tap.dim(3), "explain_linear_head: the head ",
        head_weight.shape(), " does not fit the tap ", tap.shape());
  const Tensor gradient = [&] {
    const GradMode mode(through_weights(options.gradient));
    const Tensor weights = gradient_at_logits(logits, labels, head_weight.dim(0), head_weight.dtype(), options);
    const Tensor of_cell = matmul(weights, head_weight) / static_cast<double>(tap.dim(1) * tap.dim(2));
    return reshape(of_cell, {tap.dim(0), 1, 1, tap.dim(3)});
  }();
  return assemble(labels, {{tap}, {gradient}}, head_weight.dtype(), height, width, options, loss);
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
  const bool differentiated = options.cam.explainer->needs_gradient() && !has_closed_form(model, options);
  const bool recorded = record || options.cam.gradient != CamGradient::none || differentiated;
  const GradMode mode(recorded);
  std::vector<std::string> taps = options.taps;
  // An unrecorded pass computes otherwise around a tap (folded batch norm), and who looks on must change nothing.
  for (const std::string& tap : more_taps)
    if (recorded && std::find(taps.begin(), taps.end(), tap) == taps.end()) taps.push_back(tap);
  return model.forward(x, pass, taps);
}

Explanation explain(Classifier& model, const Tensor& x, const Forward& pass, const Tensor& labels,
                    const ExplainOptions& options, const MaskedLoss& loss) {
  const CamOptions& cam = options.cam;
  const Tensor classes = explained_classes(pass.logits, labels, options);
  std::vector<Tensor> taps;
  for (const std::string& name : options.taps) taps.push_back(pass.taps.at(name));
  const int64_t height = x.dim(1), width = x.dim(2);
  if (cam.explainer->asks_model()) {
    check_teaches(cam);
    const DType dtype = pass.logits.dtype();
    const Subject subject{model, x.detach(), pass.logits.detach(),
                          target_weights(classes, pass.logits.dim(1), cam.target, dtype), cam.ablation};
    return assemble(classes, {taps, {}, &subject, options.taps}, dtype, height, width, cam, loss);
  }
  if (cam.explainer->needs_gradient() && has_closed_form(model, options))
    return explain_linear_head(model.head_of(options.taps[0]), classes, taps[0], height, width, cam, loss, pass.logits);
  return explain(pass.logits, classes, taps, height, width, cam, loss);
}

}  // namespace boxcam
