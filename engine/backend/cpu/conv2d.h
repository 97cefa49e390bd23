// What computes a convolution on the CPU: Backend::conv2d_implementations.
#pragma once

#include <string>
#include <vector>

#include "engine/specs.h"
#include "engine/tensor.h"

namespace boxcam::cpu {

std::vector<std::string> conv2d_implementations(const Shape& x, const Shape& w, const Shape& y, const Conv2dSpec& spec,
                                                DType activations);

}  // namespace boxcam::cpu
