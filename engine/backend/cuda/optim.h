// Bodies of optim.cu: one launch for all parameters.
#pragma once

#include <cmath>
#include <vector>

#include "engine/backend/cuda/host_device.h"
#include "engine/backend/kernels.h"
#include "engine/dtype.h"

namespace boxcam::cuda {

/// Where the elements of a parameter, its gradient and its states lie; `begin` counts the elements before it.
template <class T>
struct UpdateEntry {
  int64_t begin;
  T* p;
  const T* g;
  T *m, *v;
};

template <class T>
struct Sgd {
  T lr, momentum, decay;
  bool nesterov, first;
  BOXCAM_HD void operator()(T& p, T g, T& m, T*) const {
    const T d = g + decay * p;
    m = first ? d : momentum * m + d;
    p -= lr * (nesterov ? d + momentum * m : m);
  }
};

template <class T>
struct Adamw {
  T beta1, beta2, eps, keep, size, root;
  BOXCAM_HD void operator()(T& p, T g, T& m, T* v) const {
    m = beta1 * m + (1 - beta1) * g;
    *v = beta2 * *v + (1 - beta2) * g * g;
    p = keep * p - size * m / (std::sqrt(*v) * root + eps);
  }
};

template <class T, class Rule>
struct UpdateAll {
  Rule rule;
  const UpdateEntry<T>* entries;
  int64_t count;
  BOXCAM_HD void operator()(int64_t i) const {
    int64_t low = 0, high = count;  // the last entry that begins at i or before
    while (high - low > 1) {
      const int64_t middle = low + (high - low) / 2;
      (entries[middle].begin <= i ? low : high) = middle;
    }
    const UpdateEntry<T>& e = entries[low];
    const int64_t k = i - e.begin;
    rule(e.p[k], e.g[k], e.m[k], e.v ? e.v + k : nullptr);
  }
};

template <class T, class Run, class Rule>
void update_all(Run run, const ParameterUpdates& u, const Rule& rule) {
  std::vector<UpdateEntry<T>> entries;
  int64_t total = 0;
  for (size_t k = 0; k < u.parameters.size(); ++k) {
    if (u.parameters[k].numel() == 0) continue;
    entries.push_back({total, pointer<T>(u.parameters[k]), pointer<T>(u.gradients[k]), pointer<T>(u.first[k]),
                       u.second.empty() ? nullptr : pointer<T>(u.second[k])});
    total += u.parameters[k].numel();
  }
  if (entries.empty()) return;
  const std::span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(entries.data()),
                                       entries.size() * sizeof(UpdateEntry<T>));
  const Tensor table = Tensor::from({static_cast<int64_t>(bytes.size())}, bytes, run.device());
  run.each(total, UpdateAll<T, Rule>{rule, reinterpret_cast<const UpdateEntry<T>*>(pointer<uint8_t>(table)),
                                     static_cast<int64_t>(entries.size())});
}

template <class Run>
void sgd_step(Run run, const ParameterUpdates& updates, const SgdStep& s) {
  if (updates.parameters.empty()) return;
  visit_floating(updates.parameters[0].dtype(), [&](auto zero) {
    using T = decltype(zero);
    update_all<T>(run, updates, Sgd<T>{T(s.lr), T(s.momentum), T(s.weight_decay), s.nesterov, s.first});
  });
}

template <class Run>
void adamw_step(Run run, const ParameterUpdates& updates, const AdamwStep& s) {
  if (updates.parameters.empty()) return;
  const double step = static_cast<double>(s.step);
  const double size = s.lr / (1 - std::pow(s.beta1, step)), root = 1 / std::sqrt(1 - std::pow(s.beta2, step));
  visit_floating(updates.parameters[0].dtype(), [&](auto zero) {
    using T = decltype(zero);
    update_all<T>(run, updates,
                  Adamw<T>{T(s.beta1), T(s.beta2), T(s.eps), T(1 - s.lr * s.weight_decay), T(size), T(root)});
  });
}

}  // namespace boxcam::cuda
