#include "xai/multi_label.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "engine/base/check.h"
#include "engine/ops.h"

namespace boxcam {

namespace {

void check_pairs(const char* what, const Tensor& values, const Tensor& present) {
  check(present.dtype() == DType::i32 && values.ndim() == 2 && present.shape() == values.shape(), what,
        ": expected values [N, Q] and i32 of the same shape that say which class each picture shows, found ",
        values.shape(), " and ", name(present.dtype()), " ", present.shape());
}

}  // namespace

Tensor sigmoid_cross_entropies(const Tensor& logits, const Tensor& present) {
  check_pairs("sigmoid_cross_entropies", logits, present);
  const int64_t pictures = logits.dim(0), classes = logits.dim(1);
  std::vector<int32_t> column;  // of (y, 0): the first where the class is shown
  for (const double p : present.to_vector()) column.push_back(p > 0 ? 0 : 1);
  const Tensor labels = Tensor::from({pictures * classes}, column).to(logits.device());
  const Tensor both = pad(reshape(logits, {pictures * classes, 1}), 1, 0, 1);
  return mean(reshape(cross_entropies(both, labels), {pictures, classes}), {1});
}

Tensor pair_losses(const Tensor& present, const std::vector<Tensor>& masks,
                   const std::function<Tensor(const Tensor& classes, const Tensor& masks)>& loss_of) {
  check(present.dtype() == DType::i32 && present.ndim() == 2 && static_cast<int64_t>(masks.size()) == present.dim(1) &&
            present.dim(1) > 0,
        "pair_losses: expected i32 [N, Q] that says which class each picture shows and masks of Q classes, found ",
        name(present.dtype()), " ", present.shape(), " and masks of ", masks.size());
  const int64_t pictures = present.dim(0), classes = present.dim(1);
  const std::vector<double> marks = present.to_vector();
  Tensor losses = Tensor::zeros({pictures, classes}, masks[0].dtype(), masks[0].device());
  for (int64_t q = 0; q < classes; ++q) {
    std::vector<double> shown;  // [N], of this class
    for (int64_t n = 0; n < pictures; ++n) shown.push_back(marks[static_cast<size_t>(n * classes + q)]);
    if (std::count(shown.begin(), shown.end(), 0.0) == pictures) continue;
    const Tensor labels =
        Tensor::from({pictures}, std::vector<int32_t>(static_cast<size_t>(pictures), static_cast<int32_t>(q)))
            .to(masks[0].device());
    const Tensor each = loss_of(labels, masks[static_cast<size_t>(q)]);
    const Tensor weights = Tensor::from({pictures}, shown).to(each.dtype()).to(each.device());
    losses = losses + pad(reshape(each * weights, {pictures, 1}), 1, q, classes - q - 1);
  }
  return losses;
}

Tensor mean_over_pairs(const Tensor& losses, const Tensor& present) {
  check_pairs("mean_over_pairs", losses, present);
  const std::vector<double> marks = present.to_vector();
  const double pairs = std::accumulate(marks.begin(), marks.end(), 0.0);
  const Tensor weights = Tensor::from(losses.shape(), marks).to(losses.dtype()).to(losses.device());
  return sum(losses * weights) * (pairs > 0 ? 1 / pairs : 0);
}

double average_precision(std::span<const double> scores, std::span<const char> shows) {
  check(scores.size() == shows.size(), "average_precision: expected as many scores as pictures, found ", scores.size(),
        " and ", shows.size());
  check(std::none_of(scores.begin(), scores.end(), [](double s) { return std::isnan(s); }),
        "average_precision: expected numbers as scores, found NaN");
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return scores[a] > scores[b]; });
  double sum = 0, found = 0;
  for (size_t i = 0; i < order.size();) {  // equal scores are one step
    double more = 0;
    size_t end = i;
    for (; end < order.size() && scores[order[end]] == scores[order[i]]; ++end) more += shows[order[end]] != 0;
    found += more;
    sum += more * found / static_cast<double>(end);
    i = end;
  }
  return found > 0 ? sum / found : std::numeric_limits<double>::quiet_NaN();
}

std::vector<double> average_precisions(std::span<const double> scores, std::span<const char> shows, int64_t classes) {
  const auto count = static_cast<size_t>(classes);
  check(scores.size() == shows.size() && classes > 0 && scores.size() % count == 0,
        "average_precisions: expected scores and marks [N, ", classes, "], found ", scores.size(), " and ",
        shows.size());
  std::vector<double> precisions;
  for (size_t q = 0; q < count; ++q) {
    std::vector<double> of_class;
    std::vector<char> marks;
    for (size_t i = q; i < scores.size(); i += count) of_class.push_back(scores[i]), marks.push_back(shows[i]);
    precisions.push_back(average_precision(of_class, marks));
  }
  return precisions;
}

double mean_average_precision(std::span<const double> scores, std::span<const char> shows, int64_t classes) {
  double sum = 0, occurring = 0;
  for (const double precision : average_precisions(scores, shows, classes))
    if (!std::isnan(precision)) sum += precision, ++occurring;
  return occurring > 0 ? sum / occurring : std::numeric_limits<double>::quiet_NaN();
}

std::vector<double> class_probabilities(const Tensor& logits, Task task) {
  const NoGrad constant;
  if (task == Task::single_label) return softmax(logits).to_vector();
  std::vector<double> scores = logits.to_vector();
  for (double& y : scores) y = 1 / (1 + std::exp(-y));
  return scores;
}

}  // namespace boxcam
