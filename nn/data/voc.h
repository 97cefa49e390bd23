// Pascal VOC, and what other tools write in its layout: an XML file for each picture, lists for the splits.
#pragma once

#include <memory>
#include <string>

#include "nn/data/annotated_images.h"

namespace boxcam {

/// DIR/ImageSets/Main/{train,val,test}.txt name a split's images (the first word of a line), DIR/Annotations/ID.xml
/// their objects, DIR/JPEGImages/ID.jpg (or .jpeg, .png) are the pictures; DIR is VOCdevkit/VOC2012 of the archive. Of
/// the XML, annotation/size and, of each annotation/object, name, bndbox and difficult are read; `parts` of objects are
/// not. Boxes are 1-based and hold their last pixel: xmin 1, xmax 10 covers the first ten columns. Sources are
/// annotation/source/database. Order: that of the list. Images without an object of a wanted class are "none". Throws
/// Error naming the file, and the object, for what is missing, truncated, named twice or no number, a box outside the
/// picture, and a class that no image of the train split shows.
std::unique_ptr<Dataset> voc(const std::string& dir, const std::string& split, const AnnotationOptions& options);

/// Whether DIR has a list for this split. Throws Error where DIR has no lists at all.
bool has_voc_split(const std::string& dir, const std::string& split);

}  // namespace boxcam
