// Bodies of softmax.cu: one thread for each row, which has few classes.
#pragma once

#include <cmath>

#include "engine/backend/cuda/shape.h"

namespace boxcam::cuda {

template <class T>
struct Softmax {
  T highest, sum;  ///< of exp(x - highest)
  BOXCAM_HD Softmax(const T* x, int64_t classes) : highest(x[0]) {
    for (int64_t k = 1; k < classes; ++k) highest = greatest(highest, x[k]);
    double total = 0;
    for (int64_t k = 0; k < classes; ++k) total += std::exp(x[k] - highest);
    sum = static_cast<T>(total);
  }
};

template <class T>
struct CrossEntropies {
  int64_t classes;
  const T* logits;
  const int32_t* labels;
  T* losses;
  IndexReport* report;
  BOXCAM_HD void operator()(int64_t n) const {
    const T* x = logits + n * classes;
    const Softmax<T> s(x, classes);
    losses[n] = in_range(labels[n], classes, report) ? std::log(s.sum) - (x[labels[n]] - s.highest) : T(0);
  }
};

template <class T>
struct CrossEntropiesGrad {
  int64_t classes;
  const T *g, *logits;
  const int32_t* labels;
  T* g_logits;
  IndexReport* report;
  BOXCAM_HD void operator()(int64_t n) const {
    const T* x = logits + n * classes;
    T* out = g_logits + n * classes;
    const Softmax<T> s(x, classes);
    const T factor = g[n] / s.sum;
    for (int64_t k = 0; k < classes; ++k) out[k] = factor * std::exp(x[k] - s.highest);
    if (in_range(labels[n], classes, report)) out[labels[n]] -= g[n];
  }
};

template <class Run>
void cross_entropies(Run run, const Tensor& logits, const Tensor& labels, Tensor& losses) {
  visit_floating(logits.dtype(), [&](auto zero) {
    using T = decltype(zero);
    run.each(logits.dim(0), CrossEntropies<T>{logits.dim(1), pointer<T>(logits), pointer<int32_t>(labels),
                                              pointer<T>(losses), run.index_report()});
  });
}

template <class Run>
void cross_entropies_grad(Run run, const Tensor& g, const Tensor& logits, const Tensor& labels, Tensor& g_logits) {
  visit_floating(logits.dtype(), [&](auto zero) {
    using T = decltype(zero);
    run.each(logits.dim(0), CrossEntropiesGrad<T>{logits.dim(1), pointer<T>(g), pointer<T>(logits),
                                                  pointer<int32_t>(labels), pointer<T>(g_logits), run.index_report()});
  });
}

}  // namespace boxcam::cuda
