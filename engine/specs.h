// What an op needs to know besides its tensors: for the catalogue (ops.h) and for the kernels, which do not read it.
#pragma once

#include <cstdint>

namespace boxcam {

struct MatmulSpec {
  bool transpose_a = false, transpose_b = false;
};

struct Conv2dSpec {
  int64_t stride = 1, padding = 0, dilation = 1, groups = 1;
};

struct Pool2dSpec {
  int64_t window = 2, stride = 2, padding = 0;
  bool ceil_mode = false;  ///< as in PyTorch: windows may begin in the input and reach past its end
};

}  // namespace boxcam
