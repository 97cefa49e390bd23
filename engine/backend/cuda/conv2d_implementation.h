// Which algorithms compute a convolution on the device, for tests.
#pragma once

#include <string>
#include <vector>

#include "engine/specs.h"
#include "engine/tensor.h"

namespace boxcam::cuda {

/// Names of what computes conv2d, its input gradient and its weight gradient, for these extents: "cuDNN engine 7",
/// "cuBLAS", or "plain" for our own loops, which are slow. Throws as cuda_kernels().
std::vector<std::string> conv2d_implementations(const Shape& x, const Shape& w, const Shape& y, const Conv2dSpec& spec,
                                                DType activations = DType::f32);

}  // namespace boxcam::cuda
