// The runner that starts kernel bodies on the device. For nvcc only.
#pragma once

#include <algorithm>

#include "engine/backend/cuda/context.h"

namespace boxcam::cuda {

constexpr int kThreads = 256;
constexpr int64_t kMaxBlocks = 1 << 16;  // a kernel goes on in strides beyond that

template <class Body>
constexpr int kBlockThreads = kThreads;
template <class Body>
requires requires { Body::kBlockThreads; }
constexpr int kBlockThreads<Body> = Body::kBlockThreads;

/// The threads of one block, for block.h.
template <int kSize>
struct DeviceBlock {
  void* memory;
  __device__ int rank() const { return static_cast<int>(threadIdx.x); }
  __device__ int size() const { return kSize; }
  __device__ void sync() const { __syncthreads(); }
  __device__ void* shared() const { return memory; }
};

template <class Body>
__global__ void __launch_bounds__(kThreads) each_kernel(int64_t n, Body body) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * kThreads;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < n; i += step) body(i);
}

template <class Body>
__global__ void __launch_bounds__(kBlockThreads<Body>) blocks_kernel(int64_t n, Body body) {
  __shared__ alignas(16) unsigned char memory[kBlockThreads<Body> * Body::kSharedPerThread];
  DeviceBlock<kBlockThreads<Body>> block{memory};
  for (int64_t i = blockIdx.x; i < n; i += gridDim.x) body(block, i);
}

struct Launch {
  Device device() const { return Device::cuda; }
  int threads() const { return kThreads; }
  IndexReport* index_report() const { return context().index_report; }

  template <class Body>
  int threads_of() const {  // one block of this body
    return kBlockThreads<Body>;
  }

  template <class Body>
  void each(int64_t n, const Body& body) const {
    if (n == 0) return;
    each_kernel<<<grid((n + kThreads - 1) / kThreads), kThreads, 0, context().stream>>>(n, body);
    BOXCAM_CUDA(cudaGetLastError());
  }
  template <class Body>
  void blocks(int64_t n, const Body& body) const {
    if (n == 0) return;
    blocks_kernel<<<grid(n), kBlockThreads<Body>, 0, context().stream>>>(n, body);
    BOXCAM_CUDA(cudaGetLastError());
  }

 private:
  static unsigned grid(int64_t blocks) { return static_cast<unsigned>(std::min(blocks, kMaxBlocks)); }
};

// For the .cu files: BOXCAM_LAUNCH makes a function with the signature of a table's entry that starts the body of the
// same name, BOXCAM_SET_LAUNCH puts it into the table.
#define BOXCAM_LAUNCH(entry)            \
  template <class... Arguments>         \
  void launch_##entry(Arguments... a) { \
    entry(Launch{}, a...);              \
  }
#define BOXCAM_SET_LAUNCH(entry) table.entry = launch_##entry;

}  // namespace boxcam::cuda
