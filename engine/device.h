// Devices, their memory and the identity of the machine and the libraries, which is part of a run's identity.
#pragma once

#include <cstddef>
#include <string>

#include "engine/tensor.h"

namespace boxcam {

/// Memory of one tensor (or of several that share it), 64-byte aligned. Blocks are kept and reused (on the CPU the
/// large ones): a training step asks for the same sizes again and again, and fresh memory from the system costs more
/// than the arithmetic on it.
class Storage {
 public:
  explicit Storage(size_t bytes, Device device = Device::cpu);
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;
  void* data() { return data_; }

 private:
  void* data_;
  size_t bytes_, capacity_;
  Device device_;
};

/// The number of CPU threads that kernels use. Results depend on it bit by bit. 0: all cores.
void set_threads(int threads);
int threads();

/// How convolutions may be computed on the CPU: `automatic` takes Winograd where the library has it and it is faster
/// (decided by shape, never by a timing), `direct` never.
enum class ConvAlgorithm { automatic, direct };
void set_conv_algorithm(ConvAlgorithm algorithm);
ConvAlgorithm conv_algorithm();

/// Whether convolutions of bf16 activations are computed as such on the CPU (AVX-512 BF16, through oneDNN). Elsewhere
/// they give the same numbers but for rounding, through f32 and slower.
bool cpu_has_bf16();

/// Whether f32 convolutions and matrix products on CUDA may round their inputs to TF32 (10 bits of mantissa). Off.
void set_allow_tf32(bool allow);
bool allow_tf32();

/// Whether a convolution's first call on CUDA times cuDNN's reproducible engines and keeps the fastest, instead of
/// taking the one that cuDNN prefers, which the shape, the card and cuDNN's version determine. Off. Runs may then
/// differ.
void set_fast_algorithms(bool allow);
bool fast_algorithms();

/// Waits until the device has done all that was asked of it: CUDA computes while the program goes on. Throws what its
/// kernels had to report. For clocks; values that are read on the host (item, to_vector, to) wait by themselves.
void synchronize(Device device);

std::string onednn_version();    ///< "2.6.3", or "none"
std::string cuda_version();      ///< of the libraries at hand, "13.0, cuDNN 9.19.0"; "none" where built without CUDA
std::string cuda_device_name();  ///< "NVIDIA H100 80GB HBM3, compute capability 9.0"; throws as cuda_kernels()
bool cuda_has_bf16();            ///< from compute capability 8.0 on; throws as cuda_kernels()
std::string processor_name();    ///< as the system reports it
bool native_kernels();           ///< whether the CPU's kernels were compiled for the building machine's processor

}  // namespace boxcam
