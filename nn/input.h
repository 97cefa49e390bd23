// From a batch of bytes to the network's input.
#pragma once

#include <array>

#include "engine/tensor.h"
#include "nn/data/loader.h"

namespace boxcam {

/// ImageNet's channel means and deviations, of pixels from 0 to 1 (torchvision).
inline constexpr std::array input_mean = {0.485, 0.456, 0.406}, input_deviation = {0.229, 0.224, 0.225};

/// f32 [N, S, S, 3]: (byte / 255 - input_mean) / input_deviation. The same bits on every device.
Tensor input_tensor(const Batch& batch, Device device = Device::cpu);
/// The same of one square image: N is 1.
Tensor input_tensor(const Image& image, Device device = Device::cpu);
/// i32 [N].
Tensor label_tensor(const Batch& batch, Device device = Device::cpu);

}  // namespace boxcam
