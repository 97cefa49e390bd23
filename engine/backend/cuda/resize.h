// Bodies of resize.cu.
#pragma once

#include "engine/backend/cuda/host_device.h"
#include "engine/backend/kernels.h"
#include "engine/dtype.h"

namespace boxcam::cuda {

/// Where an output position of one axis reads: source cells `low` and `high` with weights 1 - t and t.
template <class T>
struct Tap {
  int32_t low, high;
  T t;
};

template <class T>
struct Axis {
  int64_t from, to;
  T scale;
  Axis(int64_t from_cells, int64_t to_outputs)
      : from(from_cells), to(to_outputs), scale(static_cast<T>(from) / static_cast<T>(to)) {}
  BOXCAM_HD Tap<T> tap(int32_t i) const {
    const T position = greatest(scale * (static_cast<T>(i) + T(0.5)) - T(0.5), T(0));
    const int32_t last = static_cast<int32_t>(from) - 1, low = least(static_cast<int32_t>(position), last);
    return {low, least(low + 1, last), position - static_cast<T>(low)};
  }
  /// Every output that reads source cell s lies in [first(s), last(s)]; one more on each side allows for rounding.
  BOXCAM_HD int64_t first(int64_t s) const {
    if (s == 0) return 0;
    const T at = (static_cast<T>(s) - T(0.5)) * static_cast<T>(to) / static_cast<T>(from) - T(0.5);
    return greatest<int64_t>(static_cast<int64_t>(greatest(at, T(0))) - 1, 0);
  }
  BOXCAM_HD int64_t last(int64_t s) const {
    if (s == from - 1) return to - 1;
    const T at = (static_cast<T>(s) + T(1.5)) * static_cast<T>(to) / static_cast<T>(from) - T(0.5);
    return least<int64_t>(static_cast<int64_t>(greatest(at, T(0))) + 2, to - 1);
  }
  /// How much of source cell s output i reads.
  BOXCAM_HD T weight(int64_t s, int64_t i) const {
    const Tap<T> at = tap(static_cast<int32_t>(i));
    return (at.low == s ? 1 - at.t : T(0)) + (at.high == s ? at.t : T(0));
  }
};

template <class T>
struct BilinearResize {
  Axis<T> vertical, horizontal;
  const T* x;
  T* y;
  BOXCAM_HD void operator()(int64_t i) const {
    const Quotient by_column = divide(i, horizontal.to), by_row = divide(by_column.quotient, vertical.to);
    const Tap<T> v = vertical.tap(static_cast<int32_t>(by_row.remainder)),
                 u = horizontal.tap(static_cast<int32_t>(by_column.remainder));
    const T* map = x + by_row.quotient * vertical.from * horizontal.from;
    const T *low = map + v.low * horizontal.from, *high = map + v.high * horizontal.from;
    y[i] =
        (1 - v.t) * ((1 - u.t) * low[u.low] + u.t * low[u.high]) + v.t * ((1 - u.t) * high[u.low] + u.t * high[u.high]);
  }
};

/// The adjoint along one axis, the middle one of [outer, to, inner] -> [outer, from, inner]: each source cell collects
/// from the outputs that read it.
template <class T>
struct CollectAxis {
  Axis<T> axis;
  int64_t inner;
  const T* g;
  T* gx;
  BOXCAM_HD void operator()(int64_t i) const {
    const Quotient by_inner = divide(i, inner), by_cell = divide(by_inner.quotient, axis.from);
    const int64_t cell = by_cell.remainder;
    T total = 0;
    for (int64_t k = axis.first(cell); k <= axis.last(cell); ++k)
      total += axis.weight(cell, k) * g[(by_cell.quotient * axis.to + k) * inner + by_inner.remainder];
    gx[i] = total;
  }
};

template <class Run>
void bilinear_resize(Run run, const Tensor& x, Tensor& y) {
  visit_floating(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    run.each(y.numel(), BilinearResize<T>{{x.dim(1), y.dim(1)}, {x.dim(2), y.dim(2)}, pointer<T>(x), pointer<T>(y)});
  });
}

template <class Run>
void bilinear_resize_adjoint(Run run, const Tensor& g, Tensor& gx) {
  const int64_t n = g.dim(0), h = gx.dim(1), w = gx.dim(2), rows = g.dim(1), columns = g.dim(2);
  Tensor narrow = Tensor::empty({n, rows, w}, g.dtype(), run.device());  // first along the rows, then along the columns
  visit_floating(g.dtype(), [&](auto zero) {
    using T = decltype(zero);
    run.each(n * rows * w, CollectAxis<T>{{w, columns}, 1, pointer<T>(g), pointer<T>(narrow)});
    run.each(n * h * w, CollectAxis<T>{{h, rows}, w, pointer<T>(narrow), pointer<T>(gx)});
  });
}

/// Which inputs an output of one axis reads, and how much of each: where output o, [o in, (o + 1) in), meets input k,
/// [k out, (k + 1) out).
template <class T>
struct AreaAxis {
  int64_t out, in, whole;
  BOXCAM_HD int64_t begin(int64_t o) const { return o * in / out; }
  BOXCAM_HD int64_t end(int64_t o) const { return ((o + 1) * in + out - 1) / out; }
  BOXCAM_HD T weight(int64_t o, int64_t k) const {
    const int64_t overlap = least((k + 1) * out, (o + 1) * in) - greatest(k * out, o * in);
    return static_cast<T>(overlap) / static_cast<T>(whole);
  }
};

template <class T>
struct Area {
  AreaAxis<T> vertical, horizontal;
  const T* x;
  T* y;
  BOXCAM_HD void operator()(int64_t at) const {
    const Quotient by_column = divide(at, horizontal.out), by_row = divide(by_column.quotient, vertical.out);
    const int64_t j = by_column.remainder, i = by_row.remainder;
    T total = 0;
    for (int64_t p = vertical.begin(i); p < vertical.end(i); ++p) {
      T row = 0;
      for (int64_t q = horizontal.begin(j); q < horizontal.end(j); ++q)
        row += horizontal.weight(j, q) * x[(by_row.quotient * vertical.in + p) * horizontal.in + q];
      total += vertical.weight(i, p) * row;
    }
    y[at] = total;
  }
};

template <class Run>
void area_resize(Run run, const Tensor& x, Tensor& y) {
  visit_floating(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    run.each(y.numel(),
             Area<T>{{y.dim(1), x.dim(1), x.dim(1)}, {y.dim(2), x.dim(2), x.dim(2)}, pointer<T>(x), pointer<T>(y)});
  });
}

template <class Run>
void area_resize_adjoint(Run run, const Tensor& g, Tensor& gx) {
  visit_floating(g.dtype(), [&](auto zero) {
    using T = decltype(zero);
    run.each(
        gx.numel(),
        Area<T>{{gx.dim(1), g.dim(1), gx.dim(1)}, {gx.dim(2), g.dim(2), gx.dim(2)}, pointer<T>(g), pointer<T>(gx)});
  });
}

}  // namespace boxcam::cuda
