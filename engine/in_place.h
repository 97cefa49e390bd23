// Forms of ops that may overwrite an input, for inference: the exception to "nothing is overwritten once it is made",
// and so not in the catalogue (ops.h).
#pragma once

#include "engine/specs.h"
#include "engine/tensor.h"

namespace boxcam {

/// conv2d_bias with this residual, if it is defined. Where its last handle was moved here, no view of its memory is
/// left and no gradient is recorded, the result lies in that memory; otherwise in memory of its own.
Tensor conv2d_bias_into(Tensor residual, const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dSpec& spec,
                        bool with_relu = false);

}  // namespace boxcam
