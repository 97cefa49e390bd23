#include "engine/base/waits.h"

#include <algorithm>
#include <map>
#include <utility>

namespace boxcam {

namespace {

using Clock = std::chrono::steady_clock;

bool timing = false;
std::map<std::string, ProfileWait> waits;

}  // namespace

void time_waits(bool on) {
  timing = on;
  if (on) waits.clear();
}

std::vector<ProfileWait> profile_waits() {
  std::vector<ProfileWait> list;
  for (const auto& [what, wait] : waits) list.push_back(wait);
  std::sort(list.begin(), list.end(), [](const auto& a, const auto& b) { return a.seconds > b.seconds; });
  return list;
}

ProfiledWait::ProfiledWait(std::string what) : what_(std::move(what)), begin_(Clock::now()) {}
ProfiledWait::~ProfiledWait() {
  if (!timing) return;
  ProfileWait& total = waits.try_emplace(what_, ProfileWait{what_}).first->second;
  ++total.times;
  total.seconds += std::chrono::duration<double>(Clock::now() - begin_).count();
}

}  // namespace boxcam
