// What a run leaves of its test images, one by one: a line of test_images.jsonl for each, and overlays of some.
#pragma once

#include <string>
#include <vector>

#include "apps/common/evaluation.h"
#include "xai/explain_image.h"

namespace boxcam {

/// A split that was measured.
struct TestedSplit {
  const DataSplit& split;
  const Evaluation& evaluation;
};

/// Writes test_images.jsonl into the run's folder: split, index, id, source, label, predicted, score, the CAM's sums
/// (inside, total, covered, box_area) and, for the images that are shown, the file of the overlay ("picture") and why
/// ("shown": fixed, best, worst). Those files are in FOLDER/pictures. The fixed ones of a split are the first of each
/// class in turn; the best are right with the CAM most inside the boxes, the worst wrong with the highest score, then
/// right with the CAM least inside.
///
/// Of several labels a line is of an image and a class that it shows, `score` that class' probability, and nothing is
/// predicted; the fixed images are shown, each class by itself.
void write_test_images(const std::string& folder, Classifier& model, const std::vector<TestedSplit>& splits,
                       const DataOptions& data, const ExplainOptions& explain);

}  // namespace boxcam
