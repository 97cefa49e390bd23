// Which implementation the CPU uses for a convolution: for tests and benchmarks.
#pragma once

#include <string>
#include <vector>

#include "engine/specs.h"
#include "engine/tensor.h"

namespace boxcam::cpu {

/// Names for the forward, the input gradient and the weight gradient: oneDNN's `impl_info_str()`, or "plain".
std::vector<std::string> conv2d_implementations(const Shape& x, const Shape& w, const Shape& y, const Conv2dSpec& spec,
                                                DType activations = DType::f32);

}  // namespace boxcam::cpu
