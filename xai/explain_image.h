// What a model says about one image, and why: what explain and the sheets of overlays show.
#pragma once

#include "nn/data/dataset.h"
#include "xai/explain.h"

namespace boxcam {

struct ImageExplanation {
  Explanation explanation;          ///< of one image: N is 1
  Tensor logits;                    ///< [1, classes]
  std::vector<Tensor> activations;  ///< [1, h, w, K], of each tap
  int64_t explained, predicted;     ///< classes
  double score;                     ///< probability of the predicted class (class_probabilities)
};

/// In eval mode, of class `explained` (-1: the predicted one, of several labels the most probable). The image must have
/// the network's input size.
ImageExplanation explain_image(Classifier& model, const Image& image, int64_t explained, const ExplainOptions& options,
                               Task task = Task::single_label);

}  // namespace boxcam
