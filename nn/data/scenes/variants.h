// What a picture shows without its ground or without its objects, after the variants of ImageNet-9 (Xiao et al.,
// "Noise or signal: the role of image backgrounds in object recognition", ICLR 2021).
#pragma once

#include <vector>

#include "nn/data/dataset.h"

namespace boxcam {

/// Pixels [left, right) x [top, bottom).
struct PixelRectangle {
  int left = 0, top = 0, right = 0, bottom = 0;
  int area() const { return (right - left) * (bottom - top); }
};

/// Of each pixel the share that objects cover, from 0 to 1.
using Coverage = std::vector<double>;

/// Black where no object is; where one covers a pixel in part, as dark as the rest of it.
void keep_objects(Image& image, const Coverage& coverage);
/// Black where an object is.
void remove_objects(Image& image, const Coverage& coverage);
/// Black in every pixel that a box touches.
void blacken_boxes(Image& image, const std::vector<Box>& boxes);
/// Every pixel that a box touches shows the largest rectangle without such a pixel, repeated from its own place over
/// the whole picture; black where the boxes leave none.
void tile_boxes(Image& image, const std::vector<Box>& boxes);

/// The largest rectangle of pixels that no box touches, of several the first from the top and the left; of area 0 where
/// there is none. Around one box: one of the four strips beside it.
PixelRectangle largest_clear_rectangle(int height, int width, const std::vector<Box>& boxes);

}  // namespace boxcam
