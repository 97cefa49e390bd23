#include "engine/ops/common.h"

namespace boxcam {

Tensor bilinear_resize(const Tensor& x, int64_t height, int64_t width) {
  check_floating("bilinear_resize", x);
  check_ndim("bilinear_resize", x, 3, "maps [N, h, w]");
  check(height > 0 && width > 0 && x.numel() > 0, "bilinear_resize: cannot make ", height, " x ", width, " of ",
        x.shape());
  Tensor y = output({x.dim(0), height, width}, x);
  kernels(x).bilinear_resize(x, y);
  return record("bilinear_resize", y, {x}, [](const RuleArgs& r) {
    return std::vector{bilinear_resize_adjoint(r.grads[0], r.inputs[0].dim(1), r.inputs[0].dim(2))};
  });
}

Tensor bilinear_resize_adjoint(const Tensor& g, int64_t height, int64_t width) {
  check_floating("bilinear_resize_adjoint", g);
  check_ndim("bilinear_resize_adjoint", g, 3, "maps [N, H, W]");
  check(height > 0 && width > 0 && g.numel() > 0, "bilinear_resize_adjoint: cannot make ", height, " x ", width, " of ",
        g.shape());
  Tensor gx = output({g.dim(0), height, width}, g);
  kernels(g).bilinear_resize_adjoint(g, gx);
  return record("bilinear_resize_adjoint", gx, {g}, [](const RuleArgs& r) {
    return std::vector{bilinear_resize(r.grads[0], r.inputs[0].dim(1), r.inputs[0].dim(2))};
  });
}

Tensor area_resize(const Tensor& x, int64_t height, int64_t width) {
  check_floating("area_resize", x);
  check_ndim("area_resize", x, 3, "maps [N, H, W]");
  check(height > 0 && width > 0 && x.numel() > 0, "area_resize: cannot make ", height, " x ", width, " of ", x.shape());
  Tensor y = output({x.dim(0), height, width}, x);
  kernels(x).area_resize(x, y);
  return record("area_resize", y, {x}, [](const RuleArgs& r) {
    return std::vector{area_resize_adjoint(r.grads[0], r.inputs[0].dim(1), r.inputs[0].dim(2))};
  });
}

Tensor area_resize_adjoint(const Tensor& g, int64_t height, int64_t width) {
  check_floating("area_resize_adjoint", g);
  check_ndim("area_resize_adjoint", g, 3, "maps [N, h, w]");
  check(height > 0 && width > 0 && g.numel() > 0, "area_resize_adjoint: cannot make ", height, " x ", width, " of ",
        g.shape());
  Tensor gx = output({g.dim(0), height, width}, g);
  kernels(g).area_resize_adjoint(g, gx);
  return record("area_resize_adjoint", gx, {g}, [](const RuleArgs& r) {
    return std::vector{area_resize(r.grads[0], r.inputs[0].dim(1), r.inputs[0].dim(2))};
  });
}

}  // namespace boxcam
