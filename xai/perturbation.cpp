#include "xai/perturbation.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>

#include "engine/base/parallel.h"
#include "engine/ops.h"
#include "xai/imputation.h"

namespace boxcam {

namespace {

using Rows = std::vector<CamMetric::Row>;

/// Shows pictures to the network, `batch` at a time, and writes the probability of a class of each to where it is
/// wanted.
template <class T>
class Showing {
 public:
  explicit Showing(const MetricPictures& pictures)
      : pictures_(pictures), values_(pictures.x.numel() / pictures.x.dim(0)) {}

  /// One more picture, of image n; `write` writes its values, at the latest in `finish`, on any thread.
  void add(int64_t n, double* probability, std::function<void(T* to)> write) {
    wanted_.push_back({pictures_.classes[n], probability, std::move(write)});
    if (std::ssize(wanted_) == pictures_.batch) show();
  }
  /// Shows what is left; false when it was stopped.
  bool finish() {
    show();
    return !stopped();
  }
  /// Asked for in loops, since nothing is shown any more.
  bool stopped() const { return stopped_; }
  int64_t values() const { return values_; }

 private:
  void show() {
    stopped_ = stopped_ || (pictures_.stop && pictures_.stop());
    if (!stopped_ && !wanted_.empty()) {
      const NoGrad no_grad;
      Shape shape = pictures_.x.shape();
      shape[0] = std::ssize(wanted_);
      Tensor x = Tensor::empty(shape, pictures_.x.dtype());
      parallel_for(shape[0], 1, [&, to = x.data<T>()](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) wanted_[i].write(to + i * values_);
      });
      const bool on_host = pictures_.x.device() == Device::cpu;
      const Tensor probabilities = softmax(pictures_.logits(on_host ? x : x.to(pictures_.x.device())));
      const std::vector<double> all = probabilities.to_vector();
      for (size_t i = 0; i < wanted_.size(); ++i)
        *wanted_[i].probability = all[i * probabilities.dim(1) + wanted_[i].label];
    }
    wanted_.clear();
  }

  struct Wanted {
    int32_t label;
    double* probability;
    std::function<void(T*)> write;
  };
  const MetricPictures& pictures_;
  int64_t values_;
  std::vector<Wanted> wanted_;
  bool stopped_ = false;
};

/// f(T{}) with the pictures' type.
template <class F>
bool in_type_of(const MetricGround& ground, F&& f) {
  bool done = false;
  visit_floating(ground.pictures().x.dtype(), [&](auto zero) { done = f(zero); });
  return done;
}

/// The probabilities in x C, for all metrics that ask for them.
bool find_masked_scores(Maps& maps, MetricGround& ground, const Rows& rows) {
  if (!maps.masked_scores.empty()) return true;
  std::vector<double> scores(maps.size());
  return in_type_of(ground, [&]<class T>(T) {
    Showing<T> showing(ground.pictures());
    const Tensor x = ground.pictures().x.to(Device::cpu);
    const int64_t channels = x.dim(3);
    for (const auto& row : rows) {
      const int64_t n = row.image;
      showing.add(n, &scores[n], [=, from = x.data<T>() + n * showing.values(), map = maps.map(n)](T* to) {
        for (int64_t pixel = 0, i = 0; pixel < std::ssize(map); ++pixel)
          for (int64_t c = 0; c < channels; ++c, ++i) to[i] = from[i] * static_cast<T>(map[pixel]);
      });
    }
    if (!showing.finish()) return false;
    maps.masked_scores = scores;
    return true;
  });
}

// ---- insertion and deletion -----------------------------------------------------------------------------------------

/// After how many pixels of `order` the network looks.
std::vector<int64_t> every(int64_t step, int64_t pixels) {
  std::vector<int64_t> counts;
  for (int64_t count = 0; count < pixels; count += step) counts.push_back(count);
  counts.push_back(pixels);
  return counts;
}

std::vector<int64_t> in_steps(int64_t steps, int64_t pixels) {
  std::vector<int64_t> counts;
  for (int64_t i = 0; i <= steps; ++i) counts.push_back(i * pixels / steps);
  return counts;
}

/// Over the steps, all alike, as RISE takes it: the last may be shorter.
double area_over_steps(const std::vector<double>& scores) {
  double sum = -(scores.front() + scores.back()) / 2;
  for (const double s : scores) sum += s;
  return sum / static_cast<double>(scores.size() - 1);
}

/// The place of each pixel in an order.
std::vector<int32_t> ranks_of(const std::vector<int32_t>& order) {
  std::vector<int32_t> ranks(order.size());
  for (size_t k = 0; k < order.size(); ++k) ranks[order[k]] = static_cast<int32_t>(k);
  return ranks;
}

double area_over_pixels(const std::vector<double>& scores, const std::vector<int64_t>& counts) {
  double area = 0;
  for (size_t i = 1; i < scores.size(); ++i)
    area += (scores[i] + scores[i - 1]) / 2 * static_cast<double>(counts[i] - counts[i - 1]);
  return area / static_cast<double>(counts.back());
}

/// The pictures on the way from one to another, of which the `counts` first pixels are the other's. By pixel, `ranks`
/// tells how many come before.
template <class T>
void walk(Showing<T>& showing, int64_t n, const T* from, const T* to, std::shared_ptr<const std::vector<int32_t>> ranks,
          const std::vector<int64_t>& counts, std::vector<double>& scores) {
  scores.resize(counts.size());
  const int64_t pixels = std::ssize(*ranks), channels = showing.values() / pixels;
  for (size_t i = 0; i < counts.size() && !showing.stopped(); ++i)
    showing.add(n, &scores[i], [=, count = counts[i]](T* out) {
      for (int64_t pixel = 0, k = 0; pixel < pixels; ++pixel)
        for (int64_t c = 0; c < channels; ++c, ++k) out[k] = (*ranks)[pixel] < count ? to[k] : from[k];
    });
}

constexpr int64_t kTorchCamSteps = 20;

bool curves(Maps& maps, MetricGround& ground, const Rows& rows, bool inserting) {
  return in_type_of(ground, [&]<class T>(T) {
    const Tensor x = ground.pictures().x.to(Device::cpu), blurred = inserting ? rise_blur(x) : Tensor();
    const auto of_rise = every(maps.width(), maps.pixels()), of_torch_cam = in_steps(kTorchCamSteps, maps.pixels());
    Showing<T> showing(ground.pictures());
    const std::vector<T> zeros(showing.values());
    std::vector<std::vector<double>> rise(rows.size()), torch_cam(rows.size());
    for (size_t i = 0; i < rows.size() && !showing.stopped(); ++i) {
      const int64_t n = rows[i].image;
      const auto ranks = std::make_shared<const std::vector<int32_t>>(ranks_of(maps.order(n)));
      const T* picture = x.data<T>() + n * showing.values();
      if (inserting) {
        walk(showing, n, blurred.data<T>() + n * showing.values(), picture, ranks, of_rise, rise[i]);
        walk(showing, n, zeros.data(), picture, ranks, of_torch_cam, torch_cam[i]);
      } else {
        walk(showing, n, picture, zeros.data(), ranks, of_rise, rise[i]);
        walk(showing, n, picture, zeros.data(), ranks, of_torch_cam, torch_cam[i]);
      }
    }
    if (!showing.finish()) return false;
    for (size_t i = 0; i < rows.size(); ++i) {
      rows[i].out[0] = area_over_steps(rise[i]);
      rows[i].out[1] = area_over_pixels(torch_cam[i], of_torch_cam);
    }
    return true;
  });
}

// ---- ROAD -----------------------------------------------------------------------------------------------------------

constexpr int kShares = 9;  // of the pixels: a tenth to nine tenths

/// What is missing, for every share: the most relevant pixels first, then, as many again, the least relevant.
using Removal = std::vector<char>;

Removal by_rank(const Maps& maps, int64_t n) {
  const std::vector<int32_t> order = maps.order(n);
  const int64_t pixels = maps.pixels();
  Removal missing(2 * kShares * pixels);
  for (int share = 1; share <= kShares; ++share) {
    const int64_t count = (share * pixels + 5) / 10;
    char* const most = &missing[(share - 1) * pixels];
    char* const least = most + kShares * pixels;
    for (int64_t k = 0; k < count; ++k) most[order[k]] = least[order[pixels - 1 - k]] = 1;
  }
  return missing;
}

/// Empty where a percentile leaves no pixel, because the map's values are equal from there on.
Removal by_percentile(const Maps& maps, int64_t n) {
  std::vector<double> least(maps.map(n).begin(), maps.map(n).end());
  for (double& v : least) v = 1 - v;
  Removal missing;
  for (const std::span<const double> map : {maps.map(n), std::span<const double>(least)})
    for (int share = 1; share <= kShares; ++share) {
      const std::vector<char> removed = removed_by_percentile(map, 100 - 10 * share);
      if (std::count(removed.begin(), removed.end(), 0) == 0) return {};
      missing.insert(missing.end(), removed.begin(), removed.end());
    }
  return missing;
}

template <class T>
Tensor repeated(const Tensor& x, int64_t n, int64_t times) {
  const int64_t values = x.numel() / x.dim(0);
  std::vector<T> all;
  for (int64_t i = 0; i < times; ++i) all.insert(all.end(), x.data<T>() + n * values, x.data<T>() + (n + 1) * values);
  return Tensor::from({times, x.dim(1), x.dim(2), x.dim(3)}, all);
}

bool remove_and_debias(Maps& maps, MetricGround& ground, const Rows& rows, Removal (*removal)(const Maps&, int64_t)) {
  return in_type_of(ground, [&]<class T>(T) {
    const MetricPictures& pictures = ground.pictures();
    const Tensor x = pictures.x.to(Device::cpu);
    const int64_t pixels = maps.pixels(), channels = x.dim(3);
    Showing<T> showing(pictures);
    std::vector<std::vector<double>> probabilities(rows.size());
    for (size_t r = 0; r < rows.size() && !showing.stopped(); ++r) {
      const int64_t n = rows[r].image;
      const auto missing = std::make_shared<const Removal>(removal(maps, n));
      if (missing->empty()) continue;
      const Tensor imputed = impute(repeated<T>(x, n, 2 * kShares), *missing);
      probabilities[r].resize(2 * kShares);
      for (int k = 0; k < 2 * kShares; ++k)
        showing.add(n, &probabilities[r][k], [=, noise = ground.noise(n)](T* to) {
          const T* const from = imputed.data<T>() + k * pixels * channels;
          for (int64_t pixel = 0, i = 0; pixel < pixels; ++pixel)
            for (int64_t c = 0; c < channels; ++c, ++i)
              to[i] = from[i] + ((*missing)[k * pixels + pixel] ? static_cast<T>(noise[i]) : T(0));
        });
    }
    if (!showing.finish()) return false;
    for (size_t r = 0; r < rows.size(); ++r) {
      if (probabilities[r].empty()) continue;
      double most = 0, least = 0;
      for (int k = 0; k < kShares; ++k) most += probabilities[r][k], least += probabilities[r][kShares + k];
      const double before = pictures.scores[rows[r].image];
      most = most / kShares - before, least = least / kShares - before;
      double* const out = rows[r].out;
      out[0] = (least - most) / 2, out[1] = most, out[2] = least, out[3] = 0;
    }
    return true;
  });
}

}  // namespace

bool drop(Maps& maps, MetricGround& ground, const Rows& rows) {
  if (!find_masked_scores(maps, ground, rows)) return false;
  for (const auto& [n, out] : rows) {
    const double before = ground.pictures().scores[n], lost = std::max(0.0, before - maps.masked_scores[n]);
    out[0] = lost / (before + 1e-7), out[1] = lost;
  }
  return true;
}

bool increase(Maps& maps, MetricGround& ground, const Rows& rows) {
  if (!find_masked_scores(maps, ground, rows)) return false;
  for (const auto& [n, out] : rows) out[0] = maps.masked_scores[n] > ground.pictures().scores[n];
  return true;
}

bool insertion(Maps& maps, MetricGround& ground, const Rows& rows) { return curves(maps, ground, rows, true); }
bool deletion(Maps& maps, MetricGround& ground, const Rows& rows) { return curves(maps, ground, rows, false); }
bool road(Maps& maps, MetricGround& ground, const Rows& rows) { return remove_and_debias(maps, ground, rows, by_rank); }
bool road_pgc(Maps& maps, MetricGround& ground, const Rows& rows) {
  return remove_and_debias(maps, ground, rows, by_percentile);
}

std::vector<double> rise_kernel() {
  constexpr int cells = 11, sigma = 5, reach = 4 * sigma;
  double sum = 0;
  for (int d = -reach; d <= reach; ++d) sum += std::exp(-0.5 * d * d / (sigma * sigma));
  std::vector<double> kernel(cells);
  for (int i = 0; i < cells; ++i)
    for (int d = -reach; d <= reach; ++d) {
      const int folded = ((i + d) % (2 * cells) + 2 * cells) % (2 * cells);  // d c b a | a b c d | d c b a
      if (std::min(folded, 2 * cells - 1 - folded) == cells / 2)
        kernel[i] += std::exp(-0.5 * d * d / (sigma * sigma)) / sum;
    }
  return kernel;
}

Tensor rise_blur(const Tensor& x) {
  const std::vector<double> kernel = rise_kernel();
  const int64_t reach = std::ssize(kernel) / 2, height = x.dim(1), row = x.dim(2) * x.dim(3), channels = x.dim(3);
  Tensor result = x.clone();
  visit_floating(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    parallel_for(x.dim(0) * height, 1, [&](int64_t begin, int64_t end) {
      std::vector<double> down(row);
      for (int64_t at = begin; at < end; ++at) {
        const int64_t n = at / height, y = at % height;
        std::fill(down.begin(), down.end(), 0);
        for (int64_t d = std::max(-reach, -y); d <= std::min(reach, height - 1 - y); ++d) {
          const T* from = x.data<T>() + (n * height + y + d) * row;
          for (int64_t i = 0; i < row; ++i) down[i] += kernel[d + reach] * from[i];
        }
        T* to = result.data<T>() + (n * height + y) * row;
        for (int64_t i = 0; i < row; ++i) {
          double sum = 0;
          for (int64_t d = -reach; d <= reach; ++d)
            if (const int64_t k = i + d * channels; k >= 0 && k < row) sum += kernel[d + reach] * down[k];
          to[i] = static_cast<T>(sum);
        }
      }
    });
  });
  return result;
}

std::vector<char> removed_by_percentile(std::span<const double> map, double percent) {
  std::vector<double> sorted(map.begin(), map.end());
  const double rank = percent / 100 * static_cast<double>(sorted.size() - 1);
  const auto low = sorted.begin() + static_cast<int64_t>(rank);
  std::nth_element(sorted.begin(), low, sorted.end());
  const double next = low + 1 < sorted.end() ? *std::min_element(low + 1, sorted.end()) : *low;
  const double threshold = *low + (rank - std::floor(rank)) * (next - *low);
  std::vector<char> removed(map.size());
  for (size_t i = 0; i < map.size(); ++i) removed[i] = map[i] >= threshold;
  return removed;
}

}  // namespace boxcam
