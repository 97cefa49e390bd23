#include "engine/backend/cuda/optim.h"

#include "engine/backend/cuda/launch.h"
#include "engine/backend/cuda/table.h"

namespace boxcam::cuda {

void sgd_step(const ParameterUpdates& updates, const SgdStep& step) { sgd_step(Launch{}, updates, step); }
void adamw_step(const ParameterUpdates& updates, const AdamwStep& step) { adamw_step(Launch{}, updates, step); }

}  // namespace boxcam::cuda
