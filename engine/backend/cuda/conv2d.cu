#include "engine/backend/cuda/conv2d.h"

#include <array>
#include <limits>
#include <map>
#include <mutex>
#include <optional>

#include "engine/backend/cuda/cudnn.h"
#include "engine/backend/cuda/launch.h"
#include "engine/backend/cuda/table.h"
#include "engine/settings.h"

namespace boxcam::cuda {

namespace {

/// Whether a convolution is one for cuDNN at all: grouped ones, which no model here has, stay with the plain bodies.
bool for_cudnn(DType dtype, const Conv2dSpec& spec) {
  return (dtype == DType::f32 || (dtype == DType::bf16 && context().has_bf16)) && spec.groups == 1;
}

/// Whether a convolution is the matrix product of pixels and channels, in f32 proper: cuBLAS does that faster than the
/// reproducible engines of cuDNN, which change the layout for it. With TF32 and bf16 cuDNN itself calls such a product.
bool is_product(DType dtype, const Shape& w, const Conv2dSpec& spec) {
  return dtype == DType::f32 && !settings().allow_tf32 && w[1] == 1 && w[2] == 1 && spec.stride == 1 &&
         spec.padding == 0 && spec.groups == 1;
}

struct Operands {
  const void *x, *w, *y;
};

void execute(const ConvPlan& plan, const Operands& on) {
  // Freed before the kernel has run: the next user of the block comes after it in the stream.
  Tensor workspace = Tensor::empty({static_cast<int64_t>(plan.workspace_bytes())}, DType::u8, Device::cuda);
  plan.execute(on.x, on.w, on.y, workspace.raw_data());
}

/// The fastest of three executions, in milliseconds.
float best_time(const ConvPlan& plan, const Operands& on) {
  cudaEvent_t begin, end;
  BOXCAM_CUDA(cudaEventCreate(&begin));
  BOXCAM_CUDA(cudaEventCreate(&end));
  float best = std::numeric_limits<float>::max();
  execute(plan, on);  // a first one loads the kernel
  for (int i = 0; i < 3; ++i) {
    BOXCAM_CUDA(cudaEventRecord(begin, context().stream));
    execute(plan, on);
    BOXCAM_CUDA(cudaEventRecord(end, context().stream));
    BOXCAM_CUDA(cudaEventSynchronize(end));
    float time = 0;
    BOXCAM_CUDA(cudaEventElapsedTime(&time, begin, end));
    best = std::min(best, time);
  }
  BOXCAM_CUDA(cudaEventDestroy(begin));
  BOXCAM_CUDA(cudaEventDestroy(end));
  return best;
}

/// The plan for a problem, made once: cuDNN's first, or with fast_algorithms the fastest of its first eight. Null where
/// cuDNN has no reproducible engine for the problem. Without operands nothing can be timed.
const ConvPlan* plan_for(const ConvProblem& p, const Operands* on) {
  using Key = std::array<int64_t, 19>;
  static auto* plans = new std::map<Key, std::optional<ConvPlan>>;  // never destroyed, as the context
  static std::mutex mutex;
  const bool timed = on && settings().fast_algorithms;
  Key key;
  auto next = key.begin();
  for (const Shape* s : {&p.x, &p.w, &p.y})
    for (int i = 0; i < 4; ++i) *next++ = (*s)[i];
  for (const int64_t value : {int64_t(p.kind), int64_t(p.dtype), p.spec.stride, p.spec.padding, p.spec.dilation,
                              int64_t(p.tf32), int64_t(timed)})
    *next++ = value;
  const std::scoped_lock lock(mutex);
  auto found = plans->find(key);
  if (found == plans->end()) {
    std::optional<ConvPlan> best;  // kept only if nothing throws on the way
    float shortest = std::numeric_limits<float>::max();
    for (ConvPlan& plan : conv_plans(p, timed ? 8 : 1)) {
      const float time = timed ? best_time(plan, *on) : 0;
      if (time < shortest) shortest = time, best = std::move(plan);
    }
    found = plans->emplace(key, std::move(best)).first;
  }
  return found->second ? &*found->second : nullptr;
}

/// False where it is not for cuDNN.
bool with_cudnn(const ConvProblem& problem, const Operands& on) {
  const ConvPlan* plan = plan_for(problem, &on);
  if (plan) execute(*plan, on);
  return plan != nullptr;
}

}  // namespace

std::vector<std::string> conv2d_implementations(const Shape& x, const Shape& w, const Shape& y, const Conv2dSpec& spec,
                                                DType activations) {
  context();
  std::vector<std::string> found;
  if (is_product(activations, w, spec)) return {"cuBLAS", "cuBLAS", "cuBLAS"};
  for (const ConvKind kind : {ConvKind::forward, ConvKind::input_grad, ConvKind::weight_grad}) {
    const ConvPlan* plan = for_cudnn(activations, spec)
                               ? plan_for({kind, activations, x, w, y, spec, settings().allow_tf32}, nullptr)
                               : nullptr;
    found.push_back(plan ? str("cuDNN engine ", plan->engine()) : "plain");
  }
  return found;
}

// The weights beside bf16 activations are f32: cuDNN gets them rounded, and their gradient comes back as cuDNN rounds
// it.

void conv2d(const Tensor& x, const Tensor& w, const Conv2dSpec& spec, Tensor& y) {
  if (is_product(x.dtype(), w.shape(), spec)) return product_conv2d(matmul, x, w, y);
  if (for_cudnn(x.dtype(), spec)) {
    const Tensor weight = w.to(x.dtype());
    if (with_cudnn({ConvKind::forward, x.dtype(), x.shape(), w.shape(), y.shape(), spec, settings().allow_tf32},
                   {x.raw_data(), weight.raw_data(), y.raw_data()}))
      return;
  }
  plain_conv2d(Launch{}, x, w, spec, y);
}

void conv2d_bias(const Tensor& x, const Tensor& w, const Conv2dSpec& spec, const Tensor& bias, const Tensor& residual,
                 bool with_relu, Tensor& y) {
  Tensor product = Tensor::empty(y.shape(), y.dtype(), Device::cuda);
  conv2d(x, w, spec, product);
  add_bias(Launch{}, product, bias, residual, with_relu, y);
}

void conv2d_input_grad(const Tensor& g, const Tensor& w, const Conv2dSpec& spec, Tensor& gx) {
  if (is_product(g.dtype(), w.shape(), spec)) return product_conv2d_input_grad(matmul, g, w, gx);
  if (for_cudnn(g.dtype(), spec)) {
    const Tensor weight = w.to(g.dtype());
    if (with_cudnn({ConvKind::input_grad, g.dtype(), gx.shape(), w.shape(), g.shape(), spec, settings().allow_tf32},
                   {gx.raw_data(), weight.raw_data(), g.raw_data()}))
      return;
  }
  plain_conv2d_input_grad(Launch{}, g, w, spec, gx);
}

void conv2d_weight_grad(const Tensor& x, const Tensor& g, const Conv2dSpec& spec, Tensor& gw) {
  if (is_product(x.dtype(), gw.shape(), spec)) return product_conv2d_weight_grad(matmul, x, g, gw);
  if (for_cudnn(x.dtype(), spec)) {
    const bool rounded = gw.dtype() != x.dtype();
    Tensor result = rounded ? Tensor::empty(gw.shape(), x.dtype(), Device::cuda) : gw;
    if (with_cudnn({ConvKind::weight_grad, x.dtype(), x.shape(), gw.shape(), g.shape(), spec, settings().allow_tf32},
                   {x.raw_data(), result.raw_data(), g.raw_data()})) {
      if (rounded) kernels().cast(result, gw);
      return;
    }
  }
  plain_conv2d_weight_grad(Launch{}, x, g, spec, gw);
}

void add_conv2d(Kernels& table) {
#define BOXCAM_SET(entry) table.entry = entry;
  BOXCAM_KERNELS_CONV2D(BOXCAM_SET)
#undef BOXCAM_SET
}

}  // namespace boxcam::cuda
