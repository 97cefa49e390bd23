// Where the time goes: every kernel of the table, with a stopwatch around it, and where the program waits
// (engine/base/waits.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/waits.h"
#include "engine/memory.h"

namespace boxcam {

/// Calls of one kernel on tensors of the same shapes.
struct ProfileRow {
  std::string kernel;  ///< its name in the kernel table
  std::string shapes;  ///< of its tensors, inputs first
  int64_t calls = 0;
  double seconds = 0;
  double bytes = 0;  ///< of its large tensors: what has to be read or written at least once
};

/// Starts (from nothing) or stops the measurement. Off, it costs nothing. Not for use while another thread computes.
void set_profiling(bool on);
/// What was measured so far, the most expensive first.
std::vector<ProfileRow> profile();
/// The same as a Markdown table: for each kernel and each wait, then for each kernel and shapes; `seconds` is the time
/// of everything, of which shares are given.
std::string profile_table(double seconds);

struct Kernels;
/// `table`, or while a profile is taken one with a stopwatch around every entry.
const Kernels& profiled(const Kernels& table, Device device);

}  // namespace boxcam
