#include "engine/settings.h"

#include <omp.h>

#include <atomic>
#include <charconv>
#include <cstdlib>
#include <cstring>

#include "engine/machine.h"

namespace boxcam {

namespace {

std::atomic<ConvAlgorithm> conv_algorithm{ConvAlgorithm::automatic};
std::atomic<bool> allow_tf32{false}, fast_algorithms{false};

/// OMP_NUM_THREADS (of a list the first), else what the process may use.
int standard_threads() {
  const char* text = std::getenv("OMP_NUM_THREADS");
  int count = 0;
  if (text) std::from_chars(text, text + std::strlen(text), count);
  return count > 0 ? count : usable_processors();
}

}  // namespace

Settings settings() { return {threads(), conv_algorithm, allow_tf32, fast_algorithms}; }

void set_settings(const Settings& s) {
  omp_set_dynamic(0);
  omp_set_num_threads(s.threads > 0 ? s.threads : standard_threads());
  conv_algorithm = s.conv_algorithm;
  allow_tf32 = s.allow_tf32;
  fast_algorithms = s.fast_algorithms;
}

int threads() { return omp_get_max_threads(); }

}  // namespace boxcam
