#include "engine/memory.h"

#include <atomic>

#include "engine/backend/backend.h"

namespace boxcam {

namespace {

struct Counters {
  std::atomic<size_t> now{0}, peak{0}, allocated{0};
};
Counters& counters(Device device) {
  static Counters cpu, cuda;
  return device == Device::cpu ? cpu : cuda;
}

}  // namespace

const char* name(Device device) { return device == Device::cpu ? "cpu" : "cuda"; }

Storage::Storage(size_t bytes, Device device)
    : data_(backend(device).memory.allocate(bytes, capacity_)), bytes_(bytes), device_(device) {
  Counters& c = counters(device);
  c.allocated += bytes_;
  const size_t now = c.now += bytes_;
  size_t peak = c.peak.load();
  while (now > peak && !c.peak.compare_exchange_weak(peak, now)) {
  }
}

Storage::~Storage() {
  counters(device_).now -= bytes_;
  backend(device_).memory.release(data_, capacity_);
}

MemoryUse memory_use(Device device) {
  const Counters& c = counters(device);
  const Backend* there = find_backend(device);
  return {c.now.load(), c.peak.load(), c.allocated.load(), there ? there->memory.reserved() : 0};
}
void reset_peak_memory(Device device) { counters(device).peak = counters(device).now.load(); }

void synchronize(Device device) { backend(device).memory.synchronize(); }

}  // namespace boxcam
