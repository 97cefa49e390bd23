#include "apps/common/method.h"

namespace boxcam {

StepReport& StepReport::operator+=(StepReport other) {
  const std::vector<double*> mine = values(), theirs = other.values();
  for (size_t i = 0; i < mine.size(); ++i) *mine[i] += *theirs[i];
  return *this;
}

StepReport StepReport::operator/(double count) const {
  StepReport result = *this;
  for (double* value : result.values()) *value /= count;
  return result;
}

double Method::loss(const StepReport& t) const {
  double total = t.cross_entropy + penalty.lambda * t.penalty;
  if (splits()) total += kEvidenceCrossEntropy * t.evidence_cross_entropy + evidence_split * t.evidence_penalty;
  return total + swap.consistency * t.swap_consistency + context.weight * t.context_only;
}

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
