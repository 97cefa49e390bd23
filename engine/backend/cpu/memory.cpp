#include "engine/backend/cpu/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <map>
#include <mutex>

namespace boxcam::cpu {

namespace {

constexpr size_t kAlignment = 64;
#ifdef __SANITIZE_ADDRESS__
constexpr size_t kLarge = SIZE_MAX;  // the sanitizer sees every block come and go
#else
constexpr size_t kLarge = size_t{1} << 17;  // from here on blocks lie in the arena
#endif
constexpr size_t kRegion = size_t{256} << 20, kHugePage = size_t{2} << 20;

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

void* allocate(size_t bytes, size_t& capacity) {
  capacity = round_up(bytes ? bytes : 1, kAlignment);
  void* const block = capacity >= kLarge ? arena().take(capacity) : std::aligned_alloc(kAlignment, capacity);
  check(block != nullptr, "out of memory: ", bytes, " bytes were asked for, ", memory_use(Device::cpu).now,
        " are in use by tensors; a smaller batch or image size needs less");
  return block;
}

void release(void* block, size_t capacity) noexcept {
  if (capacity >= kLarge)
    arena().give(block, capacity);
  else
    std::free(block);
}

size_t reserved() { return arena().reserved(); }

void copy(void* to, const void* from, size_t bytes) {
  if (bytes) std::memcpy(to, from, bytes);
}

void set_zero(void* to, size_t bytes) { std::memset(to, 0, bytes); }

void fill(Tensor& t, double value) {
  visit_dtype(t.dtype(), [&](auto zero) {
    using T = decltype(zero);
    std::fill_n(t.data<T>(), t.numel(), static_cast<T>(value));
  });
}

void synchronize() {}  // a kernel returns when it is done

}  // namespace

const DeviceMemory& memory() {
  static constexpr DeviceMemory operations = {allocate, release,  reserved, copy,       copy,
                                              copy,     set_zero, fill,     synchronize};
  return operations;
}

}  // namespace boxcam::cpu
