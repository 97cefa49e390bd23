#include "engine/backend/cuda/table.h"

#include "engine/backend/cuda/context.h"

namespace boxcam {

const Kernels& cuda_kernels() {
  static const Kernels table = {
      .unary = cuda::unary,
      .binary = cuda::binary,
      .cast = cuda::cast,
      .affine = cuda::affine,
      .scale_shift = cuda::scale_shift,
      .sum = cuda::sum,
      .argmax = cuda::argmax,
      .take_at = cuda::take_at,
      .put_at = cuda::put_at,
      .copy_range = cuda::copy_range,
      .matmul = cuda::matmul,
      .conv2d = cuda::conv2d,
      .conv2d_bias = cuda::conv2d_bias,
      .conv2d_input_grad = cuda::conv2d_input_grad,
      .conv2d_weight_grad = cuda::conv2d_weight_grad,
      .batch_norm_statistics = cuda::batch_norm_statistics,
      .batch_norm = cuda::batch_norm,
      .batch_norm_grad = cuda::batch_norm_grad,
      .running_statistics = cuda::running_statistics,
      .max_pool2d = cuda::max_pool2d,
      .cross_entropies = cuda::cross_entropies,
      .cross_entropies_grad = cuda::cross_entropies_grad,
      .bilinear_resize = cuda::bilinear_resize,
      .bilinear_resize_adjoint = cuda::bilinear_resize_adjoint,
      .cam_box = cuda::cam_box,
      .cam_box_grad = cuda::cam_box_grad,
      .sgd_step = cuda::sgd_step,
      .adamw_step = cuda::adamw_step,
  };
  cuda::context();  // throws where there is no device
  return table;
}

}  // namespace boxcam
