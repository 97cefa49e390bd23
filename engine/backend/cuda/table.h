// The CUDA kernels; contracts are in engine/backend/kernels.h. Each file <room>.cu starts the bodies in <room>.h.
#pragma once

#include <string>
#include <type_traits>
#include <vector>

#include "engine/backend/kernels.h"

namespace boxcam::cuda {

// Each sets the entries of its room.
void add_elementwise(Kernels& table);
void add_reduce(Kernels& table);
void add_shape(Kernels& table);
void add_matmul(Kernels& table);
void add_conv2d(Kernels& table);
void add_batch_norm(Kernels& table);
void add_pool(Kernels& table);
void add_softmax(Kernels& table);
void add_resize(Kernels& table);
void add_cam(Kernels& table);
void add_optim(Kernels& table);

// Kernels that call a library where it can do the work.
#define BOXCAM_DECLARE(entry) std::remove_pointer_t<decltype(Kernels::entry)> entry;
BOXCAM_KERNELS_MATMUL(BOXCAM_DECLARE)
BOXCAM_KERNELS_CONV2D(BOXCAM_DECLARE)
#undef BOXCAM_DECLARE

std::vector<std::string> conv2d_implementations(const Shape& x, const Shape& w, const Shape& y, const Conv2dSpec& spec,
                                                DType activations);

const Kernels& kernels();  ///< throws Error where there is no device

}  // namespace boxcam::cuda
