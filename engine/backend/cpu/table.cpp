#include "engine/backend/cpu/table.h"

namespace boxcam {

const Kernels& cpu_kernels() {
  static const Kernels table = {
      .unary = cpu::unary,
      .binary = cpu::binary,
      .cast = cpu::cast,
      .affine = cpu::affine,
      .scale_shift = cpu::scale_shift,
      .sum = cpu::sum,
      .argmax = cpu::argmax,
      .take_at = cpu::take_at,
      .put_at = cpu::put_at,
      .copy_range = cpu::copy_range,
      .matmul = cpu::matmul,
      .conv2d = cpu::conv2d,
      .conv2d_bias = cpu::conv2d_bias,
      .conv2d_input_grad = cpu::conv2d_input_grad,
      .conv2d_weight_grad = cpu::conv2d_weight_grad,
      .batch_norm_statistics = cpu::batch_norm_statistics,
      .batch_norm = cpu::batch_norm,
      .batch_norm_grad = cpu::batch_norm_grad,
      .running_statistics = cpu::running_statistics,
      .max_pool2d = cpu::max_pool2d,
      .cross_entropies = cpu::cross_entropies,
      .cross_entropies_grad = cpu::cross_entropies_grad,
      .bilinear_resize = cpu::bilinear_resize,
      .bilinear_resize_adjoint = cpu::bilinear_resize_adjoint,
      .cam_box = cpu::cam_box,
      .cam_box_grad = cpu::cam_box_grad,
      .sgd_step = cpu::sgd_step,
      .adamw_step = cpu::adamw_step,
  };
  return table;
}

}  // namespace boxcam
