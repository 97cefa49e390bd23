// The CPU's kernels; contracts are in engine/backend/kernels.h. f64 always runs plain loops: they are the definition.
#pragma once

#include <type_traits>

#include "engine/backend/kernels.h"

namespace boxcam::cpu {

#define BOXCAM_DECLARE(entry) std::remove_pointer_t<decltype(Kernels::entry)> entry;
BOXCAM_KERNELS(BOXCAM_DECLARE)
#undef BOXCAM_DECLARE

const Kernels& kernels();

}  // namespace boxcam::cpu
