#include "engine/device.h"

#include <omp.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <fstream>
#include <map>
#include <mutex>
#include <thread>

#include "engine/backend/device_memory.h"

namespace boxcam {

namespace {

constexpr size_t kAlignment = 64;
#ifdef __SANITIZE_ADDRESS__
constexpr size_t kLarge = SIZE_MAX;  // the sanitizer sees every block come and go
#else
constexpr size_t kLarge = size_t{1} << 17;  // from here on blocks are cached
#endif
constexpr size_t kMapped = std::max(kLarge, size_t{1} << 20);  // from here on they are pages of their own
constexpr size_t kPage = 4096, kHugePage = size_t{2} << 20;

struct Counters {
  std::atomic<size_t> now{0}, peak{0}, allocated{0};
};
Counters& counters(Device device) {
  static Counters cpu, cuda;
  return device == Device::cpu ? cpu : cuda;
}

size_t round_up(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

/// Large blocks come from the system and go back to it whole: in malloc's heap they would leave resident holes.
void* map_pages(size_t bytes) {
  const size_t alignment = bytes >= 2 * kHugePage ? kHugePage : kPage, size = round_up(bytes, kPage);
  void* const reserved = mmap(nullptr, size + alignment, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (reserved == MAP_FAILED) return nullptr;
  const auto begin = reinterpret_cast<uintptr_t>(reserved), aligned = round_up(begin, alignment);
  if (aligned > begin) munmap(reserved, aligned - begin);
  munmap(reinterpret_cast<void*>(aligned + size), begin + alignment - aligned);
  void* const data = reinterpret_cast<void*>(aligned);
  // Not for the rest of the last huge page, which would be rounded up.
  if (alignment == kHugePage) madvise(data, size / kHugePage * kHugePage, MADV_HUGEPAGE);
  return data;
}

void system_free(void* data, size_t bytes) {
  if (bytes >= kMapped)
    munmap(data, round_up(bytes, kPage));
  else
    std::free(data);
}

/// Free large blocks by capacity. A request takes the smallest block that fits without wasting more than an eighth.
/// A training step that repeats finds all its blocks here, so that no page is asked for anew; what used blocks and free
/// ones hold together stays within a 64th of the most that was ever used at once.
class BlockCache {
 public:
  void* take(size_t bytes, size_t& capacity) {
    const std::scoped_lock lock(mutex_);
    const auto found = free_.lower_bound(bytes);
    if (found != free_.end() && found->first <= bytes + bytes / 8) {
      void* block = found->second;
      capacity = found->first;
      cached_ -= capacity;
      free_.erase(found);
      used_ += capacity;
      return block;
    }
    used_ += bytes;
    most_used_ = std::max(most_used_, used_);
    while (!free_.empty() && used_ + cached_ > most_used_ + most_used_ / 64) {
      const auto largest = std::prev(free_.end());
      system_free(largest->second, largest->first);
      cached_ -= largest->first;
      free_.erase(largest);
    }
    return nullptr;
  }
  void give(void* block, size_t capacity) {
    const std::scoped_lock lock(mutex_);
    free_.emplace(capacity, block);
    cached_ += capacity;
    used_ -= capacity;
  }

 private:
  std::mutex mutex_;
  std::multimap<size_t, void*> free_;
  size_t cached_ = 0, used_ = 0, most_used_ = 0;
};

BlockCache& cache() {
  static auto* instance = new BlockCache;  // never destroyed: tensors with static storage may outlive it
  return *instance;
}

void* system_allocate(size_t bytes) {
  void* data = bytes >= kMapped ? map_pages(bytes) : std::aligned_alloc(kAlignment, bytes);
  check(data != nullptr, "out of memory: ", bytes, " bytes were asked for, ", counters(Device::cpu).now.load(),
        " are in use by tensors; a smaller batch or image size needs less");
  return data;
}

std::atomic<ConvAlgorithm> chosen_conv_algorithm{ConvAlgorithm::automatic};
std::atomic<bool> tf32_allowed{false}, fast_algorithms_allowed{false};

}  // namespace

Storage::Storage(size_t bytes, Device device)
    : data_(nullptr), bytes_(bytes), capacity_(round_up(bytes ? bytes : 1, kAlignment)), device_(device) {
  if (device == Device::cuda) {
    data_ = cuda::allocate(bytes, capacity_);
  } else {
    if (capacity_ >= kLarge) data_ = cache().take(round_up(bytes, kAlignment), capacity_);
    if (!data_) data_ = system_allocate(capacity_);
  }
  Counters& c = counters(device);
  c.allocated += bytes_;
  const size_t now = c.now += bytes_;
  size_t peak = c.peak.load();
  while (now > peak && !c.peak.compare_exchange_weak(peak, now)) {
  }
}

Storage::~Storage() {
  counters(device_).now -= bytes_;
  if (device_ == Device::cuda)
    cuda::release(data_, capacity_);
  else if (capacity_ >= kLarge)
    cache().give(data_, capacity_);
  else
    system_free(data_, capacity_);
}

MemoryUse memory_use(Device device) {
  const Counters& c = counters(device);
  return {c.now.load(), c.peak.load(), c.allocated.load(), device == Device::cuda ? cuda::reserved_bytes() : 0};
}
void reset_peak_memory(Device device) { counters(device).peak = counters(device).now.load(); }

void synchronize(Device device) {
  if (device == Device::cuda) cuda::synchronize();
}

void set_threads(int count) {
  omp_set_dynamic(0);
  omp_set_num_threads(count > 0 ? count : static_cast<int>(std::thread::hardware_concurrency()));
}
int threads() { return omp_get_max_threads(); }

void set_conv_algorithm(ConvAlgorithm algorithm) { chosen_conv_algorithm = algorithm; }
ConvAlgorithm conv_algorithm() { return chosen_conv_algorithm; }

bool cpu_has_bf16() {
#if defined(BOXCAM_HAS_ONEDNN) && defined(__x86_64__)
  return __builtin_cpu_supports("avx512bf16");
#else
  return false;
#endif
}

void set_allow_tf32(bool allow) { tf32_allowed = allow; }
bool allow_tf32() { return tf32_allowed; }
void set_fast_algorithms(bool allow) { fast_algorithms_allowed = allow; }
bool fast_algorithms() { return fast_algorithms_allowed; }

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "unknown";
}

}  // namespace boxcam
