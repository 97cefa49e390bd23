#include "xai/sanity.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace boxcam {

namespace {

/// Ranks from 0 on, equal values with the mean of theirs; they sum to n (n - 1) / 2.
std::vector<double> ranks(std::span<const double> values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t i, size_t j) { return values[i] < values[j]; });
  std::vector<double> result(values.size());
  for (size_t begin = 0; begin < order.size();) {
    size_t end = begin;
    while (end < order.size() && values[order[end]] == values[order[begin]]) ++end;
    for (size_t i = begin; i < end; ++i) result[order[i]] = static_cast<double>(begin + end - 1) / 2;
    begin = end;
  }
  return result;
}

bool finite(std::span<const double> values) {
  return std::all_of(values.begin(), values.end(), [](double v) { return std::isfinite(v); });
}

/// Sums over rectangles of a function of the pixel, from a table of sums from the corner on.
class AreaSums {
 public:
  template <class F>
  AreaSums(int64_t height, int64_t width, F f) : stride_(width + 1), sums_((height + 1) * (width + 1)) {
    for (int64_t y = 0; y < height; ++y) {
      double row = 0;
      for (int64_t x = 0; x < width; ++x) {
        row += f(y * width + x);
        sums_[(y + 1) * stride_ + x + 1] = sums_[y * stride_ + x + 1] + row;
      }
    }
  }
  double mean(int64_t y, int64_t x, int64_t side) const {
    const auto at = [&](int64_t row, int64_t column) { return sums_[row * stride_ + column]; };
    const double sum = at(y + side, x + side) - at(y, x + side) - at(y + side, x) + at(y, x);
    return sum / static_cast<double>(side * side);
  }

 private:
  int64_t stride_;
  std::vector<double> sums_;
};

}  // namespace

double rank_correlation(std::span<const double> a, std::span<const double> b) {
  check(a.size() == b.size(), "rank_correlation: expected as many values, found ", a.size(), " and ", b.size());
  if (!finite(a) || !finite(b)) return NAN;
  const std::vector<double> ra = ranks(a), rb = ranks(b);
  const double mean = (static_cast<double>(a.size()) - 1) / 2;
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    ab += (ra[i] - mean) * (rb[i] - mean);
    aa += (ra[i] - mean) * (ra[i] - mean);
    bb += (rb[i] - mean) * (rb[i] - mean);
  }
  return aa > 0 && bb > 0 ? ab / std::sqrt(aa * bb) : NAN;
}

double structural_similarity(std::span<const double> a, std::span<const double> b, int64_t height, int64_t width) {
  const auto pixels = static_cast<size_t>(height * width);
  check(a.size() == pixels && b.size() == pixels, "structural_similarity: expected ", pixels, " values, found ",
        a.size(), " and ", b.size());
  constexpr double kFirst = 0.01 * 0.01, kSecond = 0.03 * 0.03;
  const int64_t side = std::min({int64_t{7}, height, width});
  const AreaSums of_a(height, width, [&](int64_t i) { return a[i]; });
  const AreaSums of_b(height, width, [&](int64_t i) { return b[i]; });
  const AreaSums of_aa(height, width, [&](int64_t i) { return a[i] * a[i]; });
  const AreaSums of_bb(height, width, [&](int64_t i) { return b[i] * b[i]; });
  const AreaSums of_ab(height, width, [&](int64_t i) { return a[i] * b[i]; });
  double total = 0;
  for (int64_t y = 0; y + side <= height; ++y)
    for (int64_t x = 0; x + side <= width; ++x) {
      const double ma = of_a.mean(y, x, side), mb = of_b.mean(y, x, side);
      const double spread = of_aa.mean(y, x, side) - ma * ma + of_bb.mean(y, x, side) - mb * mb;
      const double common = of_ab.mean(y, x, side) - ma * mb;
      total += (2 * ma * mb + kFirst) * (2 * common + kSecond) / ((ma * ma + mb * mb + kFirst) * (spread + kSecond));
    }
  return total / static_cast<double>((height - side + 1) * (width - side + 1));
}

void randomise(Classifier& model, const Classifier& fresh, const std::string& part) {
  std::vector<NamedTensor> mine = model.named_tensors();
  const std::vector<NamedTensor> theirs = fresh.named_tensors();
  check(mine.size() == theirs.size(), "randomise: ", fresh.name(), " is not a fresh ", model.name());
  for (size_t i = 0; i < mine.size(); ++i)
    if (model.part_of(mine[i].name) == part) mine[i].tensor.copy_from(theirs[i].tensor);
}

void MapSimilarity::add(std::span<const double> before, std::span<const double> after, int64_t height, int64_t width) {
  ++images;
  const double rank = rank_correlation(before, after);
  if (std::isnan(rank)) {
    ++undefined;
    return;
  }
  rank_sum += rank;
  ssim_sum += structural_similarity(before, after, height, width);
}

SanityCheck::SanityCheck(Classifier& model, const Classifier& fresh, std::vector<const Explainer*> explainers,
                         const ExplainOptions& options)
    : model_(model), fresh_(fresh), explainers_(std::move(explainers)), options_(options) {
  settle_taps(options_, model);
  options_.cam.gradient = CamGradient::none;
  std::vector<std::string> parts = model.parts();
  std::reverse(parts.begin(), parts.end());
  for (const Randomisation how : {Randomisation::cascading, Randomisation::independent})
    for (const std::string& part : parts) rows_.push_back({how, part, std::vector<MapSimilarity>(explainers_.size())});
}

/// One pass, and the CAM of each explainer. `classes` says which are explained; undefined: the options say, and it is
/// set.
std::vector<Tensor> SanityCheck::maps(Classifier& model, const Tensor& x, const Tensor& labels, Tensor& classes) const {
  ExplainOptions options = options_;
  const bool differentiated =
      !has_closed_form(model, options) &&
      std::any_of(explainers_.begin(), explainers_.end(), [](const Explainer* e) { return e->needs_gradient(); });
  const Forward pass = explained_forward(model, x, ForwardOptions::observing(), options, differentiated);
  if (!classes.defined()) classes = explained_classes(pass.logits, labels, options);
  options.explains = ExplainOptions::Class::label;
  std::vector<Tensor> result;
  for (const Explainer* e : explainers_) {
    options.cam.explainer = e;
    result.push_back(explain(model, x, pass, classes, options).cam);
  }
  return result;
}

void SanityCheck::add(const Tensor& x, const Tensor& labels) {
  Tensor classes;
  const std::vector<Tensor> before = maps(model_, x, labels, classes);
  const int64_t N = x.dim(0), height = x.dim(1), width = x.dim(2);
  const auto pixels = static_cast<size_t>(height * width);
  const std::unique_ptr<Classifier> changed = model_.copy();
  for (size_t row = 0; row < rows_.size(); ++row) {
    SanityRow& r = rows_[row];
    if (r.how == Randomisation::independent || row == 0) changed->copy_from(model_);
    randomise(*changed, fresh_, r.part);
    const std::vector<Tensor> after = maps(*changed, x, labels, classes);
    for (size_t i = 0; i < explainers_.size(); ++i) {
      const std::vector<double> a = before[i].to_vector(), b = after[i].to_vector();
      for (int64_t n = 0; n < N; ++n)
        r.explainers[i].add({a.data() + n * pixels, pixels}, {b.data() + n * pixels, pixels}, height, width);
    }
  }
}

}  // namespace boxcam
