#include "engine/device.h"

#include <omp.h>
#include <sys/mman.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <map>
#include <mutex>
#include <thread>

namespace boxcam {

namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kLarge = size_t{1} << 20;        // from here on blocks are cached
constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kMaxCached = size_t{768} << 20;  // unused cached bytes beyond which the cache is emptied

std::atomic<size_t> bytes_now{0}, bytes_peak{0}, bytes_allocated{0};

/// Free large blocks by capacity. A request takes the smallest block that fits without wasting more than an eighth.
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
      return block;
    }
    if (cached_ > kMaxCached) release();
    return nullptr;
  }
  void give(void* block, size_t capacity) {
    const std::scoped_lock lock(mutex_);
    free_.emplace(capacity, block);
    cached_ += capacity;
  }

 private:
  void release() {
    for (const auto& [capacity, block] : free_) std::free(block);
    free_.clear();
    cached_ = 0;
  }
  std::mutex mutex_;
  std::multimap<size_t, void*> free_;
  size_t cached_ = 0;
};

BlockCache& cache() {
  static auto* instance = new BlockCache;  // never destroyed: tensors with static storage may outlive it
  return *instance;
}

size_t round_up(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

void* system_allocate(size_t bytes) {
  const size_t alignment = bytes >= 2 * kHugePage ? kHugePage : kAlignment;
  void* data = std::aligned_alloc(alignment, round_up(bytes, alignment));
  check(data != nullptr, "out of memory: ", bytes, " bytes were asked for, ", bytes_now.load(),
        " are in use by tensors; a smaller batch or image size needs less");
  if (alignment == kHugePage) madvise(data, round_up(bytes, alignment), MADV_HUGEPAGE);
  return data;
}

std::atomic<ConvAlgorithm> chosen_conv_algorithm{ConvAlgorithm::automatic};

}  // namespace

Storage::Storage(size_t bytes) : data_(nullptr), bytes_(bytes), capacity_(round_up(bytes ? bytes : 1, kAlignment)) {
  if (capacity_ >= kLarge) data_ = cache().take(round_up(bytes, kAlignment), capacity_);
  if (!data_) data_ = system_allocate(capacity_);
  bytes_allocated += bytes_;
  const size_t now = bytes_now += bytes_;
  size_t peak = bytes_peak.load();
  while (now > peak && !bytes_peak.compare_exchange_weak(peak, now)) {
  }
}

Storage::~Storage() {
  bytes_now -= bytes_;
  if (capacity_ >= kLarge)
    cache().give(data_, capacity_);
  else
    std::free(data_);
}

MemoryUse memory_use() { return {bytes_now.load(), bytes_peak.load(), bytes_allocated.load()}; }
void reset_peak_memory() { bytes_peak = bytes_now.load(); }

void set_threads(int count) {
  omp_set_dynamic(0);
  omp_set_num_threads(count > 0 ? count : static_cast<int>(std::thread::hardware_concurrency()));
}
int threads() { return omp_get_max_threads(); }

void set_conv_algorithm(ConvAlgorithm algorithm) { chosen_conv_algorithm = algorithm; }
ConvAlgorithm conv_algorithm() { return chosen_conv_algorithm; }

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "unknown";
}

}  // namespace boxcam
