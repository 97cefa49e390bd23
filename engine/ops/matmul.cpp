#include "engine/ops/common.h"

namespace boxcam {

Tensor matmul(const Tensor& a, const Tensor& b, const MatmulSpec& spec) {
  const bool transpose_a = spec.transpose_a, transpose_b = spec.transpose_b;
  check_floating("matmul", a);
  check_same_kind("matmul", a, b);
  check(a.ndim() == 2 && b.ndim() == 2, "matmul: expected two matrices, found ", a.shape(), " and ", b.shape());
  const int64_t m = a.dim(transpose_a ? 1 : 0), k = a.dim(transpose_a ? 0 : 1);
  const int64_t l = b.dim(transpose_b ? 1 : 0), n = b.dim(transpose_b ? 0 : 1);
  check(k == l, "matmul: the inner extents differ: ", a.shape(), transpose_a ? " transposed" : "", " times ", b.shape(),
        transpose_b ? " transposed" : "");
  Tensor y = output({m, n}, a);
  kernels(a).matmul(a, b, transpose_a, transpose_b, y);
  return record("matmul", y, {a, b}, [transpose_a, transpose_b](const RuleArgs& r) {
    const Tensor &p = r.inputs[0], &q = r.inputs[1], &g = r.grads[0];
    std::vector<Tensor> result(2);
    if (r.wanted[0])
      result[0] = transpose_a ? matmul(q, g, {.transpose_a = transpose_b, .transpose_b = true})
                              : matmul(g, q, {.transpose_b = !transpose_b});
    if (r.wanted[1])
      result[1] = transpose_b ? matmul(g, p, {.transpose_a = true, .transpose_b = transpose_a})
                              : matmul(p, g, {.transpose_a = !transpose_a});
    return result;
  });
}

}  // namespace boxcam
