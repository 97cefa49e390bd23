#include "xai/metrics.h"

#include <algorithm>
#include <cmath>

#include "engine/dtype.h"
#include "engine/ops.h"
#include "xai/multi_label.h"

namespace boxcam {

namespace {
double ratio(double part, double whole) { return whole > 0 ? part / whole : NAN; }

template <class T>
CamRecord record_of(const T* cam, const T* mask, int64_t pixels) {
  double inside = 0, total = 0, covered = 0, box_area = 0;
#pragma omp simd reduction(+ : inside, total, covered, box_area)
  for (int64_t i = 0; i < pixels; ++i) {
    const double value = cam[i], box = mask[i];
    total += value;
    inside += value * box;
    box_area += box;
    covered += value > 0.5 ? box : 0;
  }
  return {inside, total, covered, box_area};
}
}  // namespace

std::vector<CamRecord> cam_records(const Tensor& cam, const Tensor& mask) {
  check(cam.ndim() == 3 && cam.shape() == mask.shape(), "metrics: expected a CAM and a mask of one shape, found ",
        cam.shape(), " and ", mask.shape());
  if (cam.device() != Device::cpu) return cam_records_by_ops(cam, mask);
  const Tensor m = mask.to(cam.dtype());
  const int64_t pixels = cam.dim(1) * cam.dim(2);
  std::vector<CamRecord> records;
  visit_floating(cam.dtype(), [&](auto zero) {
    using T = decltype(zero);
    for (int64_t n = 0; n < cam.dim(0); ++n)
      records.push_back(record_of(cam.data<T>() + n * pixels, m.data<T>() + n * pixels, pixels));
  });
  return records;
}

std::vector<CamRecord> cam_records_by_ops(const Tensor& cam, const Tensor& mask) {
  const NoGrad no_grad;
  const Tensor box = mask.to(cam.dtype()), half = Tensor::scalar(0.5, cam.dtype(), cam.device());
  const auto per_image = [](const Tensor& x) { return sum(x, {1, 2}).to_vector(); };
  const auto inside = per_image(cam * box), total = per_image(cam), covered = per_image(greater(cam, half) * box),
             box_area = per_image(box);
  std::vector<CamRecord> records;
  for (size_t n = 0; n < total.size(); ++n) records.push_back({inside[n], total[n], covered[n], box_area[n]});
  return records;
}

std::vector<int32_t> predictions(const Tensor& logits) {
  const Tensor index = argmax(logits.detach()).to(Device::cpu);
  return {index.data<int32_t>(), index.data<int32_t>() + index.numel()};
}

void Metrics::add(const Tensor& logits, const Tensor& labels, const Tensor& cam, const Tensor& mask) {
  const Tensor on_host = labels.to(Device::cpu);
  add({on_host.data<int32_t>(), static_cast<size_t>(on_host.numel())}, predictions(logits), cam_records(cam, mask));
}

void Metrics::add(std::span<const int32_t> labels, std::span<const int32_t> predicted,
                  std::span<const CamRecord> records) {
  check(task_ == Task::single_label, "metrics: labels of one class were added to those of several");
  check(labels.size() == predicted.size() && labels.size() == records.size(), "metrics: expected as many labels as ",
        "predictions and records, found ", labels.size(), ", ", predicted.size(), " and ", records.size());
  for (size_t n = 0; n < labels.size(); ++n) ++confusion_[labels[n] * classes_ + predicted[n]];
  images_ += static_cast<int64_t>(labels.size());
  add_cams(records, static_cast<double>(labels.size()));
}

void Metrics::add(std::span<const double> scores, std::span<const char> shows, std::span<const CamRecord> records) {
  check(task_ == Task::multi_label, "metrics: labels of several classes were added to those of one");
  check(scores.size() == shows.size() && scores.size() % static_cast<size_t>(classes_) == 0,
        "metrics: expected scores and marks [N, ", classes_, "], found ", scores.size(), " and ", shows.size());
  scores_.insert(scores_.end(), scores.begin(), scores.end());
  shows_.insert(shows_.end(), shows.begin(), shows.end());
  const int64_t images = static_cast<int64_t>(scores.size()) / classes_;
  images_ += images;
  add_cams(records, static_cast<double>(images));
}

void Metrics::add_cams(std::span<const CamRecord> records, double images) {
  double inside = 0, total = 0;
  for (const CamRecord& r : records) {
    if (!r.boxed()) continue;
    ++boxed_;
    coverage_ += r.covered / r.box_area;
    if (r.empty()) {
      ++empty_;
      continue;
    }
    inside += r.inside;
    total += r.total;
    image_ratios_ += r.inside / r.total;
  }
  inside_ += inside;
  total_ += total;
  if (total > 0) {
    batch_ratios_ += images * inside / total;
    batch_weight_ += images;
  }
}

double Metrics::accuracy() const {
  if (task_ == Task::multi_label) return mean_average_precision(scores_, shows_, classes_);
  int64_t right = 0;
  for (int64_t c = 0; c < classes_; ++c) right += confusion(c, c);
  return ratio(static_cast<double>(right), static_cast<double>(images_));
}

std::vector<double> Metrics::per_class_accuracy() const {
  if (task_ == Task::multi_label) return average_precisions(scores_, shows_, classes_);
  std::vector<double> list;
  for (int64_t c = 0; c < classes_; ++c) {
    int64_t all = 0;
    for (int64_t p = 0; p < classes_; ++p) all += confusion(c, p);
    list.push_back(ratio(static_cast<double>(confusion(c, c)), static_cast<double>(all)));
  }
  return list;
}

double Metrics::worst_class_accuracy() const {
  double worst = NAN;
  for (const double a : per_class_accuracy()) worst = std::isnan(a) ? worst : std::fmin(worst, a);
  return worst;
}

double Metrics::content_heatmap(ContentHeatmap kind) const {
  switch (kind) {
    case ContentHeatmap::pooled: return ratio(inside_, total_);
    case ContentHeatmap::image_mean: return ratio(image_ratios_, static_cast<double>(boxed_ - empty_));
    case ContentHeatmap::batch: break;
  }
  return ratio(batch_ratios_, batch_weight_);
}

double Metrics::box_coverage() const { return ratio(coverage_, static_cast<double>(boxed_)); }
double Metrics::empty_cams() const { return ratio(static_cast<double>(empty_), static_cast<double>(boxed_)); }

std::vector<double> Metrics::state() const {
  std::vector<double> s = {static_cast<double>(images_),
                           static_cast<double>(boxed_),
                           static_cast<double>(empty_),
                           static_cast<double>(lost_boxes_),
                           inside_,
                           total_,
                           batch_ratios_,
                           batch_weight_,
                           image_ratios_,
                           coverage_};
  for (const int64_t count : confusion_) s.push_back(static_cast<double>(count));
  s.insert(s.end(), scores_.begin(), scores_.end());
  s.insert(s.end(), shows_.begin(), shows_.end());
  return s;
}

void Metrics::restore(const std::vector<double>& s) {
  constexpr size_t sums = 10;
  check(s.size() >= sums, "metrics: expected a state of ", sums, " numbers or more, found ", s.size());
  const auto pairs = static_cast<double>(task_ == Task::multi_label ? classes_ : 0) * s[0];
  const double expected = static_cast<double>(sums + confusion_.size()) + 2 * pairs;
  check(static_cast<double>(s.size()) == expected, "metrics: expected a state of ", expected, " numbers, found ",
        s.size());
  for (size_t i = 0; i < s.size(); ++i) {
    const bool is_count = i < 4 || (i >= sums && task_ == Task::single_label);
    check(!is_count || (s[i] >= 0 && s[i] <= 0x1p53), "metrics: number ", i, " of a state counts images, found ", s[i]);
  }
  images_ = static_cast<int64_t>(s[0]);
  boxed_ = static_cast<int64_t>(s[1]);
  empty_ = static_cast<int64_t>(s[2]);
  lost_boxes_ = static_cast<int64_t>(s[3]);
  inside_ = s[4], total_ = s[5], batch_ratios_ = s[6], batch_weight_ = s[7], image_ratios_ = s[8], coverage_ = s[9];
  for (size_t i = 0; i < confusion_.size(); ++i) confusion_[i] = static_cast<int64_t>(s[sums + i]);
  const auto begin = s.begin() + static_cast<std::ptrdiff_t>(sums + confusion_.size()),
             middle = begin + static_cast<std::ptrdiff_t>(pairs);
  scores_.assign(begin, middle);
  shows_.clear();
  for (auto mark = middle; pairs > 0 && mark != s.end(); ++mark) shows_.push_back(*mark != 0);
}

}  // namespace boxcam
