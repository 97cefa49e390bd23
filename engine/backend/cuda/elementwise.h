// Bodies of elementwise.cu.
#pragma once

#include <cmath>

#include "engine/backend/cuda/host_device.h"
#include "engine/backend/kernels.h"
#include "engine/dtype.h"

namespace boxcam::cuda {

template <class T>
BOXCAM_HD T apply(UnaryOp op, T v) {
  switch (op) {
    case UnaryOp::exp: return std::exp(v);
    case UnaryOp::log: return std::log(v);
    case UnaryOp::sqrt: return std::sqrt(v);
    case UnaryOp::abs: return std::abs(v);
    case UnaryOp::relu: break;
  }
  return v < T(0) ? T(0) : v;  // keeps NaN
}

template <class T>
BOXCAM_HD T apply(BinaryOp op, T p, T q) {
  switch (op) {
    case BinaryOp::add: return p + q;
    case BinaryOp::sub: return p - q;
    case BinaryOp::mul: return p * q;
    case BinaryOp::div: return p / q;
    case BinaryOp::greater: return p > q ? T(1) : T(0);
    case BinaryOp::relu_grad: break;
  }
  return q > T(0) ? p : T(0);
}

template <class T>
struct Unary {
  UnaryOp op;
  const T* x;
  T* y;
  BOXCAM_HD void operator()(int64_t i) const { y[i] = apply(op, Arithmetic<T>(x[i])); }
};

/// Which elements of a and b make element i of y: neighbouring axes that step alike are merged. Innermost axis first;
/// strides are in elements, 0 where an input is broadcast.
struct BroadcastSpace {
  static constexpr int kMaxAxes = 6;
  int axes = 0;
  int64_t extent[kMaxAxes], stride_a[kMaxAxes], stride_b[kMaxAxes];

  BroadcastSpace(const Shape& a, const Shape& b, const Shape& y) {
    int64_t step_a = 1, step_b = 1;
    for (int i = 1; i <= y.ndim(); ++i) {
      const int64_t n = y[-i], na = i <= a.ndim() ? a[-i] : 1, nb = i <= b.ndim() ? b[-i] : 1;
      const int64_t sa = na == 1 ? 0 : step_a, sb = nb == 1 ? 0 : step_b;
      step_a *= na;
      step_b *= nb;
      if (n == 1) continue;
      const int last = axes - 1;
      if (axes > 0 && continues(stride_a[last], extent[last], sa) && continues(stride_b[last], extent[last], sb)) {
        extent[last] *= n;
        continue;
      }
      check(axes < kMaxAxes, "the device cuda broadcasts over at most ", kMaxAxes, " groups of axes, found more in ", a,
            " and ", b);
      extent[axes] = n;
      stride_a[axes] = sa;
      stride_b[axes++] = sb;
    }
  }

 private:
  static bool continues(int64_t stride, int64_t extent, int64_t next) {
    return next == stride * extent && (next == 0) == (stride == 0);
  }
};

template <class T>
struct Binary {
  BinaryOp op;
  BroadcastSpace space;
  const T *a, *b;
  T* y;
  BOXCAM_HD void operator()(int64_t i) const {
    int64_t rest = i, at_a = 0, at_b = 0;
    for (int d = 0; d < space.axes; ++d) {
      // The outermost axis takes what is left: no division where there is one axis only, the usual case.
      const Quotient q = d + 1 < space.axes ? divide(rest, space.extent[d]) : Quotient{0, rest};
      rest = q.quotient;
      at_a += q.remainder * space.stride_a[d];
      at_b += q.remainder * space.stride_b[d];
    }
    y[i] = apply(op, Arithmetic<T>(a[at_a]), Arithmetic<T>(b[at_b]));
  }
};

template <class T>
struct Affine {
  using A = Arithmetic<T>;
  A scale, shift;
  const T* x;
  T* y;
  BOXCAM_HD void operator()(int64_t i) const { y[i] = scale * A(x[i]) + shift; }
};

/// y = x scale + shift (+ residual), then ReLU if asked, where channel c of [.., C] has scale[c] and shift[c].
template <class T, int V>
struct ScaleShift {
  using A = Arithmetic<T>;
  int64_t channels;
  bool with_relu;
  const T *x, *residual;
  const A *scale, *shift;
  T* y;
  BOXCAM_HD void operator()(int64_t pack) const {
    const int64_t i = pack * V, c = divide(i, channels).remainder;
    const Pack<T, V> in = load<V>(x + i), more = load<V>(residual ? residual + i : x + i);
    const Pack<A, V> by = load<V>(scale + c), plus = load<V>(shift + c);
    Pack<T, V> out;
    for (int v = 0; v < V; ++v) {
      A value = A(in.at[v]) * by.at[v] + plus.at[v];
      if (residual) value += A(more.at[v]);
      out.at[v] = with_relu && value < A(0) ? A(0) : value;
    }
    store<V>(y + i, out);
  }
};

template <class T>
struct Fill {
  T value;
  T* y;
  BOXCAM_HD void operator()(int64_t i) const { y[i] = value; }
};

template <class From, class To>
struct Convert {
  const From* x;
  To* y;
  BOXCAM_HD void operator()(int64_t i) const { y[i] = static_cast<To>(x[i]); }
};

template <class Run>
void unary(Run run, UnaryOp op, const Tensor& x, Tensor& y) {
  visit_activation(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    run.each(y.numel(), Unary<T>{op, pointer<T>(x), pointer<T>(y)});
  });
}

template <class Run>
void binary(Run run, BinaryOp op, const Tensor& a, const Tensor& b, Tensor& y) {
  visit_activation(y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    run.each(y.numel(), Binary<T>{op, BroadcastSpace(a.shape(), b.shape(), y.shape()), pointer<T>(a), pointer<T>(b),
                                  pointer<T>(y)});
  });
}

template <class Run>
void affine(Run run, const Tensor& x, double scale, double shift, Tensor& y) {
  visit_activation(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    using A = Arithmetic<T>;
    run.each(y.numel(), Affine<T>{static_cast<A>(scale), static_cast<A>(shift), pointer<T>(x), pointer<T>(y)});
  });
}

template <class Run>
void scale_shift(Run run, const Tensor& x, const Tensor& scale, const Tensor& shift, const Tensor& residual,
                 bool with_relu, Tensor& y) {
  visit_activation(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    using A = Arithmetic<T>;
    const int64_t channels = x.dim(-1);
    with_pack<T>(channels, {&x, &residual, &scale, &shift, &y}, [&](auto wide) {
      run.each(y.numel() / wide, ScaleShift<T, wide>{channels, with_relu, pointer<T>(x), pointer<T>(residual),
                                                     pointer<A>(scale), pointer<A>(shift), pointer<T>(y)});
    });
  });
}

template <class Run>
void fill(Run run, Tensor& y, double value) {
  visit_dtype(y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    run.each(y.numel(), Fill<T>{static_cast<T>(value), pointer<T>(y)});
  });
}

template <class Run>
void cast(Run run, const Tensor& x, Tensor& y) {
  visit_dtype(x.dtype(), [&](auto from) {
    visit_dtype(y.dtype(), [&](auto to) {
      using From = decltype(from);
      using To = decltype(to);
      run.each(y.numel(), Convert<From, To>{pointer<From>(x), pointer<To>(y)});
    });
  });
}

}  // namespace boxcam::cuda
