// Pictures made of two: what lies in boxes from one, the rest from another, with soft edges so that a seam tells
// little.
#pragma once

#include <cstdint>
#include <vector>

#include "nn/data/dataset.h"

namespace boxcam {

/// What each pixel of a picture of `size` x `size` belongs to its boxes, from 0 to 1.
using SoftMask = std::vector<double>;

/// Over how much of a box's inside a mask falls from 1 to 0 at its edge: 1/192 of the side, half a pixel of 96 and 1.2
/// of 224. A ramp outside of the box, or a wider one, shows the object's own ground, which is what a swap is to take
/// away (docs/boxes.md).
double ramp_width(int size);

/// What is taken of a box: all of it, or what a rounded box or an ellipse in it holds.
enum class MaskShape { box, rounded, ellipse };

/// 1 where the pixel's centre is in a box that is enlarged by `margin` pixels on every side, by ramp_width from its
/// edge or more (of a side shorter than four of them by a quarter of it); from there it falls with the larger of the
/// distances in x and y in a straight line to 0. There is no ramp along the picture's edge. Of several boxes the
/// largest value. The other shapes are superellipses in that part of the box, (|u|^e + |v|^e)^(1/e) <= 1 with u and v
/// from -1 to 1 and e = 4 (rounded) or 2 (ellipse); outside the distance is what exceeds 1, in halves of its shorter
/// side, and no less than that to the box.
SoftMask soft_mask(const std::vector<Box>& boxes, int size, double margin, MaskShape shape = MaskShape::box);

/// The share of the picture that a mask takes.
double share_of(const SoftMask& mask);

/// out = mask front + (1 - mask) back, rounded. Pictures are size x size x 3 bytes; `out` may be one of the two.
void composite(const SoftMask& mask, const uint8_t* front, const uint8_t* back, uint8_t* out);

// Each: the picture, with what the mask takes filled.
/// With the mean colour of the rest (of all where there is no rest).
std::vector<uint8_t> filled_with_mean(const SoftMask& mask, const uint8_t* picture);
/// With what is around it: pull-push over halved pictures, where each pixel is a mean of what the mask leaves near it,
/// and far inside a smooth continuation of what lies around. With the mean where there is no rest.
std::vector<uint8_t> filled_from_around(const SoftMask& mask, const uint8_t* picture, int size);
/// With the picture itself, blurred so far (three means over a window of an eighth of the side) that shapes are gone;
/// its colours stay.
std::vector<uint8_t> filled_with_blur(const SoftMask& mask, const uint8_t* picture, int size);

}  // namespace boxcam
