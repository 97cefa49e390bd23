// What is measured of a classifier and its CAMs: accuracy, Content-Heatmap, box coverage, the share of empty CAMs.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/tensor.h"
#include "nn/data/dataset.h"

namespace boxcam {

/// How Content-Heatmap, (CAM mass inside the boxes) / (CAM mass in the image), is taken over a split.
enum class ContentHeatmap {
  batch,       ///< the thesis: a ratio of batch sums; its mean over batches, weighted by batch size
  pooled,      ///< the ratio of the split's sums
  image_mean,  ///< the mean of the images' ratios
};

/// One image's CAM against its boxes.
struct CamRecord {
  double inside = 0, total = 0;      ///< CAM mass in the boxes and in the image
  double covered = 0, box_area = 0;  ///< box pixels where the CAM exceeds 0.5, and box pixels
  bool boxed() const { return box_area > 0; }
  bool empty() const { return total <= 0; }
};

/// Collects batches of a split. Images without a box never enter a CAM metric, whether they never had one or lost it in
/// a crop.
///
/// Of several labels CAM metrics are of pairs of an image and a class that it shows, with N_b the images of a batch as
/// ever; in place of accuracy stands (mean) average precision (multi_label.h), and nothing is confused.
class Metrics {
 public:
  explicit Metrics(int64_t classes, Task task = Task::single_label)
      : task_(task), classes_(classes), confusion_(task == Task::single_label ? classes * classes : 0, 0) {}

  /// logits [N, classes], labels i32 [N], cam and mask [N, H, W].
  void add(const Tensor& logits, const Tensor& labels, const Tensor& cam, const Tensor& mask);
  /// The same of images whose predictions and records are known.
  void add(std::span<const int32_t> labels, std::span<const int32_t> predicted, std::span<const CamRecord> records);

  /// Of several labels, a batch: what is higher the surer the model is, and 1 where an image shows the class, both
  /// [N, classes] row by row; and the pairs' records.
  void add(std::span<const double> scores, std::span<const char> shows, std::span<const CamRecord> records);

  /// Counts images (pairs), of those added, that had boxes and lost all of them in a crop.
  void add_lost_boxes(int64_t images) { lost_boxes_ += images; }

  Task task() const { return task_; }
  int64_t images() const { return images_; }
  int64_t lost_boxes() const { return lost_boxes_; }
  double accuracy() const;                         ///< right / all; NaN without an image
  std::vector<double> per_class_accuracy() const;  ///< NaN for a class without an image
  double worst_class_accuracy() const;
  int64_t confusion(int64_t label, int64_t predicted) const { return confusion_[label * classes_ + predicted]; }
  int64_t classes() const { return classes_; }
  /// Images with an empty CAM have no ratio and are left out; NaN when nothing is left.
  double content_heatmap(ContentHeatmap kind) const;
  double box_coverage() const;  ///< mean over boxed images of the share of the box area where the CAM exceeds 0.5
  double empty_cams() const;    ///< share of the boxed images whose CAM is zero everywhere

  /// The sums behind all this, to store in a checkpoint in the middle of an epoch, and back.
  std::vector<double> state() const;
  void restore(const std::vector<double>& state);

 private:
  void add_cams(std::span<const CamRecord> records, double images);

  Task task_;
  int64_t classes_, images_ = 0;
  std::vector<int64_t> confusion_;  // of one label
  std::vector<double> scores_;      // of several
  std::vector<char> shows_;
  double inside_ = 0, total_ = 0;  // of boxed images
  double batch_ratios_ = 0, batch_weight_ = 0;
  double image_ratios_ = 0, coverage_ = 0;
  int64_t boxed_ = 0, empty_ = 0, lost_boxes_ = 0;
};

/// Per image: cam and mask [N, H, W] on one device. Throws Error where shapes differ.
std::vector<CamRecord> cam_records(const Tensor& cam, const Tensor& mask);
/// What cam_records does where the host cannot read: only the sums come to it, rounded to the CAM's dtype.
std::vector<CamRecord> cam_records_by_ops(const Tensor& cam, const Tensor& mask);
/// The predicted class of each row of logits [N, classes]: the first maximum.
std::vector<int32_t> predictions(const Tensor& logits);

}  // namespace boxcam
