// Tensors as NumPy files.
#pragma once

#include <string>

#include "engine/tensor.h"

namespace boxcam {

/// Writes a tensor of any dtype as .npy (format version 1.0, C order, little-endian), for numpy.load; `path` appears
/// complete or not at all. A tensor on a GPU is copied to the host first. Throws Error naming the path when the tensor
/// is undefined or the file cannot be written.
void write_npy(const std::string& path, const Tensor& tensor);

}  // namespace boxcam
