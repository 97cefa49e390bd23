// Bodies of optim.cu.
#pragma once

#include <cmath>

#include "engine/backend/cuda/host_device.h"
#include "engine/backend/kernels.h"
#include "engine/graph_access.h"

namespace boxcam::cuda {

template <class T>
struct SgdUpdate {
  T lr, momentum, decay;
  bool nesterov, first;
  const T* g;
  T *p, *m;
  BOXCAM_HD void operator()(int64_t i) const {
    const T d = g[i] + decay * p[i];
    m[i] = first ? d : momentum * m[i] + d;
    p[i] -= lr * (nesterov ? d + momentum * m[i] : m[i]);
  }
};

template <class T>
struct AdamwUpdate {
  T beta1, beta2, eps, keep, size, root;
  const T* g;
  T *p, *m, *v;
  BOXCAM_HD void operator()(int64_t i) const {
    m[i] = beta1 * m[i] + (1 - beta1) * g[i];
    v[i] = beta2 * v[i] + (1 - beta2) * g[i] * g[i];
    p[i] = keep * p[i] - size * m[i] / (std::sqrt(v[i]) * root + eps);
  }
};

template <class Run>
void sgd_step(Run run, Tensor& parameter, const Tensor& gradient, Tensor& momentum_buffer, const SgdStep& s) {
  visit_floating(parameter.dtype(), [&](auto zero) {
    using T = decltype(zero);
    run.each(parameter.numel(),
             SgdUpdate<T>{T(s.lr), T(s.momentum), T(s.weight_decay), s.nesterov, s.first, pointer<T>(gradient),
                          pointer<T>(parameter), pointer<T>(momentum_buffer)});
  });
}

template <class Run>
void adamw_step(Run run, Tensor& parameter, const Tensor& gradient, Tensor& first_moment, Tensor& second_moment,
                const AdamwStep& s) {
  const double step = static_cast<double>(s.step);
  const double size = s.lr / (1 - std::pow(s.beta1, step)), root = 1 / std::sqrt(1 - std::pow(s.beta2, step));
  visit_floating(parameter.dtype(), [&](auto zero) {
    using T = decltype(zero);
    run.each(parameter.numel(),
             AdamwUpdate<T>{T(s.beta1), T(s.beta2), T(s.eps), T(1 - s.lr * s.weight_decay), T(size), T(root),
                            pointer<T>(gradient), pointer<T>(parameter), pointer<T>(first_moment),
                            pointer<T>(second_moment)});
  });
}

}  // namespace boxcam::cuda
