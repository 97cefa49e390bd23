// A device: its kernels, its memory and what it is. One object for each; a third device is a third object.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "engine/backend/kernels.h"
#include "engine/memory.h"
#include "engine/specs.h"
#include "engine/tensor.h"

namespace boxcam {

/// Everything a device does, it does in the order of the calls; only `download` and `synchronize` wait for it. Each
/// throws Error where the device is not there.
struct DeviceMemory {
  /// `capacity` becomes the size of the block, which may be a used one.
  void* (*allocate)(size_t bytes, size_t& capacity);
  void (*release)(void* block, size_t capacity) noexcept;
  size_t (*reserved)();                                        ///< bytes that are held, in use or for the next blocks
  void (*upload)(void* to, const void* from, size_t bytes);    ///< from host; `from` may change when the call returns
  void (*download)(void* to, const void* from, size_t bytes);  ///< to host
  void (*copy)(void* to, const void* from, size_t bytes);      ///< on the device
  void (*set_zero)(void* to, size_t bytes);
  void (*fill)(Tensor& t, double value);
  void (*synchronize)();
};

/// What a run's identity says of the device; see engine/machine.h.
struct Machine {
  std::string (*name)();
  std::string (*libraries)();  ///< their versions; does not throw
  bool (*has_bf16)();
};

struct Backend {
  const Kernels& (*kernels)();  ///< throws Error where the device is not there
  DeviceMemory memory;
  Machine machine;
  /// What computes conv2d, its input gradient and its weight gradient, for these extents: oneDNN's `impl_info_str()`,
  /// "cuDNN engine 7", "cuBLAS", or "plain" for our own loops, which are slow. For tests and benchmarks.
  std::vector<std::string> (*conv2d_implementations)(const Shape& x, const Shape& w, const Shape& y,
                                                     const Conv2dSpec& spec, DType activations);
};

const Backend& backend(Device device);       ///< throws "boxcam was built without CUDA" where it was
const Backend* find_backend(Device device);  ///< null where boxcam was built without it

inline const Kernels& cpu_kernels() { return backend(Device::cpu).kernels(); }
inline const Kernels& cuda_kernels() { return backend(Device::cuda).kernels(); }

const Backend& cpu_backend();
const Backend* cuda_backend();

}  // namespace boxcam
