// Grad-CAM of a model's forward pass, by the shorter way where there is one.
#pragma once

#include "models/resnet.h"
#include "xai/grad_cam.h"

namespace boxcam {

/// `pass` must hold the tap. Uses the closed form where the tap feeds the head, otherwise differentiates, for which the
/// pass must have been recorded.
inline GradCam cam_of(const ResNet& model, const Forward& pass, const std::string& tap, const Tensor& labels,
                      int64_t height, int64_t width, const GradCamOptions& options) {
  if (model.feeds_head(tap))
    return grad_cam_linear_head(model.head().weight, labels, pass.taps.at(tap), height, width, options);
  return grad_cam(pass.logits, labels, pass.taps.at(tap), height, width, options);
}

}  // namespace boxcam
