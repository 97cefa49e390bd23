// From a batch of bytes to the network's input.
#pragma once

#include "engine/tensor.h"
#include "nn/data/loader.h"

namespace boxcam {

/// f32 [N, S, S, 3]: (byte / 255 - mean) / std with ImageNet's channel means and deviations (torchvision). The same
/// bits on every device.
Tensor input_tensor(const Batch& batch, Device device = Device::cpu);
/// i32 [N].
Tensor label_tensor(const Batch& batch, Device device = Device::cpu);

}  // namespace boxcam
