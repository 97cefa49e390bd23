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
constexpr size_t kLarge = size_t{1} << 17;  // from here on blocks lie in the arena
#endif
constexpr size_t kRegion = size_t{256} << 20, kHugePage = size_t{2} << 20;

struct Counters {
  std::atomic<size_t> now{0}, peak{0}, allocated{0};
};
Counters& counters(Device device) {
  static Counters cpu, cuda;
  return device == Device::cpu ? cpu : cuda;
}

size_t round_up(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

/// Where large blocks lie: regions of memory that are taken from the system as they are needed, and kept. A training
/// step that repeats finds its memory here, and the system need not clear any for it. A block is cut from the end of
/// the highest free range that has room, and neighbouring free ranges become one, so that few holes are left: over the
/// steps of a ResNet-50 what the arena holds is 1 % more than what is in use at the peak.
class Arena {
 public:
  /// nullptr if the system has no more.
  void* take(size_t bytes) {
    const std::scoped_lock lock(mutex_);
    const auto has_room = [&](const auto& range) { return range.second >= bytes; };
    auto found = std::find_if(free_.rbegin(), free_.rend(), has_room);
    if (found == free_.rend()) {
      if (!grow(bytes)) return nullptr;
      found = std::find_if(free_.rbegin(), free_.rend(), has_room);
    }
    char* const block = found->first + (found->second -= bytes);
    if (found->second == 0) free_.erase(std::prev(found.base()));
    return block;
  }
  void give(void* block, size_t bytes) {
    const std::scoped_lock lock(mutex_);
    insert(static_cast<char*>(block), bytes);
  }
  size_t reserved() {
    const std::scoped_lock lock(mutex_);
    return reserved_;
  }

 private:
  bool grow(size_t bytes) {
    const size_t size = round_up(std::max(bytes, kRegion), kHugePage);
    void* const region = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (region == MAP_FAILED) return false;
    madvise(region, size, MADV_HUGEPAGE);
    reserved_ += size;
    insert(static_cast<char*>(region), size);
    return true;
  }
  void insert(char* begin, size_t bytes) {
    const auto range = free_.emplace(begin, bytes).first, next = std::next(range);
    if (next != free_.end() && begin + bytes == next->first) {
      range->second += next->second;
      free_.erase(next);
    }
    if (range == free_.begin()) return;
    const auto before = std::prev(range);
    if (before->first + before->second != begin) return;
    before->second += range->second;
    free_.erase(range);
  }

  std::mutex mutex_;
  std::map<char*, size_t> free_;  // begin and size; no two touch
  size_t reserved_ = 0;
};

Arena& arena() {
  static auto* instance = new Arena;  // never destroyed: tensors with static storage may outlive it
  return *instance;
}

std::atomic<ConvAlgorithm> chosen_conv_algorithm{ConvAlgorithm::automatic};
std::atomic<bool> tf32_allowed{false}, fast_algorithms_allowed{false};

}  // namespace

Storage::Storage(size_t bytes, Device device)
    : data_(nullptr), bytes_(bytes), capacity_(round_up(bytes ? bytes : 1, kAlignment)), device_(device) {
  if (device == Device::cuda) {
    data_ = cuda::allocate(bytes, capacity_);
  } else {
    data_ = capacity_ >= kLarge ? arena().take(capacity_) : std::aligned_alloc(kAlignment, capacity_);
    check(data_ != nullptr, "out of memory: ", bytes, " bytes were asked for, ", counters(device).now.load(),
          " are in use by tensors; a smaller batch or image size needs less");
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
    arena().give(data_, capacity_);
  else
    std::free(data_);
}

MemoryUse memory_use(Device device) {
  const Counters& c = counters(device);
  const size_t reserved = device == Device::cuda ? cuda::reserved_bytes() : arena().reserved();
  return {c.now.load(), c.peak.load(), c.allocated.load(), reserved};
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

bool native_kernels() {
#ifdef BOXCAM_NATIVE
  return true;
#else
  return false;
#endif
}

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "unknown";
}

}  // namespace boxcam
