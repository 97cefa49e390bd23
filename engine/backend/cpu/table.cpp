#include "engine/backend/cpu/table.h"

namespace boxcam::cpu {

const Kernels& kernels() {
#define BOXCAM_ENTRY(entry) .entry = entry,
  static const Kernels table = {BOXCAM_KERNELS(BOXCAM_ENTRY)};
#undef BOXCAM_ENTRY
  return table;
}

}  // namespace boxcam::cpu
