// Named parameters and buffers: what a model is made of, for optimisers, files and copies.
#pragma once

#include <string>
#include <vector>

#include "engine/tensor.h"

namespace boxcam {

/// A tensor of a model under its torchvision name. The handle shares memory with the model's own.
struct NamedTensor {
  std::string name;
  Tensor tensor;
  bool is_parameter = true;        ///< false: a buffer (running statistics), never trained
  bool is_conv_weight = false;     ///< OHWI here, OIHW in files
};

}  // namespace boxcam
