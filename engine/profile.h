// Where the time goes: every kernel of the table, with a stopwatch around it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace boxcam {

/// Calls of one kernel on tensors of the same shapes.
struct ProfileRow {
  std::string kernel;   ///< its name in the kernel table
  std::string shapes;   ///< of its tensors, inputs first
  int64_t calls = 0;
  double seconds = 0;
  double bytes = 0;     ///< of its large tensors: what has to be read or written at least once
};

/// Starts (from nothing) or stops the measurement. Off, it costs nothing. Not for use while another thread computes.
void set_profiling(bool on);
/// What was measured so far, the most expensive first.
std::vector<ProfileRow> profile();
/// The same as a Markdown table: for each kernel, then for each kernel and shapes; `seconds` is the time of everything,
/// of which shares are given.
std::string profile_table(double seconds);

}  // namespace boxcam
