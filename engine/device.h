// Devices, their memory and the identity of the machine and the libraries, which is part of a run's identity.
#pragma once

#include <cstddef>
#include <string>

#include "engine/tensor.h"

namespace boxcam {

/// Memory of one tensor (or of several that share it), 64-byte aligned. Large blocks are kept and reused: a training
/// step asks for the same sizes again and again, and fresh pages from the system cost more than the arithmetic on them.
class Storage {
 public:
  explicit Storage(size_t bytes);
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;
  void* data() { return data_; }

 private:
  void* data_;
  size_t bytes_, capacity_;
};

/// The number of CPU threads that kernels use. Results depend on it bit by bit. 0: all cores.
void set_threads(int threads);
int threads();

/// How convolutions may be computed on the CPU: `automatic` takes Winograd where the library has it and it is faster
/// (decided by shape, never by a timing), `direct` never.
enum class ConvAlgorithm { automatic, direct };
void set_conv_algorithm(ConvAlgorithm algorithm);
ConvAlgorithm conv_algorithm();

std::string onednn_version();    ///< "2.6.3", or "none"
std::string processor_name();    ///< as the system reports it

}  // namespace boxcam
