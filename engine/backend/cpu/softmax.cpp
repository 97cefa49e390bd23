#include <algorithm>
#include <cmath>

#include "engine/backend/cpu/table.h"
#include "engine/base/parallel.h"
#include "engine/dtype.h"

namespace boxcam::cpu {

namespace {

template <class T>
struct Softmax {
  T highest, sum;  ///< of exp(x - highest)
  Softmax(const T* x, int64_t classes) : highest(x[0]) {
    for (int64_t k = 1; k < classes; ++k) highest = std::max(highest, x[k]);
    double total = 0;
    for (int64_t k = 0; k < classes; ++k) total += std::exp(x[k] - highest);
    sum = static_cast<T>(total);
  }
};

int64_t row_grain(int64_t classes) { return std::max<int64_t>(1, kGrain / 16 / std::max<int64_t>(classes, 1)); }

}  // namespace

void cross_entropies(const Tensor& logits, const Tensor& labels, Tensor& losses) {
  visit_floating(logits.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const int64_t classes = logits.dim(1);
    parallel_for(logits.dim(0), row_grain(classes), [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) {
        const T* x = logits.data<T>() + n * classes;
        const Softmax<T> s(x, classes);
        losses.data<T>()[n] = std::log(s.sum) - (x[labels.data<int32_t>()[n]] - s.highest);
      }
    });
  });
}

void cross_entropies_grad(const Tensor& g, const Tensor& logits, const Tensor& labels, Tensor& g_logits) {
  visit_floating(logits.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const int64_t classes = logits.dim(1);
    parallel_for(logits.dim(0), row_grain(classes), [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) {
        const T *x = logits.data<T>() + n * classes, scale = g.data<T>()[n];
        T* out = g_logits.data<T>() + n * classes;
        const Softmax<T> s(x, classes);
        const T factor = scale / s.sum;
        for (int64_t k = 0; k < classes; ++k) out[k] = factor * std::exp(x[k] - s.highest);
        out[labels.data<int32_t>()[n]] -= scale;
      }
    });
  });
}

}  // namespace boxcam::cpu
