// CUDA's memory operations (engine/backend/backend.h). Everything runs on one stream, in the order of the calls: a
// block that is handed out may be a used one, whose old content is done with first.
#pragma once

#include "engine/backend/backend.h"

namespace boxcam::cuda {

const DeviceMemory& memory();

}  // namespace boxcam::cuda
