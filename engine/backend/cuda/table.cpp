#include "engine/backend/cuda/table.h"

#include "engine/backend/cuda/context.h"

namespace boxcam {

namespace {

Kernels make_table() {
  Kernels table{};
  for (const auto add_room :
       {cuda::add_elementwise, cuda::add_reduce, cuda::add_shape, cuda::add_matmul, cuda::add_conv2d,
        cuda::add_batch_norm, cuda::add_pool, cuda::add_softmax, cuda::add_resize, cuda::add_cam, cuda::add_optim})
    add_room(table);
  return table;
}

}  // namespace

const Kernels& cuda_kernels() {
  static const Kernels table = make_table();
  cuda::context();  // throws where there is no device
  return table;
}

}  // namespace boxcam
