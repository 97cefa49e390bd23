#include "engine/backend/backend.h"

#include "engine/profile.h"

namespace boxcam {

const Backend* find_backend(Device device) { return device == Device::cpu ? &cpu_backend() : cuda_backend(); }

const Backend& backend(Device device) {
  const Backend* found = find_backend(device);
  check(found != nullptr, "boxcam was built without CUDA");
  return *found;
}

const Kernels& kernels(Device device) { return profiled(backend(device).kernels(), device); }

}  // namespace boxcam
