// Overlay pictures of a model's CAMs.
#pragma once

#include <string>
#include <vector>

#include "apps/common/class_names.h"
#include "apps/common/data/data.h"
#include "xai/explain_image.h"

namespace boxcam {

/// Over what explain draws a heat map.
enum class OverlaySize { photograph, input };

/// The picture of an explanation: image, heat map, boxes, predicted class and score; below them a line, by default the
/// label, or where it is not known the class that is explained.
Image overlay_picture(const Sample& sample, const ImageExplanation& e, const ClassNames& classes, bool label_known,
                      const std::string& line = "");

/// Image, heat map and boxes without a caption, enlarged to at least `min_side` pixels.
Image plain_overlay(const Sample& sample, const ImageExplanation& e, int min_side);

/// The heat map over the photograph, in its own shape and size, without a caption; what --resize crop does not show to
/// the network is darkened. `cam` is of the network's input, [1, S, S].
Image photograph_overlay(const Image& photograph, const Tensor& cam, const Preprocess& preprocess);

/// Of several labels: an image's explanation of one of the classes that it shows, with that class' boxes; what is
/// written is how probable that class is, and below it all that the image shows.
Image label_picture(const Sample& sample, const ImageExplanation& e, const ClassNames& classes);
/// The sample with the boxes of one class alone.
Sample with_boxes_of(Sample sample, int64_t label);

/// The first images of each class in turn, `count` in all; of several labels by Dataset::label, after them those of
/// none.
std::vector<int64_t> first_of_each_class(const Dataset& data, int64_t count);

/// A sheet of overlays: images of every class in turn, as many from each split.
void write_overlay_sheet(const std::string& path, Classifier& model, const std::vector<DataSplit>& splits,
                         const DataOptions& data, const ExplainOptions& explain);

}  // namespace boxcam
