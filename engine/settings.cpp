#include "engine/settings.h"

#include <omp.h>

#include <atomic>
#include <thread>

namespace boxcam {

namespace {

std::atomic<ConvAlgorithm> conv_algorithm{ConvAlgorithm::automatic};
std::atomic<bool> allow_tf32{false}, fast_algorithms{false};

}  // namespace

Settings settings() { return {threads(), conv_algorithm, allow_tf32, fast_algorithms}; }

void set_settings(const Settings& s) {
  omp_set_dynamic(0);
  omp_set_num_threads(s.threads > 0 ? s.threads : static_cast<int>(std::thread::hardware_concurrency()));
  conv_algorithm = s.conv_algorithm;
  allow_tf32 = s.allow_tf32;
  fast_algorithms = s.fast_algorithms;
}

int threads() { return omp_get_max_threads(); }

}  // namespace boxcam
