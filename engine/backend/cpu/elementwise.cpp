#include <cmath>
#include <limits>
#include <vector>

#include "engine/backend/cpu/row_writer.h"
#include "engine/backend/cpu/table.h"
#include "engine/base/parallel.h"
#include "engine/dtype.h"

namespace boxcam::cpu {

namespace {

template <class T, class F>
void map(const Tensor& x, Tensor& y, F f) {
  const T* in = x.data<T>();
  T* out = y.data<T>();
  parallel_for(x.numel(), kGrain, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) out[i] = f(Arithmetic<T>(in[i]));
  });
}

template <class A>
A rectified(A v, A lowest) {
  return v < lowest ? lowest : v;  // keeps NaN
}

/// A binary op's iteration space: neighbouring axes that step alike are merged; strides are in elements, 0 = broadcast.
struct Space {
  std::vector<int64_t> extent, stride_a, stride_b;
};

Space broadcast_space(const Shape& a, const Shape& b, const Shape& y) {
  Space s;
  int64_t step_a = 1, step_b = 1;
  for (int i = 1; i <= y.ndim(); ++i) {  // from the innermost axis outwards
    const int64_t n = y[-i], na = i <= a.ndim() ? a[-i] : 1, nb = i <= b.ndim() ? b[-i] : 1;
    const int64_t sa = na == 1 ? 0 : step_a, sb = nb == 1 ? 0 : step_b;
    step_a *= na;
    step_b *= nb;
    if (n == 1) continue;
    if (!s.extent.empty()) {
      const int64_t inner = s.extent.back();
      const bool same_a = sa == (s.stride_a.back() == 0 ? 0 : s.stride_a.back() * inner);
      const bool same_b = sb == (s.stride_b.back() == 0 ? 0 : s.stride_b.back() * inner);
      if (same_a && same_b && (sa == 0) == (s.stride_a.back() == 0) && (sb == 0) == (s.stride_b.back() == 0)) {
        s.extent.back() *= n;
        continue;
      }
    }
    s.extent.push_back(n);
    s.stride_a.push_back(sa);
    s.stride_b.push_back(sb);
  }
  if (s.extent.empty()) s = {{1}, {0}, {0}};
  return s;
}

template <class T, class F>
void broadcast(const Tensor& a, const Tensor& b, Tensor& y, F f) {
  const T *pa = a.data<T>(), *pb = b.data<T>();
  T* py = y.data<T>();
  const Space s = broadcast_space(a.shape(), b.shape(), y.shape());
  const int64_t inner = s.extent[0], sa = s.stride_a[0], sb = s.stride_b[0];
  // One row of the innermost axis, from element `from`.
  using A = Arithmetic<T>;
  const auto row = [&](const T* ra, const T* rb, T* ry, int64_t count) {
    if (sa == 1 && sb == 1)
      for (int64_t i = 0; i < count; ++i) ry[i] = f(A(ra[i]), A(rb[i]));
    else if (sa == 1)
      for (int64_t i = 0; i < count; ++i) ry[i] = f(A(ra[i]), A(rb[0]));
    else if (sb == 1)
      for (int64_t i = 0; i < count; ++i) ry[i] = f(A(ra[0]), A(rb[i]));
    else
      for (int64_t i = 0; i < count; ++i) ry[i] = f(A(ra[0]), A(rb[0]));
  };
  const int64_t rows = inner ? y.numel() / inner : 0;
  if (rows == 1) {
    parallel_for(inner, kGrain,
                 [&](int64_t begin, int64_t end) { row(pa + begin * sa, pb + begin * sb, py + begin, end - begin); });
    return;
  }
  parallel_for(rows, std::max<int64_t>(1, kGrain / std::max<int64_t>(inner, 1)), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      int64_t rest = r, oa = 0, ob = 0;
      for (size_t d = 1; d < s.extent.size(); ++d) {
        const int64_t at = rest % s.extent[d];
        rest /= s.extent[d];
        oa += at * s.stride_a[d];
        ob += at * s.stride_b[d];
      }
      row(pa + oa, pb + ob, py + r * inner, inner);
    }
  });
}

}  // namespace

void unary(UnaryOp op, const Tensor& x, Tensor& y) {
  visit_activation(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    using A = Arithmetic<T>;
    switch (op) {
      case UnaryOp::exp: return map<T>(x, y, [](A v) { return std::exp(v); });
      case UnaryOp::log: return map<T>(x, y, [](A v) { return std::log(v); });
      case UnaryOp::sqrt: return map<T>(x, y, [](A v) { return std::sqrt(v); });
      case UnaryOp::abs: return map<T>(x, y, [](A v) { return std::abs(v); });
      case UnaryOp::relu: return map<T>(x, y, [](A v) { return v < A(0) ? A(0) : v; });  // keeps NaN
    }
  });
}

void binary(BinaryOp op, const Tensor& a, const Tensor& b, Tensor& y) {
  visit_activation(y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    using A = Arithmetic<T>;
    switch (op) {
      case BinaryOp::add: return broadcast<T>(a, b, y, [](A p, A q) { return p + q; });
      case BinaryOp::sub: return broadcast<T>(a, b, y, [](A p, A q) { return p - q; });
      case BinaryOp::mul: return broadcast<T>(a, b, y, [](A p, A q) { return p * q; });
      case BinaryOp::div: return broadcast<T>(a, b, y, [](A p, A q) { return p / q; });
      case BinaryOp::greater: return broadcast<T>(a, b, y, [](A p, A q) { return p > q ? A(1) : A(0); });
      case BinaryOp::relu_grad: return broadcast<T>(a, b, y, [](A g, A v) { return v > A(0) ? g : A(0); });
    }
  });
}

void cast(const Tensor& x, Tensor& y) {
  visit_dtype(x.dtype(), [&](auto from) {
    visit_dtype(y.dtype(), [&](auto to) {
      using To = decltype(to);
      const auto* in = x.data<decltype(from)>();
      To* out = y.data<To>();
      parallel_for(x.numel(), kGrain, [=](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) out[i] = static_cast<To>(in[i]);
      });
    });
  });
}

void affine(const Tensor& x, double scale, double shift, Tensor& y) {
  visit_activation(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    using A = Arithmetic<T>;
    map<T>(x, y, [s = static_cast<A>(scale), t = static_cast<A>(shift)](A v) { return s * v + t; });
  });
}

void scale_shift(const Tensor& x, const Tensor& scale, const Tensor& shift, const Tensor& residual, bool with_relu,
                 Tensor& y) {
  visit_activation(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    using A = Arithmetic<T>;
    const int64_t channels = x.dim(-1), rows = x.numel() / channels;
    const T *in = x.data<T>(), *res = residual.defined() ? residual.data<T>() : nullptr;
    const A *s = scale.data<A>(), *t = shift.data<A>();
    const A lowest = with_relu ? A(0) : -std::numeric_limits<A>::infinity();
    T* out = y.data<T>();
    parallel_for(rows, std::max<int64_t>(1, kGrain / channels), [=, &y](int64_t begin, int64_t end) {
      RowWriter<T> writer(y.bytes(), channels);
      for (int64_t r = begin; r < end; ++r) {
        for_each_chunk(channels, [&](int64_t first, int64_t count) {
          const int64_t at = r * channels + first;
          const T *px = in + at, *pr = res + at;
          const A *ps = s + first, *pt = t + first;
          writer.write(out + at, count, [=](T* __restrict v) {
            if (res)
              for (int64_t c = 0; c < count; ++c) v[c] = rectified(A(px[c]) * ps[c] + pt[c] + A(pr[c]), lowest);
            else
              for (int64_t c = 0; c < count; ++c) v[c] = rectified(A(px[c]) * ps[c] + pt[c], lowest);
          });
        });
      }
    });
  });
}

}  // namespace boxcam::cpu
