// Where the time goes: every kernel of the table, with a stopwatch around it, and waiting for data.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace boxcam {

/// Calls of one kernel on tensors of the same shapes.
struct ProfileRow {
  std::string kernel;   ///< its name in the kernel table, or what a ProfileSpan measured
  std::string shapes;   ///< of its tensors, inputs first
  int64_t calls = 0;
  double seconds = 0;
  double bytes = 0;     ///< of its large tensors: what has to be read or written at least once
};

/// Starts (from nothing) or stops the measurement. Off, it costs nothing. Not for use while another thread computes.
void set_profiling(bool on);
/// Measures its own life, for what is no kernel: waiting, for instance. Nothing while profiling is off.
class ProfileSpan {
 public:
  explicit ProfileSpan(const char* what) : what_(what), begin_(std::chrono::steady_clock::now()) {}
  ~ProfileSpan();
  ProfileSpan(const ProfileSpan&) = delete;
  ProfileSpan& operator=(const ProfileSpan&) = delete;

 private:
  const char* what_;
  std::chrono::steady_clock::time_point begin_;
};

/// What was measured so far, the most expensive first.
std::vector<ProfileRow> profile();
/// The same as a Markdown table: for each kernel, then for each kernel and shapes; `seconds` is the time of everything,
/// of which shares are given. What is neither a kernel nor a ProfileSpan is "outside the kernels".
std::string profile_table(double seconds);

}  // namespace boxcam
