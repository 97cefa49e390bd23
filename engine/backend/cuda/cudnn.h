// cuDNN's convolutions through its backend interface, the graph API's C functions: a convolution is a graph of one
// operation, an engine that computes it is chosen among those cuDNN proposes, and what comes out is a plan to execute.
// The only place that turns shapes and a Conv2dSpec into cuDNN's conventions.
#pragma once

#include <cudnn.h>

#include <array>
#include <utility>
#include <vector>

#include "engine/backend/cuda/context.h"
#include "engine/specs.h"

namespace boxcam::cuda {

/// Owns one descriptor of the backend interface.
class Descriptor {
 public:
  explicit Descriptor(cudnnBackendDescriptorType_t type) { BOXCAM_CUDNN(cudnnBackendCreateDescriptor(type, &handle_)); }
  Descriptor(Descriptor&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Descriptor() {
    if (handle_) cudnnBackendDestroyDescriptor(handle_);
  }
  cudnnBackendDescriptor_t handle() const { return handle_; }

  template <size_t N, class T>
  void set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, const std::array<T, N>& values) {
    BOXCAM_CUDNN(cudnnBackendSetAttribute(handle_, name, type, static_cast<int64_t>(N), values.data()));
  }
  template <class T>
  void set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, T value) {
    set(name, type, std::array{value});
  }
  void set(cudnnBackendAttributeName_t name, const Descriptor& value) {
    set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, value.handle_);
  }
  /// Up to values.size() values; returns how many there are.
  template <class Values>
  int64_t get(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, Values& values) const {
    int64_t count = 0;
    BOXCAM_CUDNN(
        cudnnBackendGetAttribute(handle_, name, type, static_cast<int64_t>(values.size()), &count, values.data()));
    return count;
  }
  cudnnStatus_t try_finalize() { return cudnnBackendFinalize(handle_); }
  void finalize() { BOXCAM_CUDNN(try_finalize()); }

 private:
  cudnnBackendDescriptor_t handle_ = nullptr;
};

enum class ConvKind { forward, input_grad, weight_grad };

/// What a plan is made for. x, y and w have the type `dtype`, f32 or bf16; products are added up in f32. x and y (or
/// their gradients) are NHWC, w is OHWI.
struct ConvProblem {
  ConvKind kind;
  DType dtype;
  Shape x, w, y;
  Conv2dSpec spec;
  bool tf32;
};

/// How one convolution is executed.
class ConvPlan {
 public:
  /// Empty handle where cuDNN does not build the configuration; then `status` says why.
  ConvPlan(const Descriptor& config, cudnnStatus_t& status);
  size_t workspace_bytes() const { return workspace_; }
  int64_t engine() const { return engine_; }  ///< cuDNN's number of it
  /// Pointers of x, w and y, of which the kind determines the one that is assigned.
  void execute(const void* x, const void* w, const void* y, void* workspace) const;

 private:
  Descriptor plan_;
  int64_t workspace_ = 0, engine_ = -1;
};

/// The plans that compute the problem reproducibly, in its precision and with at most 1 GiB of work space, at most
/// `wanted`, in the order in which cuDNN prefers them: a matter of the problem, the card and cuDNN's version; nothing
/// is timed.
std::vector<ConvPlan> conv_plans(const ConvProblem& problem, size_t wanted);

}  // namespace boxcam::cuda
