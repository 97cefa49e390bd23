#include "engine/backend/backend.h"

#include "engine/backend/cuda/context.h"
#include "engine/backend/cuda/memory.h"
#include "engine/backend/cuda/table.h"

namespace boxcam {

namespace {

std::string device_name() { return cuda::context().name; }
bool has_bf16() { return cuda::context().has_bf16; }

}  // namespace

const Backend* cuda_backend() {
  static const Backend made = {
      cuda::kernels, cuda::memory(), {device_name, cuda::libraries, has_bf16}, cuda::conv2d_implementations};
  return &made;
}

}  // namespace boxcam
