// cuDNN's convolutions: descriptors that free themselves, and the only place that turns shapes and a Conv2dSpec into
// cuDNN's conventions. The legacy functions, with fixed algorithms.
#pragma once

#include <cudnn.h>

#include "engine/backend/cuda/context.h"
#include "engine/ops.h"

namespace boxcam::cuda {

template <class Handle, cudnnStatus_t (*create)(Handle*), cudnnStatus_t (*destroy)(Handle)>
class Descriptor {
 public:
  Descriptor() { BOXCAM_CUDNN(create(&handle_)); }
  ~Descriptor() { destroy(handle_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  operator Handle() const { return handle_; }

 private:
  Handle handle_ = nullptr;
};
using TensorDescriptor = Descriptor<cudnnTensorDescriptor_t, cudnnCreateTensorDescriptor, cudnnDestroyTensorDescriptor>;
using FilterDescriptor = Descriptor<cudnnFilterDescriptor_t, cudnnCreateFilterDescriptor, cudnnDestroyFilterDescriptor>;
using ConvolutionDescriptor =
    Descriptor<cudnnConvolutionDescriptor_t, cudnnCreateConvolutionDescriptor, cudnnDestroyConvolutionDescriptor>;

/// x, y and w have the type of the activations; in bf16 products are added up in f32. x and y are NHWC, w is OHWI,
/// which cuDNN calls KRSC; it wants all extents in the order of NCHW and KCRS.
struct ConvDescriptors {
  TensorDescriptor x, y;
  FilterDescriptor w;
  ConvolutionDescriptor conv;

  ConvDescriptors(const Shape& xs, const Shape& ws, const Shape& ys, const Conv2dSpec& s, DType dtype, bool tf32) {
    const cudnnDataType_t type = dtype == DType::bf16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
    const auto extent = [&](int64_t value) {
      check(value <= INT32_MAX, "conv2d: the device cuda takes extents up to 2^31 - 1, found ", xs, " and ", ws);
      return static_cast<int>(value);
    };
    const auto describe = [&](const TensorDescriptor& d, const Shape& shape) {
      BOXCAM_CUDNN(cudnnSetTensor4dDescriptor(d, CUDNN_TENSOR_NHWC, type, extent(shape[0]), extent(shape[3]),
                                              extent(shape[1]), extent(shape[2])));
    };
    describe(x, xs);
    describe(y, ys);
    BOXCAM_CUDNN(cudnnSetFilter4dDescriptor(w, type, CUDNN_TENSOR_NHWC, extent(ws[0]), extent(ws[3]), extent(ws[1]),
                                            extent(ws[2])));
    const int padding = extent(s.padding), stride = extent(s.stride), dilation = extent(s.dilation);
    BOXCAM_CUDNN(cudnnSetConvolution2dDescriptor(conv, padding, padding, stride, stride, dilation, dilation,
                                                 CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT));
    // CUDNN_DEFAULT_MATH would use TF32 for f32 where the card has it; bf16 goes to tensor cores.
    const bool default_math = tf32 || dtype == DType::bf16;
    BOXCAM_CUDNN(cudnnSetConvolutionMathType(conv, default_math ? CUDNN_DEFAULT_MATH : CUDNN_FMA_MATH));
  }
};

}  // namespace boxcam::cuda
