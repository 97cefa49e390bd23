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

/// One function for each entry of the table, with the signature that the table asks for.
#define BOXCAM_TWIN(entry, body) \
  template <class... Arguments>  \
  void entry(Arguments... a) {   \
    cuda::body(run, a...);       \
  }
BOXCAM_TWIN(unary, unary)
BOXCAM_TWIN(binary, binary)
BOXCAM_TWIN(cast, cast)
BOXCAM_TWIN(affine, affine)
BOXCAM_TWIN(scale_shift, scale_shift)
BOXCAM_TWIN(sum, sum)
BOXCAM_TWIN(argmax, argmax)
BOXCAM_TWIN(take_at, take_at)
BOXCAM_TWIN(put_at, put_at)
BOXCAM_TWIN(copy_range, copy_range)
BOXCAM_TWIN(matmul, plain_matmul)
BOXCAM_TWIN(conv2d, plain_conv2d)
BOXCAM_TWIN(conv2d_bias, plain_conv2d_bias)
BOXCAM_TWIN(conv2d_input_grad, plain_conv2d_input_grad)
BOXCAM_TWIN(conv2d_weight_grad, plain_conv2d_weight_grad)
BOXCAM_TWIN(batch_norm_statistics, batch_norm_statistics)
BOXCAM_TWIN(batch_norm, batch_norm)
BOXCAM_TWIN(batch_norm_grad, batch_norm_grad)
BOXCAM_TWIN(running_statistics, running_statistics)
BOXCAM_TWIN(max_pool2d, max_pool2d)
BOXCAM_TWIN(cross_entropies, cross_entropies)
BOXCAM_TWIN(cross_entropies_grad, cross_entropies_grad)
BOXCAM_TWIN(bilinear_resize, bilinear_resize)
BOXCAM_TWIN(bilinear_resize_adjoint, bilinear_resize_adjoint)
BOXCAM_TWIN(cam_box, cam_box)
BOXCAM_TWIN(cam_box_grad, cam_box_grad)
BOXCAM_TWIN(sgd_step, sgd_step)
BOXCAM_TWIN(adamw_step, adamw_step)
#undef BOXCAM_TWIN

inline const Kernels& kernels() {
  static const Kernels table = {
      .unary = twin::unary,
      .binary = twin::binary,
      .cast = twin::cast,
      .affine = twin::affine,
      .scale_shift = twin::scale_shift,
      .sum = twin::sum,
      .argmax = twin::argmax,
      .take_at = twin::take_at,
      .put_at = twin::put_at,
      .copy_range = twin::copy_range,
      .matmul = twin::matmul,
      .conv2d = twin::conv2d,
      .conv2d_bias = twin::conv2d_bias,
      .conv2d_input_grad = twin::conv2d_input_grad,
      .conv2d_weight_grad = twin::conv2d_weight_grad,
      .batch_norm_statistics = twin::batch_norm_statistics,
      .batch_norm = twin::batch_norm,
      .batch_norm_grad = twin::batch_norm_grad,
      .running_statistics = twin::running_statistics,
      .max_pool2d = twin::max_pool2d,
      .cross_entropies = twin::cross_entropies,
      .cross_entropies_grad = twin::cross_entropies_grad,
      .bilinear_resize = twin::bilinear_resize,
      .bilinear_resize_adjoint = twin::bilinear_resize_adjoint,
      .cam_box = twin::cam_box,
      .cam_box_grad = twin::cam_box_grad,
      .sgd_step = twin::sgd_step,
      .adamw_step = twin::adamw_step,
  };
  return table;
}

}  // namespace boxcam::twin
