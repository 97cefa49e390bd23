// Named parameters and buffers: what a model is made of, for optimisers, files and copies.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/tensor.h"

namespace boxcam {

/// A tensor of a model under its torchvision name. The handle shares memory with the model's own.
struct NamedTensor {
  enum class Role {
    parameter,  ///< what an optimiser trains
    buffer,     ///< running statistics
    counter,    ///< of batches, i32: it stays on the host, and is i64 in files
  };
  enum class Layout {
    plain,
    convolution,  ///< OHWI here, OIHW in files
  };
  std::string name;
  Tensor tensor;
  Role role = Role::parameter;
  Layout layout = Layout::plain;
  bool head = false;  ///< of the linear head: its first axis are the classes

  bool is_parameter() const { return role == Role::parameter; }
  bool is_head_bias() const { return head && tensor.ndim() == 1; }
};

/// Called with each tensor of a layer or a model and what it is; it may give the tensor other memory. `entry.tensor` is
/// the same handle.
using TensorVisitor = std::function<void(const NamedTensor& entry, Tensor& tensor)>;

inline std::vector<NamedTensor> only_parameters(std::vector<NamedTensor> list) {
  std::erase_if(list, [](const NamedTensor& t) { return !t.is_parameter(); });
  return list;
}

/// Moves the tensors' memory, for all handles that share it. Counters stay on the host.
inline void move_to(Device device, std::vector<NamedTensor> tensors) {
  for (NamedTensor& t : tensors)
    if (t.role != NamedTensor::Role::counter) t.tensor.move_to(device);
}

/// Whether `part` names the tensor or tap `name`, or what it lies in: "layer4" names "layer4.0.conv1", not "layer40".
inline bool names_part(const std::string& part, const std::string& name) {
  return name.starts_with(part) && (name.size() == part.size() || name[part.size()] == '.');
}

}  // namespace boxcam
