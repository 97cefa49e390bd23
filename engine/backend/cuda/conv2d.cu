#include "engine/backend/cuda/conv2d.h"

#include <array>
#include <optional>
#include <vector>

#include "engine/backend/cuda/conv2d_implementation.h"
#include "engine/backend/cuda/cudnn.h"
#include "engine/backend/cuda/launch.h"
#include "engine/backend/cuda/table.h"
#include "engine/device.h"

namespace boxcam::cuda {

namespace {

/// What the three kinds of convolution call. `fixed` holds reproducible algorithms: the first that takes the shape is
/// used, so the choice depends on the shape and the library alone and is never timed.
struct Forward {
  using Algorithm = cudnnConvolutionFwdAlgo_t;
  using Found = cudnnConvolutionFwdAlgoPerf_t;
  static constexpr std::array fixed = {CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM,
                                       CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM};
  static cudnnStatus_t heuristic(const ConvDescriptors& d, int wanted, int* count, Found* found) {
    return cudnnGetConvolutionForwardAlgorithm_v7(context().cudnn, d.x, d.w, d.conv, d.y, wanted, count, found);
  }
  static cudnnStatus_t workspace(const ConvDescriptors& d, Algorithm algorithm, size_t* bytes) {
    return cudnnGetConvolutionForwardWorkspaceSize(context().cudnn, d.x, d.w, d.conv, d.y, algorithm, bytes);
  }
};
struct InputGrad {
  using Algorithm = cudnnConvolutionBwdDataAlgo_t;
  using Found = cudnnConvolutionBwdDataAlgoPerf_t;
  static constexpr std::array fixed = {CUDNN_CONVOLUTION_BWD_DATA_ALGO_1};  // ALGO_0 adds up with atomics
  static cudnnStatus_t heuristic(const ConvDescriptors& d, int wanted, int* count, Found* found) {
    return cudnnGetConvolutionBackwardDataAlgorithm_v7(context().cudnn, d.w, d.y, d.conv, d.x, wanted, count, found);
  }
  static cudnnStatus_t workspace(const ConvDescriptors& d, Algorithm algorithm, size_t* bytes) {
    return cudnnGetConvolutionBackwardDataWorkspaceSize(context().cudnn, d.w, d.y, d.conv, d.x, algorithm, bytes);
  }
};
struct WeightGrad {
  using Algorithm = cudnnConvolutionBwdFilterAlgo_t;
  using Found = cudnnConvolutionBwdFilterAlgoPerf_t;
  static constexpr std::array fixed = {CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1};  // ALGO_0 and _3 add up with atomics
  static cudnnStatus_t heuristic(const ConvDescriptors& d, int wanted, int* count, Found* found) {
    return cudnnGetConvolutionBackwardFilterAlgorithm_v7(context().cudnn, d.x, d.y, d.conv, d.w, wanted, count, found);
  }
  static cudnnStatus_t workspace(const ConvDescriptors& d, Algorithm algorithm, size_t* bytes) {
    return cudnnGetConvolutionBackwardFilterWorkspaceSize(context().cudnn, d.x, d.y, d.conv, d.w, algorithm, bytes);
  }
};

/// Whether a convolution is one for cuDNN at all: grouped ones, which no model here has, stay with the plain bodies.
bool for_cudnn(DType dtype, const Conv2dSpec& spec) {
  return (dtype == DType::f32 || (dtype == DType::bf16 && cuda_has_bf16())) && spec.groups == 1;
}

template <class Kind>
struct Choice {
  typename Kind::Algorithm algorithm;
  size_t bytes;
};

/// Empty where no reproducible algorithm of cuDNN takes the shape.
template <class Kind>
std::optional<Choice<Kind>> choose(const ConvDescriptors& d) {
  std::vector<typename Kind::Algorithm> candidates;
  if (fast_algorithms()) {
    std::array<typename Kind::Found, 8> found;
    int count = 0;
    BOXCAM_CUDNN(Kind::heuristic(d, static_cast<int>(found.size()), &count, found.data()));
    for (int i = 0; i < count; ++i)
      if (found[i].status == CUDNN_STATUS_SUCCESS && found[i].determinism == CUDNN_DETERMINISTIC)
        candidates.push_back(found[i].algo);
  }
  candidates.insert(candidates.end(), Kind::fixed.begin(), Kind::fixed.end());
  for (const auto algorithm : candidates) {
    size_t bytes = 0;
    const cudnnStatus_t status = Kind::workspace(d, algorithm, &bytes);
    if (status == CUDNN_STATUS_SUCCESS) return Choice<Kind>{algorithm, bytes};
    const bool unsupported = status / 1000 == CUDNN_STATUS_NOT_SUPPORTED / 1000;  // 3000; from 3001 on it says why
    if (!unsupported) BOXCAM_CUDNN(status);
  }
  return {};
}

constexpr float kOne = 1, kZero = 0;

/// Chooses, gets a workspace, and hands both to call(descriptors, algorithm, workspace, bytes). False: not for cuDNN.
template <class Kind, class Call>
bool with_cudnn(DType dtype, const Shape& x, const Shape& w, const Shape& y, const Conv2dSpec& spec, Call call) {
  if (!for_cudnn(dtype, spec)) return false;
  const ConvDescriptors d(x, w, y, spec, dtype, allow_tf32());
  const auto chosen = choose<Kind>(d);
  if (!chosen) return false;
  // Freed before the kernel has run: the next user of the block comes after it in the stream.
  Tensor workspace = Tensor::empty({static_cast<int64_t>(chosen->bytes)}, DType::u8, Device::cuda);
  call(d, chosen->algorithm, workspace.raw_data(), chosen->bytes);
  return true;
}

template <class Kind>
std::string implementation(const ConvDescriptors& d) {
  const auto chosen = choose<Kind>(d);
  return chosen ? str("cuDNN ALGO_", static_cast<int>(chosen->algorithm)) : "plain";
}

}  // namespace

std::vector<std::string> conv2d_implementations(const Shape& x, const Shape& w, const Shape& y,
                                                const Conv2dSpec& spec, DType activations) {
  context();
  if (!for_cudnn(activations, spec)) return {"plain", "plain", "plain"};
  const ConvDescriptors d(x, w, y, spec, activations, allow_tf32());
  return {implementation<Forward>(d), implementation<InputGrad>(d), implementation<WeightGrad>(d)};
}

// The weights beside bf16 activations are f32: cuDNN gets them rounded, and their gradient comes back as cuDNN rounds it.

void conv2d(const Tensor& x, const Tensor& w, const Conv2dSpec& spec, Tensor& y) {
  if (!with_cudnn<Forward>(x.dtype(), x.shape(), w.shape(), y.shape(), spec,
                           [&](const ConvDescriptors& d, auto algorithm, void* workspace, size_t bytes) {
                             const Tensor weight = w.to(x.dtype());
                             BOXCAM_CUDNN(cudnnConvolutionForward(context().cudnn, &kOne, d.x, x.raw_data(), d.w,
                                                                  weight.raw_data(), d.conv, algorithm, workspace, bytes,
                                                                  &kZero, d.y, y.raw_data()));
                           }))
    plain_conv2d(Launch{}, x, w, spec, y);
}

void conv2d_bias(const Tensor& x, const Tensor& w, const Conv2dSpec& spec, const Tensor& bias, const Tensor& residual,
                 bool with_relu, Tensor& y) {
  Tensor product = Tensor::empty(y.shape(), y.dtype(), Device::cuda);
  conv2d(x, w, spec, product);
  add_bias(Launch{}, product, bias, residual, with_relu, y);
}

void conv2d_input_grad(const Tensor& g, const Tensor& w, const Conv2dSpec& spec, Tensor& gx) {
  if (!with_cudnn<InputGrad>(g.dtype(), gx.shape(), w.shape(), g.shape(), spec,
                             [&](const ConvDescriptors& d, auto algorithm, void* workspace, size_t bytes) {
                               const Tensor weight = w.to(g.dtype());
                               BOXCAM_CUDNN(cudnnConvolutionBackwardData(
                                   context().cudnn, &kOne, d.w, weight.raw_data(), d.y, g.raw_data(), d.conv, algorithm,
                                   workspace, bytes, &kZero, d.x, gx.raw_data()));
                             }))
    plain_conv2d_input_grad(Launch{}, g, w, spec, gx);
}

void conv2d_weight_grad(const Tensor& x, const Tensor& g, const Conv2dSpec& spec, Tensor& gw) {
  if (!with_cudnn<WeightGrad>(x.dtype(), x.shape(), gw.shape(), g.shape(), spec,
                              [&](const ConvDescriptors& d, auto algorithm, void* workspace, size_t bytes) {
                                const bool rounded = gw.dtype() != x.dtype();
                                Tensor result = rounded ? Tensor::empty(gw.shape(), x.dtype(), Device::cuda) : gw;
                                BOXCAM_CUDNN(cudnnConvolutionBackwardFilter(
                                    context().cudnn, &kOne, d.x, x.raw_data(), d.y, g.raw_data(), d.conv, algorithm,
                                    workspace, bytes, &kZero, d.w, result.raw_data()));
                                if (rounded) cast(result, gw);
                              }))
    plain_conv2d_weight_grad(Launch{}, x, g, spec, gw);
}

}  // namespace boxcam::cuda
