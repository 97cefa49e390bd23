// Where the time goes: every kernel of the table, with a stopwatch around it, and where the program waits.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace boxcam {

/// Calls of one kernel on tensors of the same shapes.
struct ProfileRow {
  std::string kernel;  ///< its name in the kernel table
  std::string shapes;  ///< of its tensors, inputs first
  int64_t calls = 0;
  double seconds = 0;
  double bytes = 0;  ///< of its large tensors: what has to be read or written at least once
};

/// Time in which the program waited for something other than a kernel.
struct ProfileWait {
  std::string what;
  int64_t times = 0;
  double seconds = 0;
};

/// Starts (from nothing) or stops the measurement. Off, it costs nothing. Not for use while another thread computes.
void set_profiling(bool on);
/// What was measured so far, the most expensive first.
std::vector<ProfileRow> profile();
std::vector<ProfileWait> profile_waits();
/// The same as a Markdown table: for each kernel and each wait, then for each kernel and shapes; `seconds` is the time
/// of everything, of which shares are given.
std::string profile_table(double seconds);

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
