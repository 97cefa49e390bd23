// Overlay pictures of a model's CAMs.
#pragma once

#include <string>
#include <vector>

#include "apps/common/data/data.h"
#include "xai/explain_image.h"

namespace boxcam {

/// The picture of an explanation: image, heat map, boxes, predicted class and score.
Image overlay_picture(const Sample& sample, const ImageExplanation& e, const std::vector<std::string>& classes,
                      bool label_known);

/// A sheet of overlays: images of every class in turn, as many from each split.
void write_overlay_sheet(const std::string& path, Classifier& model, const std::vector<DataSplit>& splits,
                         const DataOptions& data, const ExplainOptions& explain);

}  // namespace boxcam
