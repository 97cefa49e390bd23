// The CUDA device of a build without CUDA.
#include "engine/backend/cuda/conv2d_implementation.h"
#include "engine/backend/device_memory.h"
#include "engine/backend/kernels.h"
#include "engine/device.h"

namespace boxcam {

namespace {
[[noreturn]] void absent() { fail("boxcam was built without CUDA"); }
}  // namespace

const Kernels& cuda_kernels() { absent(); }
std::string cuda_version() { return "none"; }
std::string cuda_device_name() { absent(); }
bool cuda_has_bf16() { absent(); }

namespace cuda {

void* allocate(size_t, size_t&) { absent(); }
void release(void*, size_t) noexcept {}  // nothing was ever allocated
size_t reserved_bytes() { return 0; }
void upload(void*, const void*, size_t) { absent(); }
void download(void*, const void*, size_t) { absent(); }
void copy(void*, const void*, size_t) { absent(); }
void set_zero(void*, size_t) { absent(); }
void synchronize() { absent(); }
std::vector<std::string> conv2d_implementations(const Shape&, const Shape&, const Shape&, const Conv2dSpec&, DType) {
  absent();
}
void fill(Tensor&, double) { absent(); }

}  // namespace cuda

}  // namespace boxcam
