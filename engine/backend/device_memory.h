// Memory of the CUDA device, for engine/device.cpp and engine/tensor.cpp. Everything runs on one stream, in the order
// of the calls; only `download` and `synchronize` wait. Each function throws Error where there is no CUDA device.
#pragma once

#include <cstddef>

#include "engine/tensor.h"

namespace boxcam::cuda {

/// `capacity` becomes the size of the block, which may be a used one: work that was queued before on its old content is
/// done first, because all work is in one stream.
void* allocate(size_t bytes, size_t& capacity);
void release(void* block, size_t capacity) noexcept;
/// Bytes that the device's cache holds in all: in use by tensors, and free for the next ones.
size_t reserved_bytes();

void upload(void* to, const void* from, size_t bytes);    ///< from host; `from` may change when the call returns
void download(void* to, const void* from, size_t bytes);  ///< to host; waits for all work before it
void copy(void* to, const void* from, size_t bytes);      ///< on the device
void set_zero(void* to, size_t bytes);
void synchronize();
void fill(Tensor& t, double value);

}  // namespace boxcam::cuda
