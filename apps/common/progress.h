// What a running program shows: a bar on a terminal, plain lines elsewhere; and Ctrl-C.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace boxcam {

/// From now on INT (Ctrl-C), TERM, HUP, USR1 and XCPU, by which terminals and schedulers stop a program, only set a
/// flag; a second one ends the program at once. Those that the program was started to ignore (nohup) stay ignored.
void catch_interrupts();
bool interrupted();
int exit_status();  ///< of a program that was interrupted: 128 + the signal, so 130 after Ctrl-C

/// From now on a write to a pipe whose reader is gone (| head, | tee) is lost, and one beyond `ulimit -f` fails;
/// neither ends the program.
void outlive_lost_writes();

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
