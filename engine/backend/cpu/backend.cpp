#include "engine/backend/backend.h"

#include <fstream>

#include "engine/backend/cpu/conv2d.h"
#include "engine/backend/cpu/memory.h"
#include "engine/backend/cpu/onednn.h"
#include "engine/backend/cpu/table.h"

namespace boxcam {

namespace {

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "unknown";
}

std::string onednn_version() {
#ifdef BOXCAM_HAS_ONEDNN
  const dnnl_version_t* v = dnnl_version();
  return str(v->major, ".", v->minor, ".", v->patch);
#else
  return "none";
#endif
}

bool has_bf16() {
#if defined(BOXCAM_HAS_ONEDNN) && defined(__x86_64__)
  return __builtin_cpu_supports("avx512bf16");
#else
  return false;
#endif
}

}  // namespace

const Backend& cpu_backend() {
  static const Backend made = {
      cpu::kernels, cpu::memory(), {processor_name, onednn_version, has_bf16}, cpu::conv2d_implementations};
  return made;
}

}  // namespace boxcam
