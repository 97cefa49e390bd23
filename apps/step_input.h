// What a training step works on: made of a batch of the loader.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "apps/common/controls.h"
#include "apps/common/method.h"
#include "apps/common/pairs.h"
#include "engine/tensor.h"

namespace boxcam {

/// Boxes are in pixels of x.
struct StepInput {
  Tensor x;             ///< [N, S, S, 3], of the model's dtype
  Tensor labels;        ///< i32 [N]
  BoxLists boxes;       ///< each image's own
  BoxLists loss_boxes;  ///< those that losses read: its own, or a control's
  std::vector<std::string> ids;
  bool inverse = false;               ///< losses take for the inside what is outside of their boxes
  std::vector<char> swapped = {};     ///< marks the images whose ground is another's; empty: none
  Tensor unswapped = {};              ///< x before that, for the consistency of both; else undefined
  Tensor hidden = {};                 ///< x (before a swap) without its objects, for context only; else undefined
  std::vector<char> hides = {};       ///< marks the images of it that have something hidden
  int64_t none = -1;                  ///< the label that means "none"; -1: there is none
  std::vector<char> lost_boxes = {};  ///< marks those that lost theirs in a crop (Sample::lost_boxes); empty: none
  std::optional<Pairs> pairs = {};    ///< of several labels: what losses and metrics read in place of labels and boxes

  /// [N, S, S], of x' dtype: of the boxes, enlarged by a margin; own ones, or as losses read them.
  Tensor own_masks(double margin) const;
  Tensor loss_masks(double margin) const;
};

/// What makes classes count alike in the mean over a training split: images / (classes that occur * images of the
/// class), 0 for a class without images. Of the images of the split the mean weight is 1.
std::vector<double> balancing_weights(const Dataset& data);

/// Makes the inputs of the steps of one training run, each a function of the batch and (seed, step) alone.
class StepInputs {
 public:
  /// `loader`: of the batches that will come. Under fixed_shuffled the whole split is loaded once, for its boxes.
  StepInputs(const Method& method, const Dataset& data, const LoaderOptions& loader, Device device, uint64_t seed);

  /// The batch becomes what the step works on: with a background swap its pictures change.
  StepInput operator()(Batch& batch, int64_t step) const;

 private:
  BoxControl control_;
  BackgroundSwap swap_;
  ContextOnly context_;
  double margin_;
  int64_t none_;     // the label that means it; -1: there is none
  int64_t several_;  // classes, of several labels; 0: images have one
  BoxLists fixed_;
  Device device_;
  uint64_t seed_;
};

}  // namespace boxcam
