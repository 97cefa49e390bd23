// Bodies of shape.cu.
#pragma once

#include "engine/backend/cuda/host_device.h"
#include "engine/backend/kernels.h"
#include "engine/dtype.h"

namespace boxcam::cuda {

BOXCAM_HD inline bool in_range(int32_t index, int64_t size, IndexReport* report) {
  if (index >= 0 && index < size) return true;
  report_index(report, index, size);
  return false;
}

template <class T>
struct TakeAt {
  int64_t size, count;
  const T* x;
  const int32_t* index;
  T* y;
  IndexReport* report;
  BOXCAM_HD void operator()(int64_t i) const {
    y[i] = in_range(index[i], size, report) ? x[divide(i, count).quotient * size + index[i]] : T(0);
  }
};

/// put_at without an order of threads to rely on: first every value is hung into the list of its target (the order
/// within a list depends on who came first), then each target takes its list's values in order of k. `head` [N, size]
/// is -1 where a list is empty, `next` [N, count] leads on.
struct HangIntoLists {
  int64_t size, count;
  const int32_t* index;
  int32_t *head, *next;
  IndexReport* report;
  BOXCAM_HD void operator()(int64_t i) const {
    const Quotient at = divide(i, count);
    if (in_range(index[i], size, report))
      next[i] = exchange(head + at.quotient * size + index[i], static_cast<int32_t>(at.remainder));
  }
};
template <class T>
struct AddUpLists {
  int64_t size, count;
  const T* g;
  const int32_t *head, *next;
  T* y;
  BOXCAM_HD void operator()(int64_t i) const {
    const int64_t n = divide(i, size).quotient;
    const T* values = g + n * count;
    const int32_t* links = next + n * count;
    Arithmetic<T> total = 0;
    // A list is short (a pooling window's overlaps): look for the smallest k beyond the last one, again and again.
    for (int32_t last = -1;;) {
      int32_t k = -1;
      for (int32_t at = head[i]; at >= 0; at = links[at])
        if (at > last && (k < 0 || at < k)) k = at;
      if (k < 0) break;
      total += Arithmetic<T>(values[k]);
      last = k;
    }
    y[i] = total;
  }
};

template <class T>
struct CopyRange {
  int64_t x_begin, y_begin, x_length, y_length, count, inner;
  const T* x;
  T* y;
  BOXCAM_HD void operator()(int64_t i) const {
    const Quotient by_inner = divide(i, inner), by_row = divide(by_inner.quotient, y_length);
    const int64_t row = by_row.remainder - y_begin;
    y[i] =
        row >= 0 && row < count ? x[(by_row.quotient * x_length + x_begin + row) * inner + by_inner.remainder] : T(0);
  }
};

template <class Run>
void take_at(Run run, const Tensor& x, const Tensor& index, Tensor& y) {
  visit_activation(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    run.each(y.numel(), TakeAt<T>{x.dim(1), index.dim(1), pointer<T>(x), pointer<int32_t>(index), pointer<T>(y),
                                  run.index_report()});
  });
}

template <class Run>
void put_at(Run run, const Tensor& g, const Tensor& index, Tensor& y) {
  const int64_t size = y.dim(1), count = index.dim(1);
  Tensor head = Tensor::full(y.shape(), -1, DType::i32, run.device());
  Tensor next = Tensor::empty(index.shape(), DType::i32, run.device());
  run.each(index.numel(), HangIntoLists{size, count, pointer<int32_t>(index), pointer<int32_t>(head),
                                        pointer<int32_t>(next), run.index_report()});
  visit_activation(g.dtype(), [&](auto zero) {
    using T = decltype(zero);
    run.each(y.numel(),
             AddUpLists<T>{size, count, pointer<T>(g), pointer<int32_t>(head), pointer<int32_t>(next), pointer<T>(y)});
  });
}

template <class Run>
void copy_range(Run run, const Tensor& x, int64_t x_begin, Tensor& y, int64_t y_begin, int64_t outer, int64_t x_length,
                int64_t y_length, int64_t count, int64_t inner) {
  visit_floating(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    run.each(outer * y_length * inner,
             CopyRange<T>{x_begin, y_begin, x_length, y_length, count, inner, pointer<T>(x), pointer<T>(y)});
  });
}

}  // namespace boxcam::cuda
