// Bodies of batch_norm.cu: own passes, because cuDNN's batch norm in f32 cannot add the residual, and its fused
// operators keep the ReLU's gate as a bit mask of their own, while ours reads it from the output.
#pragma once

#include "engine/backend/cuda/elementwise.h"
#include "engine/backend/cuda/reduce.h"

namespace boxcam::cuda {

/// Differences from the first row, and their squares: E[d^2] - E[d]^2 loses no digits where the mean is far from zero.
/// Here and below a place of the sum is a pack of V channels with two sums each.
template <class T, int V>
struct LoadDifferences {
  using A = Arithmetic<T>;
  const T* x;
  int64_t channels;
  BOXCAM_HD void operator()(int64_t, int64_t r, int64_t pack, A* sums) const {
    const Pack<T, V> in = load<V>(x + r * channels + pack * V), first = load<V>(x + pack * V);
    for (int v = 0; v < V; ++v) {
      const A d = A(in.at[v]) - A(first.at[v]);
      sums[2 * v] += d;
      sums[2 * v + 1] += d * d;
    }
  }
};
template <class T, int V>
struct StoreMoments {
  using A = Arithmetic<T>;
  const T* x;
  double rows;
  A *mean, *variance;
  BOXCAM_HD void operator()(const SumPlace& at, const double (&sums)[2 * V]) const {
    for (int v = 0; v < V; ++v) {
      const int64_t c = at.c * V + v;
      const double m = sums[2 * v] / rows;
      mean[c] = static_cast<A>(m + static_cast<double>(x[c]));
      variance[c] = static_cast<A>(greatest(sums[2 * v + 1] / rows - m * m, 0.0));
    }
  }
};

template <class T>
struct ScaleAndShift {
  const T *gamma, *beta, *mean, *invstd;
  T *scale, *shift;
  BOXCAM_HD void operator()(int64_t c) const {
    scale[c] = gamma[c] * invstd[c];
    shift[c] = beta[c] - mean[c] * scale[c];
  }
};

/// The gradient behind the ReLU, where there is one. Without a residual the gate is found again from x.
template <class T, int V>
struct Gate {
  using A = Arithmetic<T>;
  const T *g, *more_g, *y;  ///< more_g: added to g, or null; y: the forward's output, or null
  const A *scale, *shift;   ///< scale is null where x does not tell
  /// For the V elements from i on, of channel c on, where x is `in`.
  BOXCAM_HD Pack<A, V> operator()(int64_t i, int64_t c, const Pack<T, V>& in) const {
    const Pack<T, V> from = load<V>(g + i);
    Pack<A, V> out;
    for (int v = 0; v < V; ++v) out.at[v] = A(from.at[v]);
    if (more_g) {
      const Pack<T, V> more = load<V>(more_g + i);
      for (int v = 0; v < V; ++v) out.at[v] += A(more.at[v]);
    }
    if (y) {
      const Pack<T, V> result = load<V>(y + i);
      for (int v = 0; v < V; ++v)
        if (!(A(result.at[v]) > A(0))) out.at[v] = A(0);
    }
    if (scale) {
      const Pack<A, V> by = load<V>(scale + c), plus = load<V>(shift + c);
      for (int v = 0; v < V; ++v)
        if (!(A(in.at[v]) * by.at[v] + plus.at[v] > A(0))) out.at[v] = A(0);
    }
    return out;
  }
};

/// g and g (x - mean), g behind the ReLU; writes the residual's gradient as it goes, each element once.
template <class T, int V>
struct LoadGradients {
  using A = Arithmetic<T>;
  Gate<T, V> gate;
  const T* x;
  const A* mean;
  T* gated;  ///< or null
  int64_t channels;
  BOXCAM_HD void operator()(int64_t, int64_t r, int64_t pack, A* sums) const {
    const int64_t c = pack * V, i = r * channels + c;
    const Pack<T, V> in = load<V>(x + i);
    const Pack<A, V> g = gate(i, c, in), middle = load<V>(mean + c);
    if (gated) {
      Pack<T, V> out;
      for (int v = 0; v < V; ++v) out.at[v] = g.at[v];
      store<V>(gated + i, out);
    }
    for (int v = 0; v < V; ++v) {
      sums[2 * v] += g.at[v];
      sums[2 * v + 1] += g.at[v] * (A(in.at[v]) - middle.at[v]);
    }
  }
};

/// The gradients of gamma and beta, and of x = p g - q (x - mean) - shift the three coefficients of each channel:
/// gx = gamma invstd (g - sum_g / n - (x - mean) invstd^2 sum_gx / n).
template <class T, int V>
struct StoreGradients {
  const T *gamma, *invstd;
  double rows;
  T *ggamma, *gbeta, *p, *q, *shift;
  BOXCAM_HD void operator()(const SumPlace& at, const double (&sums)[2 * V]) const {
    for (int v = 0; v < V; ++v) {
      const int64_t c = at.c * V + v;
      const double s = static_cast<double>(invstd[c]), scale = static_cast<double>(gamma[c]) * s;
      ggamma[c] = static_cast<T>(sums[2 * v + 1] * s);
      gbeta[c] = static_cast<T>(sums[2 * v]);
      p[c] = static_cast<T>(scale);
      q[c] = static_cast<T>(scale * s * s * sums[2 * v + 1] / rows);
      shift[c] = static_cast<T>(scale * sums[2 * v] / rows);
    }
  }
};
template <class T, int V>
struct InputGradient {
  using A = Arithmetic<T>;
  Gate<T, V> gate;
  const T* x;
  const A *mean, *p, *q, *shift;
  const T* gated;  ///< or null
  int64_t channels;
  T* gx;
  BOXCAM_HD void operator()(int64_t pack) const {
    const int64_t i = pack * V, c = divide(i, channels).remainder;
    const Pack<T, V> in = load<V>(x + i);
    Pack<A, V> g;
    if (gated) {
      const Pack<T, V> known = load<V>(gated + i);
      for (int v = 0; v < V; ++v) g.at[v] = A(known.at[v]);
    } else {
      g = gate(i, c, in);
    }
    const Pack<A, V> middle = load<V>(mean + c), a = load<V>(p + c), b = load<V>(q + c), minus = load<V>(shift + c);
    Pack<T, V> out;
    for (int v = 0; v < V; ++v) out.at[v] = a.at[v] * g.at[v] - b.at[v] * (A(in.at[v]) - middle.at[v]) - minus.at[v];
    store<V>(gx + i, out);
  }
};

template <class T>
struct RunningStatistics {
  T keep, share_of_mean, share_of_variance;
  const T *mean, *variance;
  T *running_mean, *running_var;
  BOXCAM_HD void operator()(int64_t c) const {
    running_mean[c] = keep * running_mean[c] + share_of_mean * mean[c];
    running_var[c] = keep * running_var[c] + share_of_variance * variance[c];
  }
};

template <class Run>
void running_statistics(Run run, const Tensor& mean, const Tensor& variance, double momentum, double variance_share,
                        Tensor& running_mean, Tensor& running_var) {
  visit_floating(mean.dtype(), [&](auto zero) {
    using T = decltype(zero);
    run.each(mean.numel(),
             RunningStatistics<T>{T(1 - momentum), T(momentum), T(variance_share), pointer<T>(mean),
                                  pointer<T>(variance), pointer<T>(running_mean), pointer<T>(running_var)});
  });
}

template <class Run>
void batch_norm_statistics(Run run, const Tensor& x, Tensor& mean, Tensor& variance) {
  visit_activation(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    using A = Arithmetic<T>;
    const int64_t channels = x.dim(-1), rows = x.numel() / channels;
    with_pack<T>(channels, {&x}, [&](auto wide) {
      sum_terms<A, 2 * wide>(
          run, 1, rows, channels / wide, LoadDifferences<T, wide>{pointer<T>(x), channels},
          StoreMoments<T, wide>{pointer<T>(x), static_cast<double>(rows), pointer<A>(mean), pointer<A>(variance)});
    });
  });
}

template <class Run>
void batch_norm(Run run, const BatchNormArgs& a, Tensor& y) {
  const int64_t channels = a.gamma.numel();
  Tensor both = Tensor::empty({2, channels}, a.gamma.dtype(), run.device());
  visit_activation(a.x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    using A = Arithmetic<T>;
    A *scale = pointer<A>(both), *shift = scale + channels;
    run.each(channels, ScaleAndShift<A>{pointer<A>(a.gamma), pointer<A>(a.beta), pointer<A>(a.mean),
                                        pointer<A>(a.invstd), scale, shift});
    with_pack<T>(channels, {&a.x, &a.residual, &both, &y}, [&](auto wide) {
      run.each(y.numel() / wide, ScaleShift<T, wide>{channels, a.with_relu, pointer<T>(a.x), pointer<T>(a.residual),
                                                     scale, shift, pointer<T>(y)});
    });
  });
}

template <class Run>
void batch_norm_grad(Run run, const BatchNormArgs& a, const Tensor& y, const Tensor& g, const Tensor& more_g,
                     Tensor& gx, Tensor& ggamma, Tensor& gbeta, Tensor& g_residual) {
  const int64_t channels = a.x.dim(-1), rows = a.x.numel() / channels;
  Tensor coefficients = Tensor::empty({5, channels}, a.gamma.dtype(), run.device());
  visit_activation(a.x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    using A = Arithmetic<T>;
    A *p = pointer<A>(coefficients), *q = p + channels, *shift = q + channels, *scale_y = shift + channels,
      *shift_y = scale_y + channels;
    const T* in = pointer<T>(a.x);
    const A *mean = pointer<A>(a.mean), *gamma = pointer<A>(a.gamma), *invstd = pointer<A>(a.invstd);
    T* gated = pointer<T>(g_residual);
    const bool from_x = a.with_relu && !a.residual.defined();
    if (from_x) run.each(channels, ScaleAndShift<A>{gamma, pointer<A>(a.beta), mean, invstd, scale_y, shift_y});
    with_pack<T>(channels, {&a.x, &a.mean, &y, &g, &more_g, &gx, &g_residual, &coefficients}, [&](auto wide) {
      const Gate<T, wide> gate{pointer<T>(g), pointer<T>(more_g), a.with_relu && !from_x ? pointer<T>(y) : nullptr,
                               from_x ? scale_y : nullptr, shift_y};
      sum_terms<A, 2 * wide>(run, 1, rows, channels / wide, LoadGradients<T, wide>{gate, in, mean, gated, channels},
                             StoreGradients<A, wide>{gamma, invstd, static_cast<double>(rows), pointer<A>(ggamma),
                                                     pointer<A>(gbeta), p, q, shift});
      run.each(a.x.numel() / wide,
               InputGradient<T, wide>{gate, in, mean, p, q, shift, gated, channels, pointer<T>(gx)});
    });
  });
}

}  // namespace boxcam::cuda
