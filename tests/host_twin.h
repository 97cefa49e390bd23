// Runs the bodies of the CUDA kernels on the CPU: the table that engine/backend/cuda/*.cu fill with them, filled with
// them once more, and a runner in place of the device. Every kernel's threads are real threads, so that a missing
// barrier, or two threads that write one place, are a race that ThreadSanitizer sees. What cuBLAS and cuDNN compute on
// the device is computed by the plain bodies here.
#pragma once

#include <algorithm>
#include <barrier>
#include <thread>
#include <vector>

#include "engine/backend/cuda/batch_norm.h"
#include "engine/backend/cuda/cam.h"
#include "engine/backend/cuda/conv2d.h"
#include "engine/backend/cuda/elementwise.h"
#include "engine/backend/cuda/matmul.h"
#include "engine/backend/cuda/optim.h"
#include "engine/backend/cuda/pool.h"
#include "engine/backend/cuda/reduce.h"
#include "engine/backend/cuda/resize.h"
#include "engine/backend/cuda/shape.h"
#include "engine/backend/cuda/softmax.h"

namespace boxcam::twin {

inline int block_size = 8;  ///< threads of a block, a power of two; the device has 256
inline cuda::IndexReport index_report;

class HostBlock {
 public:
  HostBlock(int rank, std::barrier<>& barrier, void* memory) : rank_(rank), barrier_(barrier), memory_(memory) {}
  int rank() const { return rank_; }
  int size() const { return block_size; }
  void sync() { barrier_.arrive_and_wait(); }
  void* shared() const { return memory_; }

 private:
  int rank_;
  std::barrier<>& barrier_;
  void* memory_;
};

struct HostRunner {
  Device device() const { return Device::cpu; }
  int threads() const { return block_size; }
  cuda::IndexReport* index_report() const { return &twin::index_report; }

  template <class Body>
  int threads_of() const {
    return block_size;
  }

  template <class Body>
  void each(int64_t n, const Body& body) const {
    on_threads(static_cast<int>(std::min<int64_t>(n, 3)), [&](int t) {
      for (int64_t i = t; i < n; i += 3) body(i);
    });
  }
  template <class Body>
  void blocks(int64_t n, const Body& body) const {
    std::vector<double> memory(block_size * Body::kSharedPerThread / sizeof(double));
    std::barrier barrier(block_size);
    on_threads(block_size, [&](int rank) {
      HostBlock block(rank, barrier, memory.data());
      for (int64_t i = 0; i < n; ++i) body(block, i);
    });
  }

 private:
  template <class F>
  static void on_threads(int count, F f) {
    std::vector<std::jthread> threads;
    for (int t = 0; t < count; ++t) threads.emplace_back(f, t);
  }
};

inline constexpr HostRunner run;

// One function for each entry of the table, with the signature that the table asks for.
#define BOXCAM_TWIN_OF(entry, body) \
  template <class... Arguments>     \
  void entry(Arguments... a) {      \
    cuda::body(run, a...);          \
  }
#define BOXCAM_TWIN(entry) BOXCAM_TWIN_OF(entry, entry)
#define BOXCAM_PLAIN_TWIN(entry) BOXCAM_TWIN_OF(entry, plain_##entry)
BOXCAM_KERNELS_ELEMENTWISE(BOXCAM_TWIN)
BOXCAM_KERNELS_REDUCE(BOXCAM_TWIN)
BOXCAM_KERNELS_SHAPE(BOXCAM_TWIN)
BOXCAM_KERNELS_MATMUL(BOXCAM_PLAIN_TWIN)
BOXCAM_KERNELS_CONV2D(BOXCAM_PLAIN_TWIN)
BOXCAM_KERNELS_BATCH_NORM(BOXCAM_TWIN)
BOXCAM_KERNELS_POOL(BOXCAM_TWIN)
BOXCAM_KERNELS_SOFTMAX(BOXCAM_TWIN)
BOXCAM_KERNELS_RESIZE(BOXCAM_TWIN)
BOXCAM_KERNELS_CAM(BOXCAM_TWIN)
BOXCAM_KERNELS_OPTIM(BOXCAM_TWIN)
#undef BOXCAM_PLAIN_TWIN
#undef BOXCAM_TWIN
#undef BOXCAM_TWIN_OF

inline const Kernels& kernels() {
#define BOXCAM_ENTRY(entry) .entry = twin::entry,
  static const Kernels table = {BOXCAM_KERNELS(BOXCAM_ENTRY)};
#undef BOXCAM_ENTRY
  return table;
}

}  // namespace boxcam::twin
