#include "nn/input.h"

#include "engine/base/parallel.h"
#include "engine/ops.h"

namespace boxcam {

Tensor input_tensor(const Batch& batch, Device device) {
  const Shape shape{batch.size, batch.image_size, batch.image_size, 3};
  constexpr auto &mean = input_mean, &deviation = input_deviation;
  if (device != Device::cpu) {  // the bytes travel, a quarter of the floats; in f64 they round as the table below
    const Tensor bytes = Tensor::from(shape, batch.images, device).to(DType::f64);
    const Tensor means = Tensor::from({3}, std::span<const double>(mean), device);
    const Tensor deviations = Tensor::from({3}, std::span<const double>(deviation), device);
    return ((bytes / Tensor::scalar(255, DType::f64, device) - means) / deviations).to(DType::f32);
  }
  std::array<std::array<float, 256>, 3> table;
  for (int c = 0; c < 3; ++c)
    for (int v = 0; v < 256; ++v) table[c][v] = static_cast<float>((v / 255.0 - mean[c]) / deviation[c]);
  Tensor x = Tensor::empty(shape);
  const uint8_t* in = batch.images.data();
  float* out = x.data<float>();
  const auto pixels = static_cast<int64_t>(batch.images.size() / 3);
  parallel_for(pixels, kGrain / 4, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      for (int c = 0; c < 3; ++c) out[3 * i + c] = table[c][in[3 * i + c]];
  });
  return x;
}

Tensor input_tensor(const Image& image, Device device) {
  Batch one;
  one.size = 1;
  one.image_size = image.width;
  one.images = image.pixels;
  return input_tensor(one, device);
}

Tensor label_tensor(const Batch& batch, Device device) { return Tensor::from({batch.size}, batch.labels, device); }

}  // namespace boxcam
