// Grad-CAM of a model's forward pass as the options ask for it, by the shorter way where there is one.
#pragma once

#include "apps/common/options.h"
#include "models/resnet.h"
#include "xai/grad_cam.h"

namespace boxcam {

/// Whether the taps' CAM has a closed form, so that the forward pass need not be recorded for it.
inline bool has_closed_form(const ResNet& model, const CamOptions& o) {
  return o.taps.size() == 1 && model.feeds_head(o.taps[0]);
}

/// The classes that are explained, i32 [N]: the labels, or with --cam-class predicted the model's own answers.
inline Tensor explained_classes(const Forward& pass, const Tensor& labels, const CamOptions& o) {
  return o.explains_predicted ? reshape(argmax(pass.logits.detach()), labels.shape()) : labels;
}

/// `pass` must hold the taps and, where there is no closed form, have been recorded. `classes`: i32 [N]. With a box
/// mask the box losses are computed in the same pass.
inline GradCam cam_of(const ResNet& model, const Forward& pass, const Tensor& classes, int64_t height, int64_t width,
                      const CamOptions& o, CamGradient gradient = CamGradient::none, const Tensor& mask = {}) {
  const GradCamOptions options{o.target, o.normalizer, o.profile, gradient};
  if (has_closed_form(model, o))
    return grad_cam_linear_head(model.head().weight, classes, pass.taps.at(o.taps[0]), height, width, options, mask);
  std::vector<Tensor> taps;
  for (const std::string& name : o.taps) taps.push_back(pass.taps.at(name));
  return grad_cam(pass.logits, classes, taps, height, width, options, mask);
}

}  // namespace boxcam
