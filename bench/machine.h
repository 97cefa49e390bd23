// What this machine can do, measured in the same process as the benchmark: the limits that results are shares of.
#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <string>
#include <vector>

#include "engine/base/random.h"
#include "engine/machine.h"
#include "engine/memory.h"
#include "engine/ops.h"
#include "engine/settings.h"
#include "nn/data/dataset.h"

namespace boxcam::bench {

/// The shortest of `repetitions` runs, after one to warm up, in seconds.
template <class F>
double best_seconds(int repetitions, F&& run) {
  using Clock = std::chrono::steady_clock;
  run();
  double best = 1e30;
  for (int i = 0; i < repetitions; ++i) {
    const auto begin = Clock::now();
    run();
    best = std::min(best, std::chrono::duration<double>(Clock::now() - begin).count());
  }
  return best;
}

/// f32 values in [low, high), the same in every run.
inline Tensor uniform(const Shape& shape, double low, double high) {
  Random random(0);
  std::vector<float> values(static_cast<size_t>(shape.numel()));
  for (float& v : values) v = static_cast<float>(random.uniform(low, high));
  return Tensor::from(shape, values);
}

/// The same as a leaf that gradients are asked for.
inline Tensor variable(const Shape& shape, double low, double high) {
  return uniform(shape, low, high).set_requires_grad();
}

/// i32 [n]: 0, 1, ... classes - 1, 0, ...
inline Tensor some_labels(int64_t n, int64_t classes) {
  std::vector<int32_t> values(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) values[i] = static_cast<int32_t>(i % classes);
  return Tensor::from({n}, values);
}

/// For each of n images one box, the middle quarter of the picture.
inline std::vector<std::vector<Box>> some_boxes(int64_t n, int64_t size) {
  const double low = static_cast<double>(size) / 4, high = 3 * low;
  return std::vector<std::vector<Box>>(static_cast<size_t>(n), {Box{low, low, high, high}});
}

/// Operations per second of the library's f32 matrix product, 2048^3.
inline double peak_flops() {
  static const double measured = [] {
    const NoGrad no_grad;
    constexpr int64_t n = 2048;
    const Tensor a = uniform({n, n}, -1, 1), b = uniform({n, n}, -1, 1);
    return 2.0 * n * n * n / best_seconds(5, [&] { matmul(a, b); });
  }();
  return measured;
}

/// Copies with all threads.
inline void copy_bytes(const Tensor& from, Tensor& to) {
  const auto* source = static_cast<const char*>(from.raw_data());
  auto* target = static_cast<char*>(to.raw_data());
  const auto bytes = static_cast<int64_t>(from.bytes());
  constexpr int64_t blocks = 64;
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < blocks; ++i) {
    const int64_t begin = bytes * i / blocks, end = bytes * (i + 1) / blocks;
    std::memcpy(target + begin, source + begin, static_cast<size_t>(end - begin));
  }
}

/// Bytes per second that are read and written when arrays far larger than the caches are copied by all threads
/// (McCalpin's STREAM "copy": both directions count).
inline double copy_bandwidth() {
  static const double measured = [] {
    constexpr int64_t bytes = int64_t{256} << 20;
    const Tensor from = Tensor::zeros({bytes}, DType::u8);
    Tensor to = Tensor::zeros({bytes}, DType::u8);
    return 2.0 * bytes / best_seconds(5, [&] { copy_bytes(from, to); });
  }();
  return measured;
}

/// Times `once`, after one call to warm up, and returns the mean seconds of a call. Adds the counters peak_GB, the
/// largest amount of tensor memory at any moment (gradients, activations, weights), reserved_GB, what was taken from
/// the system for it since the program began, and images/s unless `images` is 0.
template <class F>
double measure(benchmark::State& state, int64_t images, F&& once) {
  using Clock = std::chrono::steady_clock;
  once();
  reset_peak_memory();
  double seconds = 0;
  for (auto _ : state) {
    const auto begin = Clock::now();
    once();
    seconds += std::chrono::duration<double>(Clock::now() - begin).count();
  }
  seconds /= static_cast<double>(state.iterations());
  if (images > 0) state.counters["images/s"] = static_cast<double>(images) / seconds;
  state.counters["peak_GB"] = static_cast<double>(memory_use().peak) / 1e9;
  state.counters["reserved_GB"] = static_cast<double>(memory_use().reserved) / 1e9;
  return seconds;
}

/// For what memory limits: `bytes` are those that no implementation could avoid. of_copy exceeds 1 where the operands
/// fit the last-level cache.
inline void report_bytes(benchmark::State& state, double bytes, double seconds) {
  state.counters["GB/s"] = bytes / seconds / 1e9;
  state.counters["of_copy"] = bytes / seconds / copy_bandwidth();
}

/// For what arithmetic limits. Convolutions count as direct ones; Winograd does with fewer operations, so of_peak may
/// exceed what a direct convolution could reach.
inline void report_flops(benchmark::State& state, double flops, double seconds) {
  state.counters["GFLOP/s"] = flops / seconds / 1e9;
  state.counters["of_peak"] = flops / seconds / peak_flops();
}

/// Registers f(state, arguments...) under a name that is made at run time.
template <class F, class... Arguments>
benchmark::internal::Benchmark* add(const std::string& name, F&& f, Arguments... arguments) {
  return benchmark::RegisterBenchmark(name.c_str(), std::forward<F>(f), arguments...)
      ->UseRealTime()
      ->Unit(benchmark::kMillisecond);
}

/// The `main` of every benchmark. Threads: OMP_NUM_THREADS, or all cores.
inline int run(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::AddCustomContext("processor", processor_name());
  benchmark::AddCustomContext("oneDNN", onednn_version());
  benchmark::AddCustomContext("threads", std::to_string(threads()));
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}

}  // namespace boxcam::bench
