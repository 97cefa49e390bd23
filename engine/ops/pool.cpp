#include "engine/ops/common.h"

namespace boxcam {

Tensor max_pool2d(const Tensor& x, const Pool2dSpec& s) {
  check_activation("max_pool2d", x);
  check_ndim("max_pool2d", x, 4, "activations [N, H, W, C]");
  check(s.window > 0 && s.stride > 0 && s.padding >= 0 && 2 * s.padding <= s.window,
        "max_pool2d: impossible parameters: window ", s.window, ", stride ", s.stride, ", padding ", s.padding,
        " (at most half a window)");
  Shape shape = x.shape();
  for (int i = 1; i <= 2; ++i) {
    const int64_t room = x.dim(i) + 2 * s.padding - s.window;
    check(room >= 0, "max_pool2d: the window ", s.window, " does not fit into ", x.shape());
    shape[i] = (room + (s.ceil_mode ? s.stride - 1 : 0)) / s.stride + 1;
    // As in PyTorch: the last window must begin inside the input or its left padding.
    if (s.ceil_mode && (shape[i] - 1) * s.stride >= x.dim(i) + s.padding) --shape[i];
  }
  Tensor y = output(shape, x), index = Tensor::empty(shape, DType::i32, x.device());
  kernels(x).max_pool2d(x, s, y, index);
  return record("max_pool2d", y, {x}, [index](const RuleArgs& r) {
    const Tensor &in = r.inputs[0], &g = r.grads[0];
    const Shape rows{in.dim(0), g.numel() / in.dim(0)};
    const Tensor flat = put_at(reshape(g, rows), reshape(index, rows), in.numel() / in.dim(0));
    return std::vector{reshape(flat, in.shape())};
  });
}

Tensor global_avg_pool(const Tensor& x) {
  check_ndim("global_avg_pool", x, 4, "activations [N, H, W, C]");
  return mean(x, {1, 2});
}

}  // namespace boxcam
