#include "xai/losses.h"

#include <algorithm>

namespace boxcam {

Tensor penalty_per_image(const Tensor& cam, const Tensor& mask) {
  check(cam.ndim() == 3 && cam.shape() == mask.shape(),
        "box_penalty: expected a CAM and a mask of one shape [N, H, W], found ", cam.shape(), " and ", mask.shape());
  return mean(cam * (-mask + 1.0), {1, 2});
}

Tensor box_penalty(const Tensor& cam, const Tensor& mask, const std::vector<char>& counted) {
  const Tensor each = penalty_per_image(cam, mask);
  if (counted.empty()) return mean(each);
  check(static_cast<int64_t>(counted.size()) == each.dim(0), "box_penalty: ", each.dim(0), " images, but ",
        counted.size(), " marks");
  const double count = static_cast<double>(std::count(counted.begin(), counted.end(), 1));
  std::vector<double> weights;
  for (const char c : counted) weights.push_back(c ? 1 / count : 0);
  return sum(each * Tensor::from(each.shape(), weights).to(each.dtype()));
}

}  // namespace boxcam
