// COCO's object detection files, and what other tools write in their form.
#pragma once

#include <memory>
#include <string>

#include "nn/data/annotated_images.h"

namespace boxcam {

/// DIR/annotations/instances_NAME.json, where NAME begins with train, val or test (train2017), and pictures in
/// DIR/NAME, DIR/images/NAME or DIR/images. Read are images (id, file_name, width, height; source and group, which COCO
/// does not have, where they are there), annotations (id, image_id, category_id, bbox: x, y, width, height in pixels
/// that are counted from 0; iscrowd, the policy of which is AnnotationOptions::GroupOf) and categories (id, name; ids
/// may have gaps), in whatever order they come. The file is read as a stream: memory depends on how many images and
/// boxes there are, not on polygons and captions. Order: that of `images`. Images without an object of a wanted class
/// are "none". Throws Error naming the file, and the image or annotation, for JSON that is broken or cut off, what is
/// missing or there twice, an image or category that is not there, and a box outside the picture.
std::unique_ptr<Dataset> coco(const std::string& dir, const std::string& split, const AnnotationOptions& options);

/// Whether DIR has annotations of this split.
bool has_coco_split(const std::string& dir, const std::string& split);

}  // namespace boxcam
