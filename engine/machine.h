// The identity of the machine and of the libraries, which is part of a run's identity.
#pragma once

#include <cstdint>
#include <string>

namespace boxcam {

std::string onednn_version();    ///< "2.6.3", or "none"
std::string cuda_version();      ///< of the libraries at hand, "13.0, cuDNN 9.19.0"; "none" where built without CUDA
std::string cuda_device_name();  ///< "NVIDIA H100 80GB HBM3, compute capability 9.0"; throws where there is none
std::string c_library();         ///< "glibc 2.36", whose exp and log the results depend on
std::string processor_name();    ///< as the system reports it
bool native_kernels();           ///< whether the CPU's kernels were compiled for the building machine's processor

/// Whether convolutions of bf16 activations are computed as such on the CPU (AVX-512 BF16, through oneDNN). Elsewhere
/// they give the same numbers but for rounding, through f32 and slower.
bool cpu_has_bf16();
bool cuda_has_bf16();  ///< from compute capability 8.0 on; throws as cuda_device_name()

/// What this process may use: processors that its affinity (taskset) allows and the CPU quota of its control group (a
/// container) pays for, rounded down, at least 1; bytes of memory that are free and that the group may still take.
int usable_processors();
uint64_t usable_memory();

/// The CPU quota of the control group that `self`, as /proc/self/cgroup, names below `mount`, as /sys/fs/cgroup, in
/// processors: the least of the group's own and of those above it, versions 1 and 2; 0: none.
double cpu_quota(const std::string& self, const std::string& mount);

}  // namespace boxcam
