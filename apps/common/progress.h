// What a running program shows: a bar on a terminal, plain lines elsewhere; and Ctrl-C.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace boxcam {

/// From now on Ctrl-C (and SIGTERM) only set a flag; a second one ends the program at once.
void catch_interrupts();
bool interrupted();

/// A bar on stderr if that is a terminal; otherwise a line every ten seconds.
class ProgressBar {
 public:
  ProgressBar(std::string label, int64_t total, int64_t done = 0);
  /// `images`: of this update, for the rate.
  void advance(int64_t images, const std::string& text);
  void clear();
  double images_per_second() const;
  double seconds() const;

 private:
  using Clock = std::chrono::steady_clock;
  std::string label_;
  int64_t total_, done_, begun_at_, images_ = 0;
  Clock::time_point start_ = Clock::now(), shown_ = start_;
  bool terminal_;
};

std::string duration(double seconds);  ///< "1 h 02 min", "3 min 20 s", "12 s"

}  // namespace boxcam
