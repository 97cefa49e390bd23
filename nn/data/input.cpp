#include "nn/data/input.h"

#include <array>

namespace boxcam {

Tensor input_tensor(const Batch& batch) {
  constexpr std::array mean = {0.485, 0.456, 0.406}, deviation = {0.229, 0.224, 0.225};
  std::array<std::array<float, 256>, 3> table;
  for (int c = 0; c < 3; ++c)
    for (int v = 0; v < 256; ++v) table[c][v] = static_cast<float>((v / 255.0 - mean[c]) / deviation[c]);
  Tensor x = Tensor::empty({batch.size, batch.image_size, batch.image_size, 3});
  float* out = x.data<float>();
  for (size_t i = 0; i < batch.images.size(); ++i) out[i] = table[i % 3][batch.images[i]];
  return x;
}

Tensor label_tensor(const Batch& batch) { return Tensor::from({batch.size}, batch.labels); }

}  // namespace boxcam
