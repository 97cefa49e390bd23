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

Tensor cross_entropy(const Tensor& logits, const Tensor& labels) {
  check_index("cross_entropy", labels);
  check(logits.ndim() == 2 && labels.ndim() == 1 && logits.dim(0) == labels.dim(0),
        "cross_entropy: expected logits [N, K] and labels [N], found ", logits.shape(), " and ", labels.shape());
  check_index_range("cross_entropy", labels, logits.dim(1));
  return mul_scalar(mean(take_at(log_softmax(logits), reshape(labels, {labels.dim(0), 1}))), -1);
}

}  // namespace boxcam
