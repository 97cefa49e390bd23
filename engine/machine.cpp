#include "engine/machine.h"

#include "engine/backend/backend.h"

namespace boxcam {

std::string onednn_version() { return backend(Device::cpu).machine.libraries(); }
std::string cuda_version() {
  const Backend* cuda = find_backend(Device::cuda);
  return cuda ? cuda->machine.libraries() : "none";
}
std::string cuda_device_name() { return backend(Device::cuda).machine.name(); }
std::string processor_name() { return backend(Device::cpu).machine.name(); }
bool cpu_has_bf16() { return backend(Device::cpu).machine.has_bf16(); }
bool cuda_has_bf16() { return backend(Device::cuda).machine.has_bf16(); }

bool native_kernels() {
#ifdef BOXCAM_NATIVE
  return true;
#else
  return false;
#endif
}

}  // namespace boxcam
