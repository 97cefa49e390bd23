// Own passes over memory: oneDNN's batch norm can fuse a ReLU but not the residual add, and keeps the gate in an opaque
// workspace.
#include <algorithm>
#include <vector>

#include "engine/backend/cpu/row_writer.h"
#include "engine/backend/cpu/table.h"
#include "engine/base/parallel.h"
#include "engine/dtype.h"

namespace boxcam::cpu {

namespace {

constexpr int64_t kRows = 64;  // rows whose sums are kept in the tensor's own type before they go to double

/// Two sums over rows for each channel. add_rows() gives each thread a function (row index, first sums, second sums)
/// that adds one row's terms. Each thread sums its rows, then the threads' sums are added in order: bits depend on the
/// thread count alone.
template <class A, class AddRows>
void two_sums(int64_t rows, int64_t channels, std::vector<double>& first, std::vector<double>& second,
              AddRows add_rows) {
  const int64_t workers =
      std::clamp<int64_t>(rows * channels / kGrain, 1, omp_in_parallel() ? 1 : omp_get_max_threads());
  std::vector<double> partial(2 * workers * channels, 0.0);
  parallel_for(workers, 1, [&](int64_t begin, int64_t end) {
    std::vector<A> a(channels), b(channels);
    auto add_row = add_rows();
    for (int64_t t = begin; t < end; ++t) {
      double *sum_a = &partial[2 * t * channels], *sum_b = sum_a + channels;
      const int64_t last = rows * (t + 1) / workers;
      for (int64_t r = rows * t / workers; r < last; r += kRows) {
        std::fill(a.begin(), a.end(), A(0));
        std::fill(b.begin(), b.end(), A(0));
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

/// y = scale x + shift, as [C] each.
template <class A>
struct Line {
  std::vector<A> scale, shift;
  explicit Line(const BatchNormArgs& a) : scale(a.gamma.numel()), shift(a.gamma.numel()) {
    for (size_t c = 0; c < scale.size(); ++c) {
      scale[c] = a.gamma.data<A>()[c] * a.invstd.data<A>()[c];
      shift[c] = a.beta.data<A>()[c] - a.mean.data<A>()[c] * scale[c];
    }
  }
};

/// Where the ReLU's gate is read: the output, or, without a residual, the input, which is read anyway.
enum class GateFrom { nowhere, output, input };

/// The gradient behind the ReLU, of the channels from `first` on in a row of x, y and g that begins there.
template <class T, GateFrom kGate, bool kMore>
struct Gated {
  using A = Arithmetic<T>;
  const T *x, *y, *g, *more_g;
  const A *scale, *shift;

  Gated from(int64_t at, int64_t first) const {
    return {x + at, y + at, g + at, more_g + at, scale + first, shift + first};
  }
  A operator()(int64_t c) const {
    A d = g[c];
    if constexpr (kMore) d += A(more_g[c]);
    if constexpr (kGate == GateFrom::output) d = A(y[c]) > A(0) ? d : A(0);
    if constexpr (kGate == GateFrom::input) d = A(x[c]) * scale[c] + shift[c] > A(0) ? d : A(0);
    return d;
  }
};

/// Calls f with the Gated that the arguments ask for.
template <class T, class F>
void visit_gated(const BatchNormArgs& a, const Tensor& y, const Tensor& g, const Tensor& more_g, F f) {
  const Line<Arithmetic<T>> line(a);
  const auto call = [&]<GateFrom kGate, bool kMore>() {
    f(Gated<T, kGate, kMore>{a.x.data<T>(), kGate == GateFrom::output ? y.data<T>() : nullptr, g.data<T>(),
                             kMore ? more_g.data<T>() : nullptr, line.scale.data(), line.shift.data()});
  };
  const auto with_gate = [&]<GateFrom kGate>() {
    more_g.defined() ? call.template operator()<kGate, true>() : call.template operator()<kGate, false>();
  };
  if (!a.with_relu)
    with_gate.template operator()<GateFrom::nowhere>();
  else if (a.residual.defined())
    with_gate.template operator()<GateFrom::output>();
  else
    with_gate.template operator()<GateFrom::input>();
}

}  // namespace

void batch_norm_statistics(const Tensor& x, Tensor& mean, Tensor& variance) {
  visit_activation(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    using A = Arithmetic<T>;
    const int64_t channels = x.dim(-1), rows = x.numel() / channels;
    const T* in = x.data<T>();
    const std::vector<A> pivot(in, in + channels);
    // Differences from the first row: E[d^2] - E[d]^2 then loses no digits where the mean is far from zero.
    std::vector<double> sum, squares;
    two_sums<A>(rows, channels, sum, squares, [&] {
      return [in, channels, first = pivot.data()](int64_t r, A* __restrict s, A* __restrict q) {
        const T* row = in + r * channels;
        for (int64_t c = 0; c < channels; ++c) {
          const A d = A(row[c]) - first[c];
          s[c] += d;
          q[c] += d * d;
        }
      };
    });
    const double n = static_cast<double>(rows);
    for (int64_t c = 0; c < channels; ++c) {
      const double m = sum[c] / n;
      mean.data<A>()[c] = static_cast<A>(m + pivot[c]);
      variance.data<A>()[c] = static_cast<A>(std::max(squares[c] / n - m * m, 0.0));
    }
  });
}

void batch_norm(const BatchNormArgs& a, Tensor& y) {
  visit_floating(a.gamma.dtype(), [&](auto zero) {
    using A = decltype(zero);
    const Line<A> line(a);
    scale_shift(a.x, Tensor::from(a.gamma.shape(), line.scale), Tensor::from(a.gamma.shape(), line.shift), a.residual,
                a.with_relu, y);
  });
}

void batch_norm_grad(const BatchNormArgs& a, const Tensor& y, const Tensor& g, const Tensor& more_g, Tensor& gx,
                     Tensor& ggamma, Tensor& gbeta, Tensor& g_residual) {
  visit_activation(a.x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    using A = Arithmetic<T>;
    const int64_t channels = a.x.dim(-1), rows = a.x.numel() / channels;
    const T* in = a.x.data<T>();
    const A *mean = a.mean.data<A>(), *invstd = a.invstd.data<A>(), *gamma = a.gamma.data<A>();
    T *residual = g_residual.defined() ? g_residual.data<T>() : nullptr, *out = gx.data<T>();
    visit_gated<T>(a, y, g, more_g, [&](auto gated) {
      std::vector<double> sum_g, sum_gx;  // of g and g (x - mean), g behind the ReLU
      two_sums<A>(rows, channels, sum_g, sum_gx, [&] {
        return [=](int64_t r, A* __restrict sum, A* __restrict sum_x) {
          for_each_chunk(channels, [=](int64_t first, int64_t count) {
            const int64_t at = r * channels + first;
            const auto d = gated.from(at, first);
            const T* x = in + at;
            const A* m = mean + first;
            A* __restrict s = sum + first, * __restrict t = sum_x + first;
            A behind[kChunk];
#pragma omp simd
            for (int64_t c = 0; c < count; ++c) {
              const A v = d(c);
              behind[c] = v;
              s[c] += v;
              t[c] += v * (A(x[c]) - m[c]);
            }
            if (residual) std::copy_n(behind, count, residual + at);
          });
        };
      });

      // gx = gamma invstd (g - sum_g / n - (x - mean) invstd^2 sum_gx / n) = p g - q (x - mean) - shift
      std::vector<A> p(channels), q(channels), shift(channels);
      const double n = static_cast<double>(rows);
      for (int64_t c = 0; c < channels; ++c) {
        ggamma.data<A>()[c] = static_cast<A>(sum_gx[c] * invstd[c]);
        gbeta.data<A>()[c] = static_cast<A>(sum_g[c]);
        const double scale = static_cast<double>(gamma[c]) * invstd[c];
        p[c] = static_cast<A>(scale);
        q[c] = static_cast<A>(scale * invstd[c] * invstd[c] * sum_gx[c] / n);
        shift[c] = static_cast<A>(scale * sum_g[c] / n);
      }
      parallel_for(rows, std::max<int64_t>(1, kGrain / channels), [&](int64_t begin, int64_t end) {
        RowWriter<T> writer(gx.bytes(), channels);
        for (int64_t r = begin; r < end; ++r)
          for_each_chunk(channels, [&](int64_t first, int64_t count) {
            const int64_t at = r * channels + first;
            const auto d = gated.from(at, first);
            const T *x = in + at, *known = residual + at;
            const A *m = mean + first, *pc = &p[first], *qc = &q[first], *sc = &shift[first];
            writer.write(out + at, count, [=](T* __restrict v) {
              if (residual)
#pragma omp simd
                for (int64_t c = 0; c < count; ++c) v[c] = pc[c] * A(known[c]) - qc[c] * (A(x[c]) - m[c]) - sc[c];
              else
#pragma omp simd
                for (int64_t c = 0; c < count; ++c) v[c] = pc[c] * d(c) - qc[c] * (A(x[c]) - m[c]) - sc[c];
            });
          });
      });
    });
  });
}

void running_statistics(const Tensor& mean, const Tensor& variance, double momentum, double variance_share,
                        Tensor& running_mean, Tensor& running_var) {
  const auto mix = [&](const Tensor& batch, double share, Tensor& running) {
    const auto room = [&] { return Tensor::empty(running.shape(), running.dtype()); };
    Tensor kept = room(), added = room(), total = room();
    affine(running, 1 - momentum, 0, kept);
    affine(batch, share, 0, added);
    binary(BinaryOp::add, kept, added, total);
    running.copy_from(total);
  };
  mix(mean, momentum, running_mean);
  mix(variance, variance_share, running_var);
}

}  // namespace boxcam::cpu
