// The CPU's memory operations (engine/backend/backend.h).
#pragma once

#include "engine/backend/backend.h"

namespace boxcam::cpu {

const DeviceMemory& memory();

}  // namespace boxcam::cpu
