#include "xai/evidence_split.h"

namespace boxcam {

EvidenceSplit split_evidence(const Tensor& A, const Tensor& W, const Tensor& B) {
  check(A.ndim() == 4 && W.ndim() == 2 && W.dim(1) == A.dim(3) && B.ndim() == 3 && B.dim(0) == A.dim(0),
        "split_evidence: expected a tap [N, h, w, K], a head [classes, K] and masks [N, S, S], found ", A.shape(), ", ",
        W.shape(), " and ", B.shape());
  const Tensor covered = area_resize(cast(B, W.dtype()), A.dim(1), A.dim(2));  // m
  const Tensor activations = cast(A, W.dtype());
  // W is applied after pooling, not in every cell: sum_ij m (W . A) = W . sum_ij (m A).
  const Tensor all = global_avg_pool(activations);
  const Tensor inside = mean(activations * reshape(covered, {A.dim(0), A.dim(1), A.dim(2), 1}), {1, 2});
  const Tensor area = sum(covered, {1, 2});
  return {matmul(inside, W, {.transpose_b = true}), matmul(all - inside, W, {.transpose_b = true}),
          greater(area, Tensor::zeros(area.shape(), area.dtype(), area.device()))};
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
