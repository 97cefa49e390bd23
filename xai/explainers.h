// Explainers: how the activations A at a tap and the gradient g of the explained score become the weights of a map
// M = sum_k weights_k A_k. One function for each, and a table of them by name. What all share (recording, the
// gradient's source, detaching, types, profiles, several taps) is in xai/explain.
#pragma once

#include <string>
#include <vector>

#include "engine/ops.h"

namespace boxcam {

/// What an explainer may look at, of one tap; f32 or f64, whatever the activations' type is.
class Evidence {
 public:
  /// activations: [N, h, w, K]. gradient: of the explained scores, [N, h, w, K], or [N, 1, 1, K] where it is the same
  /// in every cell.
  Evidence(const Tensor& activations, const Tensor& gradient, DType dtype)
      : activations_(activations), gradient_(gradient), dtype_(dtype) {}

  Tensor A() const { return cast(activations_, dtype_); }  ///< [N, h, w, K]
  Tensor gradient() const;                                 ///< [N, h, w, K]
  Tensor mean_gradient() const;                            ///< [N, 1, 1, K]: its mean over the map

 private:
  const Tensor &activations_, &gradient_;
  DType dtype_;
};

/// [N, 1, 1, K], one weight for each channel, or [N, h, w, K], one for each cell. Written in public ops, so that it can
/// be differentiated to any order.
using Weigh = Tensor (*)(const Evidence&);

struct Explainer {
  const char* name;
  const char* formula;  ///< of M, for help
  Weigh weigh;
};
/// `grad-cam`, the default, first.
const std::vector<Explainer>& explainers();
/// Throws Error naming the nearest, for a name that is none.
const Explainer& explainer(const std::string& name);

}  // namespace boxcam
