#include "engine/ops/common.h"

namespace boxcam {

Tensor log_softmax(const Tensor& x) {
  check_floating("log_softmax", x);
  check_ndim("log_softmax", x, 2, "logits [N, K]");
  // The maximum only shifts: it is a constant to the derivative.
  const Tensor shifted = sub(x, take_at(x.detach(), argmax(x)));
  return sub(shifted, log(sum(exp(shifted), {1}, true)));
}

Tensor softmax(const Tensor& x) { return exp(log_softmax(x)); }

Tensor cross_entropies(const Tensor& logits, const Tensor& labels) {
  check_floating("cross_entropy", logits);
  check_index("cross_entropy", labels);
  check(logits.ndim() == 2 && labels.ndim() == 1 && logits.dim(0) == labels.dim(0) && logits.dim(1) > 0,
        "cross_entropy: expected logits [N, K] and labels [N], found ", logits.shape(), " and ", labels.shape());
  check_index_range("cross_entropy", labels, logits.dim(1));
  Tensor losses = output({logits.dim(0)}, logits);
  kernels(logits).cross_entropies(logits, labels, losses);
  const auto formula = [labels](const std::vector<Tensor>& in) {
    const Tensor chosen = take_at(log_softmax(in[0]), reshape(labels, {labels.dim(0), 1}));
    return std::vector{reshape(mul_scalar(chosen, -1), {labels.dim(0)})};
  };
  const auto first_order = [labels](const RuleArgs& r) {
    std::vector<Tensor> result = {output(r.inputs[0].shape(), r.inputs[0])};
    kernels(r.inputs[0]).cross_entropies_grad(r.grads[0], r.inputs[0], labels, result[0]);
    return result;
  };
  return record_composite("cross_entropies", {losses}, {logits}, formula, first_order)[0];
}

Tensor cross_entropy(const Tensor& logits, const Tensor& labels) { return mean(cross_entropies(logits, labels)); }

}  // namespace boxcam
