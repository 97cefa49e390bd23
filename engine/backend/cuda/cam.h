// Bodies of cam.cu: Grad-CAM and the box penalty with the penalty's derivatives, known up to the factor that comes from
// outside. The activations are read once for the map and once for the derivative for alpha.
#pragma once

#include <cmath>

#include "engine/backend/cuda/reduce.h"
#include "engine/backend/cuda/resize.h"

namespace boxcam::cuda {

/// M[n,i] = sum_k alpha[n,k] A[n,i,k]; 32 threads for each cell.
template <class T, int V>
struct CamMap {
  static constexpr size_t kSharedPerThread = sizeof(double);
  int64_t all_cells, cells, channels;  ///< of all images, and of one
  const T *activations, *alpha;
  T* map;
  BOXCAM_HD static int lanes(int threads) { return threads < 32 ? threads : 32; }
  template <class Block>
  BOXCAM_HD void operator()(Block& block, int64_t number) const {
    const int team = lanes(block.size()), lane = block.rank() % team;
    const int64_t cell = number * (block.size() / team) + block.rank() / team;
    double sum = 0;
    if (cell < all_cells) {
      const T *row = activations + cell * channels, *weights = alpha + divide(cell, cells).quotient * channels;
      T terms = 0;
      for (int64_t k = lane * V; k < channels; k += team * V) {
        const Pack<T, V> a = load<V>(row + k), w = load<V>(weights + k);
        for (int v = 0; v < V; ++v) terms += w.at[v] * a.at[v];
      }
      sum = static_cast<double>(terms);
    }
    add_up_neighbours(block, team, sum);
    if (lane == 0 && cell < all_cells) map[cell] = static_cast<T>(sum);
  }
};

/// d penalty / d alpha[n,k] = sum_i map_grad[n,i] A[n,i,k], by one thread for V channels of an image.
template <class T, int V>
struct AlphaGrad {
  int64_t cells, channels;
  const T *activations, *map_grad;
  T* alpha_grad;
  BOXCAM_HD void operator()(int64_t pack) const {
    const Quotient at = divide(pack * V, channels);
    const T *A = activations + at.quotient * cells * channels + at.remainder, *g = map_grad + at.quotient * cells;
    double sums[V] = {};
    for (int64_t begin = 0; begin < cells; begin += kTerms) {
      T terms[V] = {};
      for (int64_t i = begin; i < least(begin + kTerms, cells); ++i) {
        const Pack<T, V> a = load<V>(A + i * channels);
        for (int v = 0; v < V; ++v) terms[v] += g[i] * a.at[v];
      }
      for (int v = 0; v < V; ++v) sums[v] += static_cast<double>(terms[v]);
    }
    Pack<T, V> out;
    for (int v = 0; v < V; ++v) out.at[v] = static_cast<T>(sums[v]);
    store<V>(alpha_grad + pack * V, out);
  }
};

/// From the map of one image to its CAM, its penalty and d penalty / d map, by one block.
template <class T>
struct CamImage {
  static constexpr int kBlockThreads = 1024;                      // there are few images
  static constexpr size_t kSharedPerThread = 2 * sizeof(double);  // two sums, or a candidate
  static_assert(sizeof(Candidate<T>) <= kSharedPerThread);
  Axis<T> vertical, horizontal;  ///< from the map's cells to the CAM's pixels
  bool constant_normalizer;
  const T *maps, *masks;
  T *cams, *penalties, *map_grads;
  T *scaled_maps, *workspaces;  ///< [N, h, w] and [N, strips, h, W]

  /// How many rows of an image with so many columns the threads of a block take at once.
  BOXCAM_HD static int32_t strips(int32_t threads, int64_t columns) {
    return columns < threads ? threads / static_cast<int32_t>(columns) : 1;
  }

  template <class Block>
  BOXCAM_HD void operator()(Block& block, int64_t n) const {
    const T epsilon = static_cast<T>(1e-7);  // of the min-max, see xai/cam.h
    const int64_t cells = vertical.from * horizontal.from, pixels = vertical.to * horizontal.to;
    const int32_t rows = static_cast<int32_t>(vertical.to), columns = static_cast<int32_t>(horizontal.to),
                  wide_cells = static_cast<int32_t>(vertical.from) * columns,
                  all_strips = strips(block.size(), columns);
    const T *map = maps + n * cells, *mask = masks + n * pixels;
    T *cam = cams + n * pixels, *map_grad = map_grads + n * cells, *scaled = scaled_maps + n * cells,
      *wide = workspaces + n * all_strips * wide_cells;

    // ReLU and the first min-max.
    const Extremes small = extremes(block, 1, cells, [map](int32_t, int32_t, int32_t i) { return positive(map[i]); });
    const T divisor1 = (small.high.value - small.low.value) + epsilon;
    for (int64_t i = block.rank(); i < cells; i += block.size())
      scaled[i] = (positive(map[i]) - small.low.value) / divisor1;
    block.sync();

    // The second min-max, at full resolution: along columns first, then along rows. The CAM's memory holds the resized
    // map first.
    each_place(block, vertical.from, columns, [&](int32_t y, int32_t x, int32_t i) {
      const Tap<T> u = horizontal.tap(x);
      const T* row = scaled + y * horizontal.from;
      wide[i] = (1 - u.t) * row[u.low] + u.t * row[u.high];
    });
    block.sync();
    const Extremes large = extremes(block, vertical.to, columns, [&](int32_t y, int32_t x, int32_t i) {
      const Tap<T> v = vertical.tap(y);
      return cam[i] = (1 - v.t) * wide[v.low * columns + x] + v.t * wide[v.high * columns + x];
    });
    const T divisor2 = (large.high.value - large.low.value) + epsilon, factor2 = 1 / divisor2;
    // The penalty, and the mask's complement carried back to the cells: along rows, each thread for its strip of each
    // of its columns, then along columns.
    double outside[2] = {0, 0};  // mass and pixels
    const int32_t across = least(columns, static_cast<int32_t>(block.size())), strip = block.rank() / across;
    const int32_t last_row = static_cast<int32_t>(vertical.from) - 1;
    for (int32_t x = block.rank() % across; strip < all_strips && x < columns; x += across) {
      T* own = wide + strip * wide_cells + x;  // of this thread alone
      for (int32_t row = 0; row <= last_row; ++row) own[row * columns] = 0;
      int32_t row = 0;
      T low = 0, high = 0;  // for the row and the next
      const auto put_down = [&] {
        own[row * columns] += low;
        own[least(row + 1, last_row) * columns] += high;
        low = high = 0;
      };
      constexpr int32_t kAhead = 4;  // pixels that are read before the first is used
      for (int32_t y = strip; y < rows; y += kAhead * all_strips) {
        T pixel[kAhead] = {}, inside[kAhead] = {};
        for (int32_t k = 0; k < kAhead; ++k) {
          const int32_t at = y + k * all_strips;
          if (at < rows) pixel[k] = cam[at * columns + x], inside[k] = mask[at * columns + x];
        }
        T mass = 0, count = 0;
        for (int32_t k = 0; k < kAhead; ++k) {
          const int32_t at = y + k * all_strips;
          if (at >= rows) break;
          const T value = (pixel[k] - large.low.value) * factor2, complement = 1 - inside[k];
          cam[at * columns + x] = value;
          mass += value * complement;
          count += complement;
          const Tap<T> v = vertical.tap(at);
          if (v.low != row) {
            put_down();
            row = v.low;
          }
          low += (1 - v.t) * complement;
          high += v.t * complement;
        }
        outside[0] += static_cast<double>(mass);
        outside[1] += static_cast<double>(count);
      }
      put_down();
    }
    add_up(block, 1, outside);
    const T penalty = static_cast<T>(outside[0] / static_cast<double>(pixels));
    const T outside_share = static_cast<T>(outside[1] / static_cast<double>(pixels));
    if (block.rank() == 0) penalties[n] = penalty;

    each_place(block, last_row + 1, columns, [&](int32_t, int32_t, int32_t i) {
      T total = 0;
      for (int32_t k = 0; k < all_strips; ++k) total += wide[k * wide_cells + i];
      wide[i] = total;
    });
    block.sync();
    // Of a min-max u = x - min, c = u / (eps + max u): g_u = g / (eps + m), less sum(g c) / (eps + m) at the maximum;
    // g_x = g_u, less sum(g_u) at the minimum. Here for the second one, below for the first.
    double sums[2] = {0, 0};  // of g c and of g
    const int32_t team = least(16, static_cast<int32_t>(block.size())), lane = block.rank() % team;
    for (int64_t begin = 0; begin < cells; begin += block.size() / team) {
      const int64_t i = begin + block.rank() / team;
      const Quotient at = divide(i, horizontal.from);
      T terms = 0;
      for (int64_t x = horizontal.first(at.remainder) + lane; i < cells && x <= horizontal.last(at.remainder);
           x += team)
        terms += horizontal.weight(at.remainder, x) * wide[at.quotient * columns + x];
      double sum = static_cast<double>(terms);
      add_up_neighbours(block, team, sum);
      if (lane != 0 || i >= cells) continue;
      T g = static_cast<T>(sum) / (static_cast<T>(pixels) * divisor2);
      if (!constant_normalizer) {
        g -= share(large.high.index, at) * penalty / divisor2;
        g -= share(large.low.index, at) * (outside_share - penalty) / divisor2;
      }
      map_grad[i] = g;
      sums[0] += static_cast<double>(g * scaled[i]);
      sums[1] += static_cast<double>(g);
    }
    add_up(block, 1, sums);
    for (int64_t i = block.rank(); i < cells; i += block.size()) {
      T g = map_grad[i];
      if (!constant_normalizer) {
        if (i == small.high.index) g -= static_cast<T>(sums[0]);
        if (i == small.low.index) g -= static_cast<T>(sums[1] - sums[0]);
      }
      map_grad[i] = map[i] > 0 ? g / divisor1 : T(0);
    }
  }

 private:
  struct Extremes {
    Candidate<T> low, high;
  };

  BOXCAM_HD static T positive(T v) { return v < T(0) ? T(0) : v; }  // keeps NaN

  /// f(y, x, y columns + x) for all places of [rows, columns], each by one thread, a thread's in rising order.
  template <class Block, class F>
  BOXCAM_HD static void each_place(Block& block, int64_t rows, int64_t columns, const F& f) {
    const int32_t wide = static_cast<int32_t>(columns), across = least(wide, static_cast<int32_t>(block.size())),
                  together = strips(block.size(), columns);
    if (block.rank() >= together * across) return;
    for (int32_t y = block.rank() / across; y < rows; y += together)
      for (int32_t x = block.rank() % across; x < wide; x += across) f(y, x, y * wide + x);
  }

  template <class Block, class Value>
  BOXCAM_HD static Extremes extremes(Block& block, int64_t rows, int64_t columns, const Value& value) {
    const T none = static_cast<T>(NAN);
    T low = none, high = none;
    int32_t low_at = -1, high_at = -1;
    each_place(block, rows, columns, [&](int32_t y, int32_t x, int32_t i) {
      // before(next, low) where next comes later: what is strictly better, or anything instead of a NaN, but for one at
      // 0.
      const T next = value(y, x, i);
      if (next < low || (low != low && low_at != 0)) low = next, low_at = i;
      if (next > high || (high != high && high_at != 0)) high = next, high_at = i;
    });
    return {best(block, true, Candidate<T>{low, low_at}), best(block, false, Candidate<T>{high, high_at})};
  }

  /// How much of the cell `at` (row, column) the resized pixel reads.
  BOXCAM_HD T share(int64_t pixel, const Quotient& at) const {
    const Quotient p = divide(pixel, horizontal.to);
    return vertical.weight(at.quotient, p.quotient) * horizontal.weight(at.remainder, p.remainder);
  }
};

template <class T, int V>
struct CamBoxGrad {
  int64_t cells, channels;
  const T *scale, *map_grad, *alpha;
  T* g;
  BOXCAM_HD void operator()(int64_t pack) const {
    const Quotient by_channel = divide(pack * V, channels);
    const int64_t n = divide(by_channel.quotient, cells).quotient;
    const T factor = scale[n] * map_grad[by_channel.quotient];
    const Pack<T, V> w = load<V>(alpha + n * channels + by_channel.remainder);
    Pack<T, V> out;
    for (int v = 0; v < V; ++v) out.at[v] = factor * w.at[v];
    store<V>(g + pack * V, out);
  }
};

template <class Run>
void cam_box(Run run, const CamBoxArgs& a, const CamBoxResults& r) {
  const Shape &A = a.activations.shape(), &B = a.mask.shape();
  const int64_t n = A[0], h = A[1], w = A[2], channels = A[3], cells = h * w;
  Tensor scaled = Tensor::empty({n, h, w}, a.mask.dtype(), run.device());
  visit_floating(a.mask.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T *activations = pointer<T>(a.activations), *map_grad = pointer<T>(r.map_grad);
    with_pack<T>(channels, {&a.activations, &a.alpha}, [&](auto wide) {
      const int64_t together = run.threads() / CamMap<T, wide>::lanes(run.threads());  // cells of one block
      run.blocks((n * cells + together - 1) / together,
                 CamMap<T, wide>{n * cells, cells, channels, activations, pointer<T>(a.alpha), pointer<T>(r.map)});
    });
    const int64_t strips = CamImage<T>::strips(run.template threads_of<CamImage<T>>(), B[2]);
    Tensor carried = Tensor::empty({n, strips, h, B[2]}, a.mask.dtype(), run.device());
    run.blocks(n, CamImage<T>{{h, B[1]},
                              {w, B[2]},
                              a.constant_normalizer,
                              pointer<T>(r.map),
                              pointer<T>(a.mask),
                              pointer<T>(r.cam),
                              pointer<T>(r.penalty),
                              pointer<T>(r.map_grad),
                              pointer<T>(scaled),
                              pointer<T>(carried)});
    with_pack<T>(channels, {&a.activations, &r.alpha_grad}, [&](auto wide) {
      run.each(n * channels / wide,
               AlphaGrad<T, wide>{cells, channels, activations, map_grad, pointer<T>(r.alpha_grad)});
    });
  });
}

template <class Run>
void cam_box_grad(Run run, const Tensor& scale, const Tensor& map_grad, const Tensor& alpha, Tensor& g) {
  visit_floating(alpha.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const int64_t cells = map_grad.dim(1) * map_grad.dim(2), channels = alpha.dim(1);
    with_pack<T>(channels, {&alpha, &g}, [&](auto wide) {
      run.each(g.numel() / wide, CamBoxGrad<T, wide>{cells, channels, pointer<T>(scale), pointer<T>(map_grad),
                                                     pointer<T>(alpha), pointer<T>(g)});
    });
  });
}

}  // namespace boxcam::cuda
