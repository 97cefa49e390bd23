#include "xai/cam.h"

namespace boxcam {

Tensor scale_cam(const Tensor& maps, CamNormalizer normalizer) {
  const Tensor x = reshape(maps, {maps.dim(0), maps.dim(1) * maps.dim(2)});
  const auto extreme = [&](const Tensor& of, const Tensor& index) {
    const Tensor value = take_at(of, index);
    return normalizer == CamNormalizer::constant ? value.detach() : value;
  };
  const Tensor u = x - extreme(x, argmin(x));
  return reshape(u / (extreme(u, argmax(u)) + kCamEpsilon), maps.shape());
}

Tensor normalize_cam(const std::vector<Tensor>& raw, int64_t height, int64_t width, CamProfile profile,
                     CamNormalizer normalizer) {
  const auto scale = [&](const Tensor& maps) { return scale_cam(maps, normalizer); };
  const auto resize = [&](const Tensor& maps) { return bilinear_resize(maps, height, width); };
  Tensor total;
  for (const Tensor& M : raw) {
    const Tensor each = profile == CamProfile::pgc_1_4     ? resize(scale(relu(M)))
                        : profile == CamProfile::pgc_1_3_1 ? resize(scale(M))
                                                           : scale(resize(relu(M)));
    total = total.defined() ? total + each : each;
  }
  const Tensor average = raw.size() == 1 ? total : total / static_cast<double>(raw.size());
  return profile == CamProfile::paper ? average : scale(average);
}

}  // namespace boxcam
