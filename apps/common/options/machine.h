// Options of the machine: what computes, in which types, how it is watched.
#pragma once

#include "apps/common/options/table.h"
#include "engine/settings.h"
#include "engine/tensor.h"

namespace boxcam {

struct RunOptions {
  uint64_t seed = 0;
  int threads = 0;
  ConvAlgorithm conv_algorithm = ConvAlgorithm::automatic;
  Device device = Device::cpu;
  bool allow_tf32 = false, fast_algorithms = false;  ///< cuda
  DType precision = DType::f32;                      ///< of activations and convolutions: f32 or bf16
  std::string profile;                               ///< a file for the time of each kernel and of waits; empty: none
};

void declare_seed(OptionTable& table, RunOptions& options);
/// Threads, algorithms, precision, profile.
void declare_cpu(OptionTable& table, RunOptions& options);
/// --device, and what only CUDA has.
void declare_device(OptionTable& table, RunOptions& options);

/// Sets threads, device and convolution algorithm, and starts the profile that run_app will write. Throws Error naming
/// the option where the machine does not have what is asked for.
void apply(const RunOptions& options);

}  // namespace boxcam
