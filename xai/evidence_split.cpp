#include "xai/evidence_split.h"

namespace boxcam {

EvidenceSplit split_evidence(const Tensor& A, const Tensor& W, const Tensor& b, const Tensor& y, const Tensor& B) {
  check(A.ndim() == 4 && W.ndim() == 2 && W.dim(1) == A.dim(3) && B.ndim() == 3 && B.dim(0) == A.dim(0) &&
            b.shape() == Shape{W.dim(0)} && y.shape() == (Shape{A.dim(0), W.dim(0)}),
        "split_evidence: expected a tap [N, h, w, K], a head [classes, K] with its bias, logits [N, classes] and masks "
        "[N, S, S], found ",
        A.shape(), ", ", W.shape(), ", ", b.shape(), ", ", y.shape(), " and ", B.shape());
  const Tensor covered = area_resize(cast(B, W.dtype()), A.dim(1), A.dim(2));  // m
  // W is applied after pooling, not in every cell: sum_ij m (W . A) = W . sum_ij (m A). What is left of the logits lies
  // outside: so A is read, and its gradient made, once.
  const Tensor shares = reshape(covered, {A.dim(0), A.dim(1), A.dim(2), 1});
  const Tensor inside = matmul(mean(cast(A, W.dtype()) * shares, {1, 2}), W, {.transpose_b = true});
  const Tensor area = sum(covered, {1, 2});
  return {inside, y - b - inside, greater(area, Tensor::zeros(area.shape(), area.dtype(), area.device()))};
}

Tensor evidence_cross_entropies(const EvidenceSplit& split, const Tensor& b, const Tensor& labels) {
  return cross_entropies(split.inside + b, labels);
}

Tensor evidence_penalties(const EvidenceSplit& split) {
  const Tensor centred = split.outside - mean(split.outside, {1}, true);
  return mean(centred * centred, {1});
}

Tensor mean_over_boxed(const Tensor& each, const EvidenceSplit& split) {
  const Tensor count = sum(split.boxed);
  const Tensor one_if_none = -greater(count, Tensor::zeros({}, count.dtype(), count.device())) + 1.0;
  return sum(each * split.boxed) / (count + one_if_none);
}

}  // namespace boxcam
