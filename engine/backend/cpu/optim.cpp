#include <cmath>

#include "engine/backend/cpu/parallel.h"
#include "engine/backend/cpu/table.h"
#include "engine/graph_access.h"

namespace boxcam::cpu {

void sgd_step(Tensor& parameter, const Tensor& gradient, Tensor& momentum_buffer, const SgdStep& s) {
  visit_floating(parameter.dtype(), [&](auto zero) {
    using T = decltype(zero);
    T *p = parameter.data<T>(), *m = momentum_buffer.data<T>();
    const T* g = gradient.data<T>();
    const T lr = T(s.lr), momentum = T(s.momentum), decay = T(s.weight_decay);
    parallel_for(parameter.numel(), kGrain, [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const T d = g[i] + decay * p[i];
        m[i] = s.first ? d : momentum * m[i] + d;
        p[i] -= lr * (s.nesterov ? d + momentum * m[i] : m[i]);
      }
    });
  });
}

void adamw_step(Tensor& parameter, const Tensor& gradient, Tensor& first_moment, Tensor& second_moment,
                const AdamwStep& s) {
  visit_floating(parameter.dtype(), [&](auto zero) {
    using T = decltype(zero);
    T *p = parameter.data<T>(), *m = first_moment.data<T>(), *v = second_moment.data<T>();
    const T* g = gradient.data<T>();
    const T b1 = T(s.beta1), b2 = T(s.beta2), eps = T(s.eps), keep = T(1 - s.lr * s.weight_decay);
    const T size = T(s.lr / (1 - std::pow(s.beta1, static_cast<double>(s.step))));
    const T root = T(1 / std::sqrt(1 - std::pow(s.beta2, static_cast<double>(s.step))));
    parallel_for(parameter.numel(), kGrain, [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        m[i] = b1 * m[i] + (1 - b1) * g[i];
        v[i] = b2 * v[i] + (1 - b2) * g[i] * g[i];
        p[i] = keep * p[i] - size * m[i] / (std::sqrt(v[i]) * root + eps);
      }
    });
  });
}

}  // namespace boxcam::cpu
