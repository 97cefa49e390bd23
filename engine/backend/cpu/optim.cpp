#include <cmath>
#include <vector>

#include "engine/backend/cpu/table.h"
#include "engine/base/parallel.h"
#include "engine/dtype.h"

namespace boxcam::cpu {

namespace {

/// Calls update(parameter, gradient, first state, second state, count) on ranges of elements that cover all parameters.
/// The threads share all elements, not those of each parameter: most parameters are small.
template <class T, class Update>
void for_each_range(const ParameterUpdates& u, Update update) {
  std::vector<int64_t> begins = {0};
  for (const Tensor& p : u.parameters) begins.push_back(begins.back() + p.numel());
  parallel_for(begins.back(), kGrain, [&](int64_t begin, int64_t end) {
    for (size_t k = 0; k < u.parameters.size(); ++k) {
      const int64_t from = std::max(begin, begins[k]) - begins[k], to = std::min(end, begins[k + 1]) - begins[k];
      if (from >= to) continue;
      update(u.parameters[k].data<T>() + from, u.gradients[k].data<T>() + from, u.first[k].data<T>() + from,
             u.second.empty() ? nullptr : u.second[k].data<T>() + from, to - from);
    }
  });
}

}  // namespace

void sgd_step(const ParameterUpdates& updates, const SgdStep& s) {
  if (updates.parameters.empty()) return;
  visit_floating(updates.parameters[0].dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T lr = T(s.lr), momentum = T(s.momentum), decay = T(s.weight_decay);
    for_each_range<T>(updates, [=](T* p, const T* g, T* m, T*, int64_t count) {
      for (int64_t i = 0; i < count; ++i) {
        const T d = g[i] + decay * p[i];
        m[i] = s.first ? d : momentum * m[i] + d;
        p[i] -= lr * (s.nesterov ? d + momentum * m[i] : m[i]);
      }
    });
  });
}

void adamw_step(const ParameterUpdates& updates, const AdamwStep& s) {
  if (updates.parameters.empty()) return;
  visit_floating(updates.parameters[0].dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T b1 = T(s.beta1), b2 = T(s.beta2), eps = T(s.eps), keep = T(1 - s.lr * s.weight_decay);
    const T size = T(s.lr / (1 - std::pow(s.beta1, static_cast<double>(s.step))));
    const T root = T(1 / std::sqrt(1 - std::pow(s.beta2, static_cast<double>(s.step))));
    for_each_range<T>(updates, [=](T* p, const T* g, T* m, T* v, int64_t count) {
      for (int64_t i = 0; i < count; ++i) {
        m[i] = b1 * m[i] + (1 - b1) * g[i];
        v[i] = b2 * v[i] + (1 - b2) * g[i] * g[i];
        p[i] = keep * p[i] - size * m[i] / (std::sqrt(v[i]) * root + eps);
      }
    });
  });
}

}  // namespace boxcam::cpu
