#include "apps/common/method.h"

namespace boxcam {

CamGradient Reading::through(double lambda) const {
  if (lambda == 0) return CamGradient::none;
  switch (teaches) {
    case Teaches::full: return CamGradient::full;
    case Teaches::activations: return CamGradient::activations;
    case Teaches::weights: return CamGradient::weights;
    case Teaches::transfer: return transfer == Transfer::full ? CamGradient::full : CamGradient::activations;
    case Teaches::constant:
    case Teaches::leak: break;
  }
  return CamGradient::none;
}

}  // namespace boxcam
