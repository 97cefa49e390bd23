// Own passes over memory: oneDNN's batch norm can fuse a ReLU but not the residual add, and keeps the gate in an opaque
// workspace.
#include <algorithm>
#include <vector>

#include "engine/backend/cpu/parallel.h"
#include "engine/backend/cpu/table.h"
#include "engine/graph_access.h"

namespace boxcam::cpu {

namespace {

constexpr int64_t kRows = 64;  // rows whose sums are kept in the tensor's own type before they go to double

/// Two sums over rows for each channel. add(row index, first sums, second sums) adds one row's terms. Each thread sums
/// its rows, then the threads' sums are added in order: bits depend on the thread count alone.
template <class T, class AddRow>
void two_sums(int64_t rows, int64_t channels, std::vector<double>& first, std::vector<double>& second, AddRow add_row) {
  const int64_t workers =
      std::clamp<int64_t>(rows * channels / kGrain, 1, omp_in_parallel() ? 1 : omp_get_max_threads());
  std::vector<double> partial(2 * workers * channels, 0.0);
  parallel_for(workers, 1, [&](int64_t begin, int64_t end) {
    std::vector<T> a(channels), b(channels);
    for (int64_t t = begin; t < end; ++t) {
      double *sum_a = &partial[2 * t * channels], *sum_b = sum_a + channels;
      const int64_t last = rows * (t + 1) / workers;
      for (int64_t r = rows * t / workers; r < last; r += kRows) {
        std::fill(a.begin(), a.end(), T(0));
        std::fill(b.begin(), b.end(), T(0));
        for (int64_t i = r; i < std::min(last, r + kRows); ++i) add_row(i, a.data(), b.data());
        for (int64_t c = 0; c < channels; ++c) sum_a[c] += a[c];
        for (int64_t c = 0; c < channels; ++c) sum_b[c] += b[c];
      }
    }
  });
  first.assign(channels, 0.0);
  second.assign(channels, 0.0);
  for (int64_t t = 0; t < workers; ++t)
    for (int64_t c = 0; c < channels; ++c) {
      first[c] += partial[2 * t * channels + c];
      second[c] += partial[(2 * t + 1) * channels + c];
    }
}

int64_t row_grain(int64_t channels) { return std::max<int64_t>(1, kGrain / channels); }

}  // namespace

void batch_norm_statistics(const Tensor& x, Tensor& mean, Tensor& variance) {
  visit_floating(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const int64_t channels = x.dim(-1), rows = x.numel() / channels;
    const T* in = x.data<T>();
    // Differences from the first row: E[d^2] - E[d]^2 then loses no digits where the mean is far from zero.
    std::vector<double> sum, squares;
    two_sums<T>(rows, channels, sum, squares, [=](int64_t r, T* __restrict s, T* __restrict q) {
      const T* row = in + r * channels;
      for (int64_t c = 0; c < channels; ++c) {
        const T d = row[c] - in[c];
        s[c] += d;
        q[c] += d * d;
      }
    });
    const double n = static_cast<double>(rows);
    for (int64_t c = 0; c < channels; ++c) {
      const double m = sum[c] / n;
      mean.data<T>()[c] = static_cast<T>(m + in[c]);
      variance.data<T>()[c] = static_cast<T>(std::max(squares[c] / n - m * m, 0.0));
    }
  });
}

void batch_norm(const BatchNormArgs& a, Tensor& y) {
  Tensor scale = Tensor::empty(a.gamma.shape(), a.gamma.dtype()),
         shift = Tensor::empty(a.gamma.shape(), a.gamma.dtype());
  visit_floating(a.x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    for (int64_t c = 0; c < a.gamma.numel(); ++c) {
      scale.data<T>()[c] = a.gamma.data<T>()[c] * a.invstd.data<T>()[c];
      shift.data<T>()[c] = a.beta.data<T>()[c] - a.mean.data<T>()[c] * scale.data<T>()[c];
    }
  });
  scale_shift(a.x, scale, shift, a.residual, a.with_relu, y);
}

void batch_norm_grad(const BatchNormArgs& a, const Tensor& y, const Tensor& g, Tensor& gx, Tensor& ggamma,
                     Tensor& gbeta, Tensor& g_residual) {
  visit_floating(a.x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const int64_t channels = a.x.dim(-1), rows = a.x.numel() / channels;
    const T *in = a.x.data<T>(), *gy = g.data<T>(), *mean = a.mean.data<T>(), *invstd = a.invstd.data<T>();
    const T *gate = a.with_relu ? y.data<T>() : nullptr, *gamma = a.gamma.data<T>();
    T* gated = g_residual.defined() ? g_residual.data<T>() : nullptr;
    T* out = gx.data<T>();

    std::vector<double> sum_g, sum_gx;  // of g and g (x - mean), g behind the ReLU
    two_sums<T>(rows, channels, sum_g, sum_gx, [=](int64_t r, T* __restrict s, T* __restrict t) {
      const T *px = in + r * channels, *pg = gy + r * channels, *pm = gate ? gate + r * channels : nullptr;
      if (gated) {
        T* __restrict pr = gated + r * channels;
        for (int64_t c = 0; c < channels; ++c) pr[c] = !gate || pm[c] > T(0) ? pg[c] : T(0);
        for (int64_t c = 0; c < channels; ++c) {
          s[c] += pr[c];
          t[c] += pr[c] * (px[c] - mean[c]);
        }
      } else if (gate) {
        for (int64_t c = 0; c < channels; ++c) {
          const T d = pm[c] > T(0) ? pg[c] : T(0);
          s[c] += d;
          t[c] += d * (px[c] - mean[c]);
        }
      } else {
        for (int64_t c = 0; c < channels; ++c) {
          s[c] += pg[c];
          t[c] += pg[c] * (px[c] - mean[c]);
        }
      }
    });

    // gx = gamma invstd (g - sum_g / n - (x - mean) invstd^2 sum_gx / n) = p g - q x - r
    std::vector<T> p(channels), q(channels), shift(channels);
    const double n = static_cast<double>(rows);
    for (int64_t c = 0; c < channels; ++c) {
      ggamma.data<T>()[c] = static_cast<T>(sum_gx[c] * invstd[c]);
      gbeta.data<T>()[c] = static_cast<T>(sum_g[c]);
      const double scale = static_cast<double>(gamma[c]) * invstd[c];
      p[c] = static_cast<T>(scale);
      q[c] = static_cast<T>(scale * invstd[c] * invstd[c] * sum_gx[c] / n);
      shift[c] = static_cast<T>(scale * sum_g[c] / n);
    }
    const T* source = gated ? gated : gy;
    const T* mask = gated ? nullptr : gate;
    parallel_for(rows, row_grain(channels), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        const T *px = in + r * channels, *pg = source + r * channels, *pm = mask ? mask + r * channels : nullptr;
        T* po = out + r * channels;
        if (mask)
          for (int64_t c = 0; c < channels; ++c)
            po[c] = p[c] * (pm[c] > T(0) ? pg[c] : T(0)) - q[c] * (px[c] - mean[c]) - shift[c];
        else
          for (int64_t c = 0; c < channels; ++c) po[c] = p[c] * pg[c] - q[c] * (px[c] - mean[c]) - shift[c];
      }
    });
  });
}

}  // namespace boxcam::cpu
