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
  bool is_parameter = true;     ///< false: a buffer (running statistics), never trained
  bool is_conv_weight = false;  ///< OHWI here, OIHW in files
};

inline std::vector<NamedTensor> only_parameters(std::vector<NamedTensor> list) {
  std::erase_if(list, [](const NamedTensor& t) { return !t.is_parameter; });
  return list;
}

/// Moves the tensors' memory, for all handles that share it. Counters (i32) stay on the host.
inline void move_to(Device device, std::vector<NamedTensor> tensors) {
  for (NamedTensor& t : tensors)
    if (t.tensor.dtype() != DType::i32) t.tensor.move_to(device);
}

}  // namespace boxcam
