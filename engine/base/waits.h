// Stopwatches around what a program waits for besides computing: the loader's batches. The profile shows them.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace boxcam {

/// Time in which the program waited for something other than a kernel.
struct ProfileWait {
  std::string what;
  int64_t times = 0;
  double seconds = 0;
};

/// Starts (from nothing) or stops the measurement. Off, it costs nothing. Not for use while another thread waits.
void time_waits(bool on);
/// What was measured so far, the most expensive first.
std::vector<ProfileWait> profile_waits();

/// A wait for the profile, from the object's construction to its end.
class ProfiledWait {
 public:
  explicit ProfiledWait(std::string what);
  ~ProfiledWait();
  ProfiledWait(const ProfiledWait&) = delete;
  ProfiledWait& operator=(const ProfiledWait&) = delete;

 private:
  std::string what_;
  std::chrono::steady_clock::time_point begin_;
};

}  // namespace boxcam
