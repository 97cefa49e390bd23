// Overlay pictures of a model's CAMs.
#pragma once

#include <string>
#include <vector>

#include "apps/common/data.h"
#include "apps/common/options.h"
#include "nn/data/dataset.h"

namespace boxcam {

/// What a model says about one image of the network's size.
struct Explanation {
  GradCam cam;  ///< of `explained`
  Tensor logits;
  std::vector<Tensor> activations;  ///< of each tap
  int64_t explained, predicted;
  double score;  ///< softmax probability of the predicted class
};

/// CAM of class `explained` (-1: the predicted class). The sample must have the network's input size.
Explanation explain(ResNet& model, const Sample& sample, int64_t explained, const CamOptions& cam);

/// The picture of an explanation: image, heat map, boxes, predicted class and score.
Image overlay_picture(const Sample& sample, const Explanation& e, const std::vector<std::string>& classes,
                      bool label_known);

/// A sheet of overlays: images of every class in turn, as many from each split.
void write_overlay_sheet(const std::string& path, ResNet& model, const std::vector<DataSplit>& splits,
                         const DataOptions& data, const CamOptions& cam);

}  // namespace boxcam
