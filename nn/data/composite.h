// Pictures made of two: what lies in boxes from one, the rest from another, with soft edges so that a seam tells
// little.
#pragma once

#include <cstdint>
#include <vector>

#include "nn/data/dataset.h"

namespace boxcam {

/// What each pixel of a picture of `size` x `size` belongs to its boxes, from 0 to 1.
using SoftMask = std::vector<double>;

/// Where a mask falls from 1 to 0 outside of a box: 1/96 of the side, 1 pixel of 96 and 2.3 of 224. A wider ramp shows
/// the object's own ground around it, which is what the swap is to take away: with 1/32 a small network trained on
/// scenes was right 2 points less often out of context (docs/boxes.md).
double ramp_width(int size);

/// 1 where the pixel's centre is in a box enlarged by `margin` pixels on every side; outside it falls with the larger
/// of its distances in x and y, in a straight line to 0 over ramp_width. Of several boxes the largest value.
SoftMask soft_mask(const std::vector<Box>& boxes, int size, double margin);

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
