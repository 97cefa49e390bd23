// Waterbirds (Sagawa et al. 2020) in the layout of WILDS: birds on land and on water, in groups of class x place.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "nn/data/annotated_images.h"

namespace boxcam {

/// "landbird", "waterbird": the outputs 0 and 1 of metadata.csv.
const std::vector<std::string>& waterbird_classes();

/// DIR/metadata.csv (img_id, img_filename, y: 1 = waterbird, split: 0 train, 1 validation, 2 test, place: 1 = water,
/// place_filename), and pictures in DIR/images, or in DIR itself where there is no such folder. DIR/bounding_boxes.txt
/// (img_id x y width height in pixels of the picture, as CUB-200-2011 has them, whose pixels are counted from 0) gives
/// boxes; without it no image has one. Groups are "landbird on water" and the like; a sample's source is the category
/// of its place. Order: by metadata.csv. Images of a class that is not wanted are "none", and their group stays. Throws
/// Error naming file and line for what is missing, given twice, or none of the values above.
std::unique_ptr<Dataset> waterbirds(const std::string& dir, const std::string& split, const AnnotationOptions& options);

/// Of metadata.csv, in the order train, validation, test.
std::vector<std::string> waterbirds_splits(const std::string& dir);
/// Whether there is a file of boxes.
bool waterbirds_have_boxes(const std::string& dir);

}  // namespace boxcam
