// What this machine can do, measured in the same process as the benchmark: the limits that results are shares of.
#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <string>
#include <vector>

#include "engine/device.h"
#include "engine/ops.h"
#include "engine/random.h"

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

/// i32 [n]: 0, 1, ... classes - 1, 0, ...
inline Tensor some_labels(int64_t n, int64_t classes) {
  std::vector<int32_t> values(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) values[i] = static_cast<int32_t>(i % classes);
  return Tensor::from({n}, values);
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

/// Bytes per second that are read and written when arrays far larger than the caches are copied by all threads
/// (McCalpin's STREAM "copy": both directions count).
inline double copy_bandwidth() {
  static const double measured = [] {
    constexpr int64_t bytes = int64_t{256} << 20;
    const Tensor from = Tensor::zeros({bytes}, DType::u8);
    Tensor to = Tensor::zeros({bytes}, DType::u8);
    const auto* source = from.data<uint8_t>();
    auto* target = to.data<uint8_t>();
    return 2.0 * bytes / best_seconds(5, [&] {
#pragma omp parallel for schedule(static)
             for (int64_t block = 0; block < 64; ++block)
               std::memcpy(target + block * (bytes / 64), source + block * (bytes / 64), bytes / 64);
           });
  }();
  return measured;
}

/// Times `once`, after one call to warm up, and returns the mean seconds of a call. Adds the counters images/s and
/// peak_GB, the largest amount of tensor memory at any moment (gradients and activations, weights included).
template <class F>
double measure(benchmark::State& state, int64_t images, F&& once) {
  once();
  reset_peak_memory();
  const auto begin = std::chrono::steady_clock::now();
  for (auto _ : state) once();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() /
                         static_cast<double>(state.iterations());
  state.counters["images/s"] = static_cast<double>(images) / seconds;
  state.counters["peak_GB"] = static_cast<double>(memory_use().peak) / 1e9;
  return seconds;
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
