#include "engine/backend/cpu/table.h"

namespace boxcam {

const Kernels& cpu_kernels() {
#define BOXCAM_ENTRY(entry) .entry = cpu::entry,
  static const Kernels table = {BOXCAM_KERNELS(BOXCAM_ENTRY)};
#undef BOXCAM_ENTRY
  return table;
}

}  // namespace boxcam
