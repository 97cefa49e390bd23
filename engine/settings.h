// What a program chooses once about how everything is computed. Process-wide, and part of a run's identity.
#pragma once

#include <type_traits>

namespace boxcam {

/// How convolutions may be computed on the CPU: `automatic` takes Winograd where the library has it and it is faster
/// (decided by shape, never by a timing), `direct` never.
enum class ConvAlgorithm { automatic, direct };

struct Settings {
  /// The number of CPU threads that kernels use. Results depend on it bit by bit. 0:
  /// OMP_NUM_THREADS, else as many as the process may use (usable_processors).
  int threads = 0;
  ConvAlgorithm conv_algorithm = ConvAlgorithm::automatic;
  /// Whether f32 convolutions and matrix products on CUDA may round their inputs to TF32 (10 bits of mantissa).
  bool allow_tf32 = false;
  /// Whether a convolution's first call on CUDA times cuDNN's reproducible engines and keeps the fastest, instead of
  /// taking the one that cuDNN prefers, which the shape, the card and cuDNN's version determine. Runs may then differ.
  bool fast_algorithms = false;
};

/// Those in use, `threads` as a number that is not 0.
Settings settings();
void set_settings(const Settings& settings);
/// set_settings of those in use, but for one: set_setting(&Settings::allow_tf32, true).
template <class T>
void set_setting(T Settings::*setting, std::type_identity_t<T> value) {
  Settings changed = settings();
  changed.*setting = value;
  set_settings(changed);
}

int threads();  ///< settings().threads

}  // namespace boxcam
