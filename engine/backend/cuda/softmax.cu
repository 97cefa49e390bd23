#include "engine/backend/cuda/softmax.h"

#include "engine/backend/cuda/launch.h"
#include "engine/backend/cuda/table.h"

namespace boxcam::cuda {

void cross_entropies(const Tensor& logits, const Tensor& labels, Tensor& losses) {
  cross_entropies(Launch{}, logits, labels, losses);
}
void cross_entropies_grad(const Tensor& g, const Tensor& logits, const Tensor& labels, Tensor& g_logits) {
  cross_entropies_grad(Launch{}, g, logits, labels, g_logits);
}

}  // namespace boxcam::cuda
