#include "engine/backend/cuda/memory.h"

#include <cstring>
#include <map>
#include <mutex>
#include <vector>

#include "engine/backend/cuda/elementwise.h"
#include "engine/backend/cuda/launch.h"

namespace boxcam::cuda {

namespace {

constexpr size_t kMega = size_t{1} << 20;

/// Small requests are rounded up to a power of two, so that their blocks fit one another's.
size_t rounded(size_t bytes) {
  if (bytes >= kMega) return (bytes + 511) / 512 * 512;
  size_t size = 512;
  while (size < bytes) size *= 2;
  return size;
}

/// Free blocks of device memory by capacity. A request takes the smallest one that wastes at most an eighth.
class BlockCache {
 public:
  void* take(size_t bytes, size_t& capacity) {
    const size_t wanted = rounded(bytes);
    const std::scoped_lock lock(mutex_);
    const auto found = free_.lower_bound(wanted);
    if (found != free_.end() && found->first <= wanted + wanted / 8) {
      void* block = found->second;
      capacity = found->first;
      free_.erase(found);
      return block;
    }
    void* block = nullptr;
    if (cudaMalloc(&block, wanted) != cudaSuccess) {
      cudaGetLastError();
      give_back_all();
      if (cudaMalloc(&block, wanted) != cudaSuccess) {
        cudaGetLastError();
        size_t left = 0, whole = 0;
        cudaMemGetInfo(&left, &whole);
        fail("out of memory on the GPU: ", wanted / kMega, " MiB were asked for, ", left / kMega, " of ", whole / kMega,
             " MiB are free, ", reserved_ / kMega,  // not memory_use: it would ask this cache, which is locked
             " MiB are in use by tensors; a smaller batch or image size needs less");
      }
    }
    capacity = wanted;
    reserved_ += wanted;
    return block;
  }
  void give(void* block, size_t capacity) {
    const std::scoped_lock lock(mutex_);
    free_.emplace(capacity, block);
  }
  size_t reserved() {
    const std::scoped_lock lock(mutex_);
    return reserved_;
  }

 private:
  void give_back_all() {
    for (const auto& [capacity, block] : free_) {
      cudaFree(block);  // waits for the work that may still use it
      reserved_ -= capacity;
    }
    free_.clear();
  }
  std::mutex mutex_;
  std::multimap<size_t, void*> free_;
  size_t reserved_ = 0;
};

BlockCache& cache() {
  static auto* instance = new BlockCache;  // never destroyed, as the context
  return *instance;
}

/// Page-locked host memory on its way to the device: from ordinary memory a copy could make the host wait.
class Staging {
 public:
  void upload(void* to, const void* from, size_t bytes) {
    const std::scoped_lock lock(mutex_);
    Buffer& buffer = free_buffer(bytes);
    std::memcpy(buffer.memory, from, bytes);
    BOXCAM_CUDA(cudaMemcpyAsync(to, buffer.memory, bytes, cudaMemcpyHostToDevice, context().stream));
    BOXCAM_CUDA(cudaEventRecord(buffer.copied, context().stream));
  }

 private:
  struct Buffer {
    void* memory = nullptr;
    size_t capacity = 0;
    cudaEvent_t copied = nullptr;
  };
  Buffer& free_buffer(size_t bytes) {
    for (Buffer& b : buffers_) {
      if (b.capacity < bytes || b.capacity > 2 * bytes + kMega) continue;
      if (cudaEventQuery(b.copied) == cudaSuccess) return b;
      cudaGetLastError();  // "not ready" is no error
    }
    Buffer b;
    b.capacity = rounded(bytes);
    BOXCAM_CUDA(cudaHostAlloc(&b.memory, b.capacity, cudaHostAllocDefault));
    BOXCAM_CUDA(cudaEventCreateWithFlags(&b.copied, cudaEventDisableTiming));
    return buffers_.emplace_back(b);
  }
  std::mutex mutex_;
  std::vector<Buffer> buffers_;
};

Staging& staging() {
  static auto* instance = new Staging;
  return *instance;
}

void* allocate(size_t bytes, size_t& capacity) {
  context();
  return cache().take(bytes, capacity);
}
void release(void* block, size_t capacity) noexcept { cache().give(block, capacity); }
size_t reserved() { return cache().reserved(); }

void upload(void* to, const void* from, size_t bytes) {
  if (bytes) staging().upload(to, from, bytes);
}

void synchronize() {
  const Context& c = context();
  BOXCAM_CUDA(cudaStreamSynchronize(c.stream));
  if (c.index_report->packed == 0) return;
  const IndexReport report = *c.index_report;
  *c.index_report = {};
  fail("the index ", report.index(), " does not lie in [0, ", report.size(), ")");
}

void download(void* to, const void* from, size_t bytes) {
  if (bytes) BOXCAM_CUDA(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, context().stream));
  synchronize();
}

void copy(void* to, const void* from, size_t bytes) {
  if (bytes) BOXCAM_CUDA(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, context().stream));
}

void set_zero(void* to, size_t bytes) {
  if (bytes) BOXCAM_CUDA(cudaMemsetAsync(to, 0, bytes, context().stream));
}

void fill_on_device(Tensor& t, double value) { fill(Launch{}, t, value); }

}  // namespace

const DeviceMemory& memory() {
  static constexpr DeviceMemory operations = {allocate, release,  reserved,       upload,     download,
                                              copy,     set_zero, fill_on_device, synchronize};
  return operations;
}

}  // namespace boxcam::cuda
