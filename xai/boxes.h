// Box masks: B = 1 inside any box of the image, else 0.
#pragma once

#include <vector>

#include "engine/tensor.h"
#include "nn/data/dataset.h"

namespace boxcam {

/// [N, height, width]. A pixel is inside when its centre is inside a box that was enlarged by `margin` pixels on every
/// side and clipped to the image; a box that holds no centre in a direction, because it is smaller than a pixel there,
/// covers the pixel in which its middle lies. Boxes are in pixels of the height x width image. The same bits on every
/// device. Throws Error for a negative margin.
Tensor box_masks(const std::vector<std::vector<Box>>& boxes, int64_t height, int64_t width, double margin,
                 DType dtype = DType::f32, Device device = Device::cpu);

}  // namespace boxcam
