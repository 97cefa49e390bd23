// Bodies of batch_norm.cu: own passes, because cuDNN's batch norm in f32 cannot add the residual, and its fused
// operators keep the ReLU's gate as a bit mask of their own, while ours reads it from the output.
#pragma once

#include "engine/backend/cuda/elementwise.h"
#include "engine/backend/cuda/reduce.h"

namespace boxcam::cuda {

/// Differences from the first row, and their squares: E[d^2] - E[d]^2 loses no digits where the mean is far from zero.
template <class T>
struct LoadDifferences {
  using A = Arithmetic<T>;
  const T* x;
  int64_t channels;
  BOXCAM_HD void operator()(int64_t, int64_t r, int64_t c, A* sums) const {
    const A d = A(x[r * channels + c]) - A(x[c]);
    sums[0] += d;
    sums[1] += d * d;
  }
};
template <class T>
struct StoreMoments {
  using A = Arithmetic<T>;
  const T* x;
  double rows;
  A *mean, *variance;
  BOXCAM_HD void operator()(const SumPlace& at, const double (&sums)[2]) const {
    const double m = sums[0] / rows;
    mean[at.c] = static_cast<A>(m + static_cast<double>(x[at.c]));
    variance[at.c] = static_cast<A>(greatest(sums[1] / rows - m * m, 0.0));
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
template <class T>
struct Gate {
  using A = Arithmetic<T>;
  const T *g, *more_g, *y, *x;  ///< more_g: added to g, or null; y: the forward's output, or null
  const A *scale, *shift;       ///< scale is null where x does not tell
  BOXCAM_HD A operator()(int64_t i, int64_t c) const {
    if (y && !(A(y[i]) > A(0))) return A(0);
    if (scale && !(A(x[i]) * scale[c] + shift[c] > A(0))) return A(0);
    return more_g ? A(g[i]) + A(more_g[i]) : A(g[i]);
  }
};

/// g and g (x - mean), g behind the ReLU; writes the residual's gradient as it goes, each element once.
template <class T>
struct LoadGradients {
  using A = Arithmetic<T>;
  Gate<T> gate;
  const T* x;
  const A* mean;
  T* gated;  ///< or null
  int64_t channels;
  BOXCAM_HD void operator()(int64_t, int64_t r, int64_t c, A* sums) const {
    const int64_t i = r * channels + c;
    const A g = gate(i, c);
    if (gated) gated[i] = g;
    sums[0] += g;
    sums[1] += g * (A(x[i]) - mean[c]);
  }
};

/// The gradients of gamma and beta, and of x = p g - q (x - mean) - shift the three coefficients of each channel:
/// gx = gamma invstd (g - sum_g / n - (x - mean) invstd^2 sum_gx / n).
template <class T>
struct StoreGradients {
  const T *gamma, *invstd;
  double rows;
  T *ggamma, *gbeta, *p, *q, *shift;
  BOXCAM_HD void operator()(const SumPlace& at, const double (&sums)[2]) const {
    const double s = static_cast<double>(invstd[at.c]), scale = static_cast<double>(gamma[at.c]) * s;
    ggamma[at.c] = static_cast<T>(sums[1] * s);
    gbeta[at.c] = static_cast<T>(sums[0]);
    p[at.c] = static_cast<T>(scale);
    q[at.c] = static_cast<T>(scale * s * s * sums[1] / rows);
    shift[at.c] = static_cast<T>(scale * sums[0] / rows);
  }
};
template <class T>
struct InputGradient {
  using A = Arithmetic<T>;
  Gate<T> gate;
  const T* x;
  const A *mean, *p, *q, *shift;
  const T* gated;  ///< or null
  int64_t channels;
  T* gx;
  BOXCAM_HD void operator()(int64_t i) const {
    const int64_t c = divide(i, channels).remainder;
    const A g = gated ? A(gated[i]) : gate(i, c);
    gx[i] = p[c] * g - q[c] * (A(x[i]) - mean[c]) - shift[c];
  }
};

template <class Run>
void batch_norm_statistics(Run run, const Tensor& x, Tensor& mean, Tensor& variance) {
  visit_activation(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    using A = Arithmetic<T>;
    const int64_t channels = x.dim(-1), rows = x.numel() / channels;
    sum_terms<A, 2>(run, 1, rows, channels, LoadDifferences<T>{pointer<T>(x), channels},
                    StoreMoments<T>{pointer<T>(x), static_cast<double>(rows), pointer<A>(mean), pointer<A>(variance)});
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
    run.each(y.numel(), ScaleShift<T>{channels, a.with_relu, pointer<T>(a.x), pointer<T>(a.residual), scale, shift,
                                      pointer<T>(y)});
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
    const Gate<T> gate{pointer<T>(g),
                       pointer<T>(more_g),
                       a.with_relu && !from_x ? pointer<T>(y) : nullptr,
                       in,
                       from_x ? scale_y : nullptr,
                       shift_y};
    sum_terms<A, 2>(run, 1, rows, channels, LoadGradients<T>{gate, in, mean, gated, channels},
                    StoreGradients<A>{gamma, invstd, static_cast<double>(rows), pointer<A>(ggamma), pointer<A>(gbeta),
                                      p, q, shift});
    run.each(a.x.numel(), InputGradient<T>{gate, in, mean, p, q, shift, gated, channels, pointer<T>(gx)});
  });
}

}  // namespace boxcam::cuda
