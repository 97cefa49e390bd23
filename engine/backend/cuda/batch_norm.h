// Bodies of batch_norm.cu: own passes, because cuDNN's batch norm in f32 cannot add the residual, and its fused
// operators keep the ReLU's gate as a bit mask of their own, while ours reads it from the output.
#pragma once

#include "engine/backend/cuda/elementwise.h"
#include "engine/backend/cuda/reduce.h"

namespace boxcam::cuda {

/// Differences from the first row, and their squares: E[d^2] - E[d]^2 loses no digits where the mean is far from zero.
template <class T>
struct LoadDifferences {
  const T* x;
  int64_t channels;
  BOXCAM_HD void operator()(int64_t, int64_t r, int64_t c, T* sums) const {
    const T d = x[r * channels + c] - x[c];
    sums[0] += d;
    sums[1] += d * d;
  }
};
template <class T>
struct StoreMoments {
  const T* x;
  double rows;
  T *mean, *variance;
  BOXCAM_HD void operator()(const SumPlace& at, const double (&sums)[2]) const {
    const double m = sums[0] / rows;
    mean[at.c] = static_cast<T>(m + static_cast<double>(x[at.c]));
    variance[at.c] = static_cast<T>(greatest(sums[1] / rows - m * m, 0.0));
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
  const T *g, *more_g, *y;     ///< more_g: added to g, or null; y: the forward's output, or null
  const T *x, *scale, *shift;  ///< scale is null where x does not tell
  BOXCAM_HD T operator()(int64_t i, int64_t c) const {
    if (y && !(y[i] > T(0))) return T(0);
    if (scale && !(x[i] * scale[c] + shift[c] > T(0))) return T(0);
    return more_g ? g[i] + more_g[i] : g[i];
  }
};

/// g and g (x - mean), g behind the ReLU; writes the residual's gradient as it goes, each element once.
template <class T>
struct LoadGradients {
  Gate<T> gate;
  const T *x, *mean;
  T* gated;  ///< or null
  int64_t channels;
  BOXCAM_HD void operator()(int64_t, int64_t r, int64_t c, T* sums) const {
    const int64_t i = r * channels + c;
    const T g = gate(i, c);
    if (gated) gated[i] = g;
    sums[0] += g;
    sums[1] += g * (x[i] - mean[c]);
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
  Gate<T> gate;
  const T *x, *mean, *p, *q, *shift;
  int64_t channels;
  T* gx;
  BOXCAM_HD void operator()(int64_t i) const {
    const int64_t c = divide(i, channels).remainder;
    gx[i] = p[c] * gate(i, c) - q[c] * (x[i] - mean[c]) - shift[c];
  }
};

template <class Run>
void batch_norm_statistics(Run run, const Tensor& x, Tensor& mean, Tensor& variance) {
  visit_floating(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const int64_t channels = x.dim(-1), rows = x.numel() / channels;
    sum_terms<T, 2>(run, 1, rows, channels, LoadDifferences<T>{pointer<T>(x), channels},
                    StoreMoments<T>{pointer<T>(x), static_cast<double>(rows), pointer<T>(mean), pointer<T>(variance)});
  });
}

template <class Run>
void batch_norm(Run run, const BatchNormArgs& a, Tensor& y) {
  const int64_t channels = a.gamma.numel();
  Tensor both = Tensor::empty({2, channels}, a.gamma.dtype(), run.device());
  visit_floating(a.x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    T *scale = pointer<T>(both), *shift = scale + channels;
    run.each(channels, ScaleAndShift<T>{pointer<T>(a.gamma), pointer<T>(a.beta), pointer<T>(a.mean),
                                        pointer<T>(a.invstd), scale, shift});
    run.each(y.numel(), ScaleShift<T>{channels, a.with_relu, pointer<T>(a.x), scale, shift, pointer<T>(a.residual),
                                      pointer<T>(y)});
  });
}

template <class Run>
void batch_norm_grad(Run run, const BatchNormArgs& a, const Tensor& y, const Tensor& g, const Tensor& more_g,
                     Tensor& gx, Tensor& ggamma, Tensor& gbeta, Tensor& g_residual) {
  const int64_t channels = a.x.dim(-1), rows = a.x.numel() / channels;
  Tensor coefficients = Tensor::empty({5, channels}, a.x.dtype(), run.device());
  visit_floating(a.x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    T *p = pointer<T>(coefficients), *q = p + channels, *shift = q + channels, *scale_y = shift + channels,
      *shift_y = scale_y + channels;
    const T *in = pointer<T>(a.x), *mean = pointer<T>(a.mean);
    const bool from_x = a.with_relu && !a.residual.defined();
    if (from_x)
      run.each(channels,
               ScaleAndShift<T>{pointer<T>(a.gamma), pointer<T>(a.beta), mean, pointer<T>(a.invstd), scale_y, shift_y});
    const Gate<T> gate{pointer<T>(g),
                       pointer<T>(more_g),
                       a.with_relu && !from_x ? pointer<T>(y) : nullptr,
                       in,
                       from_x ? scale_y : nullptr,
                       shift_y};
    sum_terms<T, 2>(run, 1, rows, channels, LoadGradients<T>{gate, in, mean, pointer<T>(g_residual), channels},
                    StoreGradients<T>{pointer<T>(a.gamma), pointer<T>(a.invstd), static_cast<double>(rows),
                                      pointer<T>(ggamma), pointer<T>(gbeta), p, q, shift});
    run.each(a.x.numel(), InputGradient<T>{gate, in, mean, p, q, shift, channels, pointer<T>(gx)});
  });
}

}  // namespace boxcam::cuda
