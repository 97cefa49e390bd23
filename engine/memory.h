// Devices and the memory of tensors on them.
#pragma once

#include <cstddef>

namespace boxcam {

enum class Device { cpu, cuda };
const char* name(Device device);

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
  size_t capacity_ = 0;  // before data_, whose allocation sets it
  void* data_;
  size_t bytes_;
  Device device_;
};

/// Bytes of tensor memory on one device: in use now, at most since `reset_peak_memory`, and handed out in all.
struct MemoryUse {
  size_t now = 0, peak = 0, allocated = 0;
  size_t reserved = 0;  ///< taken from the system or the card for large tensors, in use or kept for the next ones
};
MemoryUse memory_use(Device device = Device::cpu);
void reset_peak_memory(Device device = Device::cpu);

/// Waits until the device has done all that was asked of it: CUDA computes while the program goes on. Throws what its
/// kernels had to report. For clocks; values that are read on the host (item, to_vector, to) wait by themselves.
void synchronize(Device device);

}  // namespace boxcam
