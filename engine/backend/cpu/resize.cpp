#include <vector>

#include "engine/backend/cpu/bilinear.h"
#include "engine/backend/cpu/table.h"
#include "engine/base/parallel.h"
#include "engine/dtype.h"

namespace boxcam::cpu {

void bilinear_resize(const Tensor& x, Tensor& y) {
  visit_floating(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const int64_t h = x.dim(1), w = x.dim(2), rows = y.dim(1), columns = y.dim(2);
    const auto ty = bilinear_taps<T>(h, rows), tx = bilinear_taps<T>(w, columns);
    const T* in = x.data<T>();
    T* out = y.data<T>();
    parallel_for(x.dim(0), std::max<int64_t>(1, kGrain / (rows * columns)), [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n)
        for (int64_t i = 0; i < rows; ++i) {
          const T *low = in + (n * h + ty[i].low) * w, *high = in + (n * h + ty[i].high) * w;
          const T v = ty[i].t;
          T* row = out + (n * rows + i) * columns;
          for (int64_t j = 0; j < columns; ++j) {
            const auto& [a, b, u] = tx[j];
            row[j] = (1 - v) * ((1 - u) * low[a] + u * low[b]) + v * ((1 - u) * high[a] + u * high[b]);
          }
        }
    });
  });
}

void bilinear_resize_adjoint(const Tensor& g, Tensor& gx) {
  visit_floating(g.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const int64_t h = gx.dim(1), w = gx.dim(2), rows = g.dim(1), columns = g.dim(2);
    const auto ty = bilinear_taps<T>(h, rows), tx = bilinear_taps<T>(w, columns);
    const T* in = g.data<T>();
    T* out = gx.data<T>();
    parallel_for(g.dim(0), std::max<int64_t>(1, kGrain / (rows * columns)), [&](int64_t begin, int64_t end) {
      std::vector<T> line(w);
      for (int64_t n = begin; n < end; ++n) {
        T* map = out + n * h * w;
        std::fill_n(map, h * w, T(0));
        for (int64_t i = 0; i < rows; ++i) {
          // First along the row, then the row is shared between two source rows.
          std::fill(line.begin(), line.end(), T(0));
          const T* row = in + (n * rows + i) * columns;
          for (int64_t j = 0; j < columns; ++j) {
            line[tx[j].low] += (1 - tx[j].t) * row[j];
            line[tx[j].high] += tx[j].t * row[j];
          }
          T *low = map + ty[i].low * w, *high = map + ty[i].high * w;
          for (int64_t j = 0; j < w; ++j) low[j] += (1 - ty[i].t) * line[j];
          for (int64_t j = 0; j < w; ++j) high[j] += ty[i].t * line[j];
        }
      }
    });
  });
}

namespace {

/// Which inputs an output of one axis reads, and how much of each: where output o, [o in, (o + 1) in), meets input k,
/// [k out, (k + 1) out), on an axis of in * out units.
struct AreaAxis {
  int64_t out, in, whole;  ///< `whole`: the units that have the weight 1
  int64_t begin(int64_t o) const { return o * in / out; }
  int64_t end(int64_t o) const { return ((o + 1) * in + out - 1) / out; }
  double weight(int64_t o, int64_t k) const {
    const int64_t overlap = std::min((k + 1) * out, (o + 1) * in) - std::max(k * out, o * in);
    return static_cast<double>(overlap) / static_cast<double>(whole);
  }
};

void area(const Tensor& x, Tensor& y, const AreaAxis& vertical, const AreaAxis& horizontal) {
  visit_floating(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* in = x.data<T>();
    T* out = y.data<T>();
    std::vector<T> weights;  // of the inputs that each output of a row reads, one after the other
    for (int64_t j = 0; j < horizontal.out; ++j)
      for (int64_t q = horizontal.begin(j); q < horizontal.end(j); ++q)
        weights.push_back(static_cast<T>(horizontal.weight(j, q)));
    const int64_t grain = std::max<int64_t>(1, kGrain / std::max(horizontal.in, horizontal.out));
    parallel_for(x.dim(0) * vertical.out, grain, [&](int64_t begin, int64_t end) {
      std::vector<T> line(horizontal.in);
      for (int64_t at = begin; at < end; ++at) {
        // First over the rows, side by side, so that only their sum is added up number by number.
        const int64_t n = at / vertical.out, i = at % vertical.out;
        std::fill(line.begin(), line.end(), T(0));
        for (int64_t p = vertical.begin(i); p < vertical.end(i); ++p) {
          const T weight = static_cast<T>(vertical.weight(i, p));
          const T* row = in + (n * vertical.in + p) * horizontal.in;
          for (int64_t q = 0; q < horizontal.in; ++q) line[q] += weight * row[q];
        }
        const T* weight = weights.data();
        for (int64_t j = 0; j < horizontal.out; ++j) {
          T total = 0;
          for (int64_t q = horizontal.begin(j); q < horizontal.end(j); ++q) total += *weight++ * line[q];
          out[at * horizontal.out + j] = total;
        }
      }
    });
  });
}

}  // namespace

void area_resize(const Tensor& x, Tensor& y) {
  area(x, y, {y.dim(1), x.dim(1), x.dim(1)}, {y.dim(2), x.dim(2), x.dim(2)});
}

void area_resize_adjoint(const Tensor& g, Tensor& gx) {
  area(g, gx, {gx.dim(1), g.dim(1), gx.dim(1)}, {gx.dim(2), g.dim(2), gx.dim(2)});
}

}  // namespace boxcam::cpu
