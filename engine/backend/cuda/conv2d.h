// Bodies of conv2d.cu for what does not go to cuDNN: f64, the definition, and grouped convolutions. One thread for each
// result, which collects its terms in a fixed order.
#pragma once

#include "engine/backend/cuda/elementwise.h"
#include "engine/backend/cuda/host_device.h"
#include "engine/backend/kernels.h"
#include "engine/dtype.h"
#include "engine/graph_access.h"

namespace boxcam::cuda {

/// The extents of one convolution, under the letters of ops.h.
struct ConvExtents {
  int64_t n, h, w, i, o, r, s, p, q, ig, og, stride, padding, dilation;
  ConvExtents(const Shape& x, const Shape& weight, const Shape& y, const Conv2dSpec& spec)
      : n(x[0]),
        h(x[1]),
        w(x[2]),
        i(x[3]),
        o(weight[0]),
        r(weight[1]),
        s(weight[2]),
        p(y[1]),
        q(y[2]),
        ig(weight[3]),
        og(weight[0] / spec.groups),
        stride(spec.stride),
        padding(spec.padding),
        dilation(spec.dilation) {}
};

template <class T>
struct PlainConv2d {
  ConvExtents e;
  const T* x;
  const Arithmetic<T>* w;
  T* y;
  BOXCAM_HD void operator()(int64_t at) const {
    const Quotient by_o = divide(at, e.o), by_q = divide(by_o.quotient, e.q), by_p = divide(by_q.quotient, e.p);
    const int64_t o = by_o.remainder, first = o / e.og * e.ig;
    Arithmetic<T> total = 0;
    for (int64_t r = 0; r < e.r; ++r)
      for (int64_t s = 0; s < e.s; ++s) {
        const int64_t row = by_p.remainder * e.stride - e.padding + r * e.dilation;
        const int64_t column = by_q.remainder * e.stride - e.padding + s * e.dilation;
        if (row < 0 || row >= e.h || column < 0 || column >= e.w) continue;
        const T* pixel = x + ((by_p.quotient * e.h + row) * e.w + column) * e.i + first;
        const Arithmetic<T>* weight = w + ((o * e.r + r) * e.s + s) * e.ig;
        for (int64_t i = 0; i < e.ig; ++i) total += Arithmetic<T>(pixel[i]) * weight[i];
      }
    y[at] = total;
  }
};

template <class T>
struct PlainConv2dInputGrad {
  ConvExtents e;
  const T* g;
  const Arithmetic<T>* w;
  T* gx;
  BOXCAM_HD void operator()(int64_t at) const {
    const Quotient by_i = divide(at, e.i), by_w = divide(by_i.quotient, e.w), by_h = divide(by_w.quotient, e.h);
    const int64_t group = by_i.remainder / e.ig, i = by_i.remainder % e.ig;
    Arithmetic<T> total = 0;
    for (int64_t r = 0; r < e.r; ++r)
      for (int64_t s = 0; s < e.s; ++s) {
        // The output pixel that saw this input pixel through (r, s), if there is one.
        const int64_t row = by_h.remainder + e.padding - r * e.dilation;
        const int64_t column = by_w.remainder + e.padding - s * e.dilation;
        if (row < 0 || row % e.stride || row / e.stride >= e.p) continue;
        if (column < 0 || column % e.stride || column / e.stride >= e.q) continue;
        const T* pixel = g + ((by_h.quotient * e.p + row / e.stride) * e.q + column / e.stride) * e.o;
        for (int64_t o = group * e.og; o < (group + 1) * e.og; ++o)
          total += Arithmetic<T>(pixel[o]) * w[((o * e.r + r) * e.s + s) * e.ig + i];
      }
    gx[at] = total;
  }
};

template <class T>
struct PlainConv2dWeightGrad {
  ConvExtents e;
  const T *x, *g;
  Arithmetic<T>* gw;
  BOXCAM_HD void operator()(int64_t at) const {
    const Quotient by_i = divide(at, e.ig), by_s = divide(by_i.quotient, e.s), by_r = divide(by_s.quotient, e.r);
    const int64_t o = by_r.quotient, channel = o / e.og * e.ig + by_i.remainder;
    Arithmetic<T> total = 0;
    for (int64_t n = 0; n < e.n; ++n)
      for (int64_t p = 0; p < e.p; ++p) {
        const int64_t row = p * e.stride - e.padding + by_r.remainder * e.dilation;
        if (row < 0 || row >= e.h) continue;
        for (int64_t q = 0; q < e.q; ++q) {
          const int64_t column = q * e.stride - e.padding + by_s.remainder * e.dilation;
          if (column < 0 || column >= e.w) continue;
          total += Arithmetic<T>(g[((n * e.p + p) * e.q + q) * e.o + o]) *
                   Arithmetic<T>(x[((n * e.h + row) * e.w + column) * e.i + channel]);
        }
      }
    gw[at] = total;
  }
};

template <class Run>
void plain_conv2d(Run run, const Tensor& x, const Tensor& w, const Conv2dSpec& spec, Tensor& y) {
  visit_activation(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    run.each(y.numel(), PlainConv2d<T>{ConvExtents(x.shape(), w.shape(), y.shape(), spec), pointer<T>(x),
                                       pointer<Arithmetic<T>>(w), pointer<T>(y)});
  });
}

/// y = x + bias (+ residual), ReLU. y may be x or the residual: an element is read before it is written.
template <class Run>
void add_bias(Run run, const Tensor& x, const Tensor& bias, const Tensor& residual, bool with_relu, Tensor& y) {
  scale_shift(run, x, Tensor::full(bias.shape(), 1, bias.dtype(), run.device()), bias, residual, with_relu, y);
}

template <class Run>
void plain_conv2d_bias(Run run, const Tensor& x, const Tensor& w, const Conv2dSpec& spec, const Tensor& bias,
                       const Tensor& residual, bool with_relu, Tensor& y) {
  Tensor product = Tensor::empty(y.shape(), y.dtype(), run.device());
  plain_conv2d(run, x, w, spec, product);
  add_bias(run, product, bias, residual, with_relu, y);
}

template <class Run>
void plain_conv2d_input_grad(Run run, const Tensor& g, const Tensor& w, const Conv2dSpec& spec, Tensor& gx) {
  visit_activation(g.dtype(), [&](auto zero) {
    using T = decltype(zero);
    run.each(gx.numel(), PlainConv2dInputGrad<T>{ConvExtents(gx.shape(), w.shape(), g.shape(), spec), pointer<T>(g),
                                                 pointer<Arithmetic<T>>(w), pointer<T>(gx)});
  });
}

template <class Run>
void plain_conv2d_weight_grad(Run run, const Tensor& x, const Tensor& g, const Conv2dSpec& spec, Tensor& gw) {
  visit_activation(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    run.each(gw.numel(), PlainConv2dWeightGrad<T>{ConvExtents(x.shape(), gw.shape(), g.shape(), spec), pointer<T>(x),
                                                  pointer<T>(g), pointer<Arithmetic<T>>(gw)});
  });
}

// A 1x1 convolution of stride 1 is a matrix product of pixels and weights; `matmul` is a kernel of that name.

/// [.., C] as a matrix [pixels, C], a weight [O, 1, 1, I] as [O, I].
inline Tensor as_matrix(const Tensor& t) {
  const int64_t columns = t.dim(3);
  return GraphAccess::alias(t, {t.numel() / columns, columns});
}
template <class Matmul>
void product_conv2d(Matmul matmul, const Tensor& x, const Tensor& w, Tensor& y) {
  Tensor result = as_matrix(y);
  matmul(as_matrix(x), as_matrix(w), false, true, result);
}
template <class Matmul>
void product_conv2d_input_grad(Matmul matmul, const Tensor& g, const Tensor& w, Tensor& gx) {
  Tensor result = as_matrix(gx);
  matmul(as_matrix(g), as_matrix(w), false, false, result);
}
template <class Matmul>
void product_conv2d_weight_grad(Matmul matmul, const Tensor& x, const Tensor& g, Tensor& gw) {
  Tensor result = as_matrix(gw);
  matmul(as_matrix(g), as_matrix(x), true, false, result);
}

}  // namespace boxcam::cuda
