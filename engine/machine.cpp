#include "engine/machine.h"

#include <features.h>
#include <sched.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <gnu/libc-version.h>
#endif

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>
#include <thread>
#include <vector>

#include "engine/backend/backend.h"
#include "engine/base/check.h"

namespace boxcam {

namespace {

namespace fs = std::filesystem;

/// The first words of a small file of the system; fewer, or none, where there are not so many.
std::vector<std::string> first_words(const fs::path& path, size_t count) {
  std::ifstream file(path);
  std::vector<std::string> words;
  for (std::string word; words.size() < count && file >> word;) words.push_back(word);
  return words;
}

/// NaN for what is no number ("max").
double number_of(const std::string& word) {
  std::istringstream text(word);
  double value = 0;
  return text >> value && text.eof() ? value : std::numeric_limits<double>::quiet_NaN();
}

/// The group's folder below `mount` and those above it; empty where the file names no group of this hierarchy. Of
/// version 2 the line begins with "0::", of version 1 it names the controller.
std::vector<fs::path> groups(const std::string& self, const fs::path& mount, const std::string& controller) {
  std::ifstream file(self);
  for (std::string line; std::getline(file, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = str(',', line.substr(first + 1, second - first - 1), ',');
    const bool named = controllers.find(str(',', controller, ',')) != std::string::npos;
    if (controller.empty() ? !line.starts_with("0::") : !named) continue;
    std::vector<fs::path> folders = {mount};
    for (const fs::path& part : fs::path(line.substr(second + 1)).relative_path())
      folders.push_back(folders.back() / part);
    return folders;
  }
  return {};
}

double smallest(double a, double b) { return a > 0 && !(b < a) ? a : b; }

}  // namespace

std::string onednn_version() { return backend(Device::cpu).machine.libraries(); }
std::string cuda_version() {
  const Backend* cuda = find_backend(Device::cuda);
  return cuda ? cuda->machine.libraries() : "none";
}
std::string cuda_device_name() { return backend(Device::cuda).machine.name(); }
std::string c_library() {
#ifdef __GLIBC__
  return std::string("glibc ") + gnu_get_libc_version();
#else
  return "unknown";
#endif
}
std::string processor_name() { return backend(Device::cpu).machine.name(); }
bool cpu_has_bf16() { return backend(Device::cpu).machine.has_bf16(); }
bool cuda_has_bf16() { return backend(Device::cuda).machine.has_bf16(); }

bool native_kernels() {
#ifdef BOXCAM_NATIVE
  return true;
#else
  return false;
#endif
}

double cpu_quota(const std::string& self, const std::string& mount) {
  double quota = 0;
  const auto enter = [&](double time, double period) {
    if (time > 0 && period > 0) quota = smallest(quota, time / period);
  };
  for (const fs::path& folder : groups(self, mount, "")) {
    const auto words = first_words(folder / "cpu.max", 2);
    if (words.size() == 2) enter(number_of(words[0]), number_of(words[1]));
  }
  for (const fs::path& folder : groups(self, fs::path(mount) / "cpu", "cpu")) {
    const auto time = first_words(folder / "cpu.cfs_quota_us", 1),
               period = first_words(folder / "cpu.cfs_period_us", 1);
    if (!time.empty() && !period.empty()) enter(number_of(time[0]), number_of(period[0]));
  }
  return quota;
}

int usable_processors() {
  int count = static_cast<int>(std::thread::hardware_concurrency());
  cpu_set_t allowed;
  if (::sched_getaffinity(0, sizeof allowed, &allowed) == 0) count = CPU_COUNT(&allowed);
  const double quota = cpu_quota("/proc/self/cgroup", "/sys/fs/cgroup");
  if (quota > 0) count = std::min(count, static_cast<int>(quota));
  return std::max(count, 1);
}

uint64_t usable_memory() {
  uint64_t free = 0;
  std::ifstream info("/proc/meminfo");
  for (std::string key, unit; info >> key;) {
    uint64_t value = 0;
    if (!(info >> value)) info.clear();
    std::getline(info, unit);
    if (key == "MemAvailable:") free = value * 1024;
  }
  const auto limit = [&](const fs::path& most, const fs::path& now) {
    const auto allowed = first_words(most, 1), used = first_words(now, 1);
    if (allowed.empty() || used.empty() || !(number_of(allowed[0]) > 0)) return;  // "max", or no such file
    const double left = number_of(allowed[0]) - number_of(used[0]);
    if (left < static_cast<double>(free)) free = left > 0 ? static_cast<uint64_t>(left) : 0;
  };
  for (const fs::path& folder : groups("/proc/self/cgroup", "/sys/fs/cgroup", ""))
    limit(folder / "memory.max", folder / "memory.current");
  for (const fs::path& folder : groups("/proc/self/cgroup", "/sys/fs/cgroup/memory", "memory"))
    limit(folder / "memory.limit_in_bytes", folder / "memory.usage_in_bytes");
  return free;
}

}  // namespace boxcam
