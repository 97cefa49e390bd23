#include "engine/backend/cuda/table.h"

#include "engine/backend/cuda/context.h"

namespace boxcam::cuda {

namespace {

Kernels make_table() {
  Kernels table{};
  for (const auto add_room : {add_elementwise, add_reduce, add_shape, add_matmul, add_conv2d, add_batch_norm, add_pool,
                              add_softmax, add_resize, add_cam, add_optim})
    add_room(table);
  return table;
}

}  // namespace

const Kernels& kernels() {
  static const Kernels table = make_table();
  context();  // throws where there is no device
  return table;
}

}  // namespace boxcam::cuda
