// Grad-CAM and the box penalty of one image after the other, each while its activations are in the cache: they are read
// once, and the penalty's derivatives, known up to the factor that comes from outside, are made on the way.
#include <algorithm>
#include <limits>
#include <span>
#include <vector>

#include "engine/backend/cpu/bilinear.h"
#include "engine/backend/cpu/dot.h"
#include "engine/backend/cpu/row_writer.h"
#include "engine/backend/cpu/table.h"
#include "engine/base/parallel.h"
#include "engine/dtype.h"

namespace boxcam::cpu {

namespace {

constexpr double kEpsilon = 1e-7;  // of the min-max, see xai/cam.h

template <class T>
struct Extreme {
  T value;
  int64_t index;  ///< the first place where it is
};
template <class T>
struct Extremes {
  Extreme<T> low{std::numeric_limits<T>::max(), 0}, high{std::numeric_limits<T>::lowest(), 0};

  /// Values at `begin`..; smaller places were seen before.
  void see(const T* values, int64_t count, int64_t begin) {
    T least = values[0], most = values[0];
#pragma omp simd reduction(min : least) reduction(max : most)
    for (int64_t i = 0; i < count; ++i) {
      least = values[i] < least ? values[i] : least;
      most = values[i] > most ? values[i] : most;
    }
    if (least < low.value) low = {least, begin + (std::find(values, values + count, least) - values)};
    if (most > high.value) high = {most, begin + (std::find(values, values + count, most) - values)};
  }
};

/// Asks for what will be read soon.
template <class T>
void prefetch(const T* values, int64_t count) {
  constexpr int64_t kLine = 64 / sizeof(T);
  for (int64_t i = 0; i < count; i += kLine) __builtin_prefetch(values + i);
}

/// Work space and constants of one thread.
template <class T>
class CamBox {
 public:
  CamBox(int64_t h, int64_t w, int64_t rows, int64_t columns, bool constant_normalizer)
      : h_(h),
        w_(w),
        rows_(rows),
        columns_(columns),
        constant_(constant_normalizer),
        ty_(bilinear_taps<T>(h, rows)),
        tx_(bilinear_taps<T>(w, columns)),
        positive_(h * w),
        scaled_(h * w),
        grad_(h * w),
        wide_(h * columns),
        wide_grad_(h * columns),
        line_(columns) {}

  /// From the map to the CAM and the penalty; map_grad gets d penalty / d map. Memory has nothing to do for most of
  /// this: it fetches the mask, and `next`, the activations that come after.
  T image(const T* map, const T* mask, std::span<const T> next, RowWriter<T>& writer, T* cam, T* map_grad) {
    const int64_t cells = h_ * w_;
    // ReLU and the first min-max.
    for (int64_t i = 0; i < cells; ++i) positive_[i] = map[i] > 0 || map[i] != map[i] ? map[i] : T(0);
    Extremes<T> small;
    small.see(positive_.data(), cells, 0);
    const T divisor1 = (small.high.value - small.low.value) + static_cast<T>(kEpsilon);
    for (int64_t i = 0; i < cells; ++i) scaled_[i] = (positive_[i] - small.low.value) / divisor1;
    // Resized along rows; along columns it is done again wherever a line is needed.
    for (int64_t i = 0; i < h_; ++i)
      for (int64_t x = 0; x < columns_; ++x) {
        const auto& [a, b, u] = tx_[x];
        wide_[i * columns_ + x] = (1 - u) * scaled_[i * w_ + a] + u * scaled_[i * w_ + b];
      }
    Extremes<T> large;
    for (int64_t y = 0; y < rows_; ++y) {
      prefetch(mask + y * columns_, columns_);
      large.see(resized_line(y), columns_, y * columns_);
    }
    // The second min-max, the penalty, and the mask's complement carried back to h rows.
    const T low = large.low.value, divisor2 = (large.high.value - low) + static_cast<T>(kEpsilon);
    std::fill(wide_grad_.begin(), wide_grad_.end(), T(0));
    double total = 0, outside_pixels = 0;
    for (int64_t y = 0; y < rows_; ++y) {
      const int64_t begin = next.size() * y / rows_;
      prefetch(next.data() + begin, next.size() * (y + 1) / rows_ - begin);
      const T* line = resized_line(y);
      const T* inside = mask + y * columns_;
      T* out = cam + y * columns_;
      T* __restrict near = &wide_grad_[ty_[y].low * columns_];
      T* __restrict far = &wide_grad_[ty_[y].high * columns_];
      const T v = ty_[y].t;
      for_each_chunk(columns_, [&](int64_t first, int64_t count) {
        T mass = 0, pixels = 0;
        writer.write(out + first, count, [&](T* __restrict values) {
          const T *resized = line + first, *known = inside + first;
#pragma omp simd reduction(+ : mass, pixels)
          for (int64_t x = 0; x < count; ++x) {
            const T outside = 1 - known[x];
            values[x] = (resized[x] - low) / divisor2;
            mass += values[x] * outside;
            pixels += outside;
          }
        });
        total += mass;
        outside_pixels += pixels;
      });
      for (int64_t x = 0; x < columns_; ++x) near[x] += (1 - v) * (1 - inside[x]);
      for (int64_t x = 0; x < columns_; ++x) far[x] += v * (1 - inside[x]);
    }
    const double pixels = static_cast<double>(rows_ * columns_);
    gradient(static_cast<T>(total / pixels), static_cast<T>(outside_pixels / pixels), small, large, divisor1, divisor2,
             map, map_grad);
    return static_cast<T>(total / pixels);
  }

 private:
  const T* resized_line(int64_t y) {
    const T *a = &wide_[ty_[y].low * columns_], *b = &wide_[ty_[y].high * columns_];
    const T v = ty_[y].t;
    for (int64_t x = 0; x < columns_; ++x) line_[x] = (1 - v) * a[x] + v * b[x];
    return line_.data();
  }

  /// Adds `value` times the resize's derivative for output position `index`.
  void add_resized(int64_t index, T value) {
    const auto& [y0, y1, v] = ty_[index / columns_];
    const auto& [x0, x1, u] = tx_[index % columns_];
    grad_[y0 * w_ + x0] += value * (1 - v) * (1 - u);
    grad_[y0 * w_ + x1] += value * (1 - v) * u;
    grad_[y1 * w_ + x0] += value * v * (1 - u);
    grad_[y1 * w_ + x1] += value * v * u;
  }

  /// The chain: mask, second min-max, resize, first min-max, ReLU gate. Of a min-max u = x - min, c = u / (eps + m):
  /// g_u = g / (eps + m), less sum(g c) / (eps + m) at the maximum; g_x = g_u, less sum(g_u) at the minimum.
  void gradient(T penalty, T outside, const Extremes<T>& small, const Extremes<T>& large, T divisor1, T divisor2,
                const T* map, T* map_grad) {
    const int64_t cells = h_ * w_;
    const T pixels = static_cast<T>(rows_ * columns_);
    std::fill(grad_.begin(), grad_.end(), T(0));
    for (int64_t i = 0; i < h_; ++i)
      for (int64_t x = 0; x < columns_; ++x) {
        const auto& [a, b, u] = tx_[x];
        const T g = wide_grad_[i * columns_ + x] / (pixels * divisor2);
        grad_[i * w_ + a] += (1 - u) * g;
        grad_[i * w_ + b] += u * g;
      }
    if (!constant_) {
      add_resized(large.high.index, -penalty / divisor2);
      add_resized(large.low.index, -(outside - penalty) / divisor2);
    }
    T along = 0, all = 0;  // sum(g c), sum(g) of the first min-max
    for (int64_t i = 0; i < cells; ++i) {
      along += grad_[i] * scaled_[i];
      all += grad_[i];
    }
    for (int64_t i = 0; i < cells; ++i) grad_[i] /= divisor1;
    if (!constant_) {
      grad_[small.high.index] -= along / divisor1;
      grad_[small.low.index] -= (all - along) / divisor1;
    }
    for (int64_t i = 0; i < cells; ++i) map_grad[i] = map[i] > 0 ? grad_[i] : T(0);
  }

  int64_t h_, w_, rows_, columns_;
  bool constant_;
  std::vector<BilinearTap<T>> ty_, tx_;
  std::vector<T> positive_, scaled_, grad_, wide_, wide_grad_, line_;
};

}  // namespace

void cam_box(const CamBoxArgs& a, const CamBoxResults& r) {
  visit_floating(a.activations.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const int64_t h = a.activations.dim(1), w = a.activations.dim(2), channels = a.activations.dim(3), cells = h * w,
                  rows = a.mask.dim(1), columns = a.mask.dim(2);
    parallel_for(a.activations.dim(0), 1, [&](int64_t begin, int64_t end) {
      CamBox<T> work(h, w, rows, columns, a.constant_normalizer);
      RowWriter<T> writer(r.cam.bytes(), columns);
      for (int64_t n = begin; n < end; ++n) {
        const T *A = a.activations.data<T>() + n * cells * channels, *alpha = a.alpha.data<T>() + n * channels;
        T *map = r.map.data<T>() + n * cells, *map_grad = r.map_grad.data<T>() + n * cells,
          *alpha_grad = r.alpha_grad.data<T>() + n * channels;
        for (int64_t i = 0; i < cells; ++i) map[i] = dot(alpha, A + i * channels, channels);
        const std::span<const T> next(A + cells * channels, n + 1 < end ? cells * channels : 0);
        r.penalty.data<T>()[n] = work.image(map, a.mask.data<T>() + n * rows * columns, next, writer,
                                            r.cam.data<T>() + n * rows * columns, map_grad);
        std::fill_n(alpha_grad, channels, T(0));
        for (int64_t i = 0; i < cells; ++i)
          for (int64_t k = 0; k < channels; ++k) alpha_grad[k] += map_grad[i] * A[i * channels + k];
      }
    });
  });
}

void cam_box_grad(const Tensor& scale, const Tensor& map_grad, const Tensor& alpha, Tensor& g_activations) {
  visit_floating(alpha.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const int64_t channels = alpha.dim(1), cells = map_grad.dim(1) * map_grad.dim(2);
    parallel_for(alpha.dim(0) * cells, std::max<int64_t>(1, kGrain / channels), [&](int64_t begin, int64_t end) {
      RowWriter<T> writer(g_activations.bytes(), channels);
      for (int64_t i = begin; i < end; ++i) {
        const int64_t n = i / cells;
        const T factor = scale.data<T>()[n] * map_grad.data<T>()[i], *a = alpha.data<T>() + n * channels;
        T* g = g_activations.data<T>() + i * channels;
        for_each_chunk(channels, [&](int64_t first, int64_t count) {
          writer.write(g + first, count, [=](T* __restrict values) {
            for (int64_t k = 0; k < count; ++k) values[k] = factor * a[first + k];
          });
        });
      }
    });
  });
}

}  // namespace boxcam::cpu
