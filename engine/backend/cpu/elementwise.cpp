#include <cmath>
#include <vector>

#include "engine/backend/cpu/parallel.h"
#include "engine/backend/cpu/table.h"
#include "engine/graph_access.h"

namespace boxcam::cpu {

namespace {

template <class T, class F>
void map(const Tensor& x, Tensor& y, F f) {
  const T* in = x.data<T>();
  T* out = y.data<T>();
  parallel_for(x.numel(), kGrain, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) out[i] = f(in[i]);
  });
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
  const auto row = [&](const T* ra, const T* rb, T* ry, int64_t count) {
    if (sa == 1 && sb == 1)
      for (int64_t i = 0; i < count; ++i) ry[i] = f(ra[i], rb[i]);
    else if (sa == 1)
      for (int64_t i = 0; i < count; ++i) ry[i] = f(ra[i], rb[0]);
    else if (sb == 1)
      for (int64_t i = 0; i < count; ++i) ry[i] = f(ra[0], rb[i]);
    else
      for (int64_t i = 0; i < count; ++i) ry[i] = f(ra[0], rb[0]);
  };
  const int64_t rows = inner ? y.numel() / inner : 0;
  if (rows == 1) {
    parallel_for(inner, kGrain, [&](int64_t begin, int64_t end) {
      row(pa + begin * sa, pb + begin * sb, py + begin, end - begin);
    });
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
  visit_floating(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    switch (op) {
      case UnaryOp::exp: return map<T>(x, y, [](T v) { return std::exp(v); });
      case UnaryOp::log: return map<T>(x, y, [](T v) { return std::log(v); });
      case UnaryOp::sqrt: return map<T>(x, y, [](T v) { return std::sqrt(v); });
      case UnaryOp::abs: return map<T>(x, y, [](T v) { return std::abs(v); });
      case UnaryOp::relu: return map<T>(x, y, [](T v) { return v < T(0) ? T(0) : v; });  // keeps NaN
    }
  });
}

void binary(BinaryOp op, const Tensor& a, const Tensor& b, Tensor& y) {
  visit_floating(y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    switch (op) {
      case BinaryOp::add: return broadcast<T>(a, b, y, [](T p, T q) { return p + q; });
      case BinaryOp::sub: return broadcast<T>(a, b, y, [](T p, T q) { return p - q; });
      case BinaryOp::mul: return broadcast<T>(a, b, y, [](T p, T q) { return p * q; });
      case BinaryOp::div: return broadcast<T>(a, b, y, [](T p, T q) { return p / q; });
      case BinaryOp::greater: return broadcast<T>(a, b, y, [](T p, T q) { return p > q ? T(1) : T(0); });
      case BinaryOp::relu_grad: return broadcast<T>(a, b, y, [](T g, T v) { return v > T(0) ? g : T(0); });
    }
  });
}

void affine(const Tensor& x, double scale, double shift, Tensor& y) {
  visit_floating(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    map<T>(x, y, [s = static_cast<T>(scale), t = static_cast<T>(shift)](T v) { return s * v + t; });
  });
}

void scale_shift(const Tensor& x, const Tensor& scale, const Tensor& shift, const Tensor& residual, bool with_relu,
                 Tensor& y) {
  visit_floating(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const int64_t channels = x.dim(-1), rows = x.numel() / channels;
    const T *in = x.data<T>(), *s = scale.data<T>(), *t = shift.data<T>();
    const T* res = residual.defined() ? residual.data<T>() : nullptr;
    T* out = y.data<T>();
    parallel_for(rows, std::max<int64_t>(1, kGrain / channels), [=](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        const T* px = in + r * channels;
        T* py = out + r * channels;
        if (res)
          for (int64_t c = 0; c < channels; ++c) py[c] = px[c] * s[c] + t[c] + res[r * channels + c];
        else
          for (int64_t c = 0; c < channels; ++c) py[c] = px[c] * s[c] + t[c];
        if (with_relu)
          for (int64_t c = 0; c < channels; ++c) py[c] = py[c] < T(0) ? T(0) : py[c];
      }
    });
  });
}

}  // namespace boxcam::cpu
