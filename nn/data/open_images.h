// OpenImages V6 from disk, in its official CSV layout or as FiftyOne stores it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "nn/data/annotated_images.h"

namespace boxcam {

/// The images that lie in a split's folder, each with the boxes of its class; those without a box of any wanted class
/// are "none". `split` is "train", "validation" or "test". Images are <ImageID>.jpg (also .jpeg, .png; what begins with
/// a dot is none); layouts, found by looking:
///   official  DIR/<split>/<ImageID>.jpg, DIR/{oidv6-train,validation,test}-annotations-bbox.csv,
///             DIR/class-descriptions-boxable.csv, and where present DIR/bbox_labels_600_hierarchy.json and
///             DIR/<split>-images.csv, whose SourceSet column becomes Sample::source
///   FiftyOne  DIR/<split>/data/<ImageID>.jpg, DIR/<split>/labels/detections.csv,
///             DIR/<split>/metadata/{classes.csv, hierarchy.json}
/// The box file is read once, in blocks: memory depends on the images in the folder, not on its length.
/// Order: by file name. Subset: the first `max_images` of a shuffle by `seed` of the images that qualify, sorted again.
/// Boxes up to 0.01 outside [0, 1] are clamped; boxes without area are ignored (their image is no "none" either).
/// Tables may have a byte order mark, either kind of line end, and fields in quotes. The notes count the images without
/// any row in the box file (a warning where they are more than half) and those left out for want of "none".
/// Throws Error naming file, line or column for: a folder or file that is missing; a needed column that is missing; a
/// row with more or fewer columns than the header (as where the file was cut off), a number that is none, XMin > XMax
/// or YMin > YMax, a box far outside the image; a class or source that is unknown (naming the nearest known ones),
/// given twice, or, in the train split, without any image; a hierarchy that names none of the classes; fewer images
/// than `max_images`; two files of one image id.
std::unique_ptr<Dataset> open_images(const std::string& dir, const std::string& split,
                                     const AnnotationOptions& options = {});

/// Whether DIR holds images of this split, in either layout.
bool has_split(const std::string& dir, const std::string& split);

}  // namespace boxcam
