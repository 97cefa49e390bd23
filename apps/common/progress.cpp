#include "apps/common/progress.h"

#include <unistd.h>

#include <atomic>
#include <cmath>
#include <csignal>
#include <cstdio>

namespace boxcam {

namespace {
volatile std::sig_atomic_t caught = 0;
void on_signal(int signal) {
  caught = signal;
  std::signal(signal, SIG_DFL);
}
}  // namespace

void catch_interrupts() {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGXCPU})
    if (std::signal(signal, on_signal) == SIG_IGN) std::signal(signal, SIG_IGN);
}
bool interrupted() { return caught != 0; }
int exit_status() { return 128 + caught; }

void outlive_lost_writes() {
  for (const int signal : {SIGPIPE, SIGXFSZ}) std::signal(signal, SIG_IGN);
}

std::string duration(double seconds) {
  const auto s = static_cast<long long>(std::llround(seconds));
  char text[64];
  if (s >= 3600)
    std::snprintf(text, sizeof text, "%lld h %02lld min", s / 3600, s % 3600 / 60);
  else if (s >= 60)
    std::snprintf(text, sizeof text, "%lld min %02lld s", s / 60, s % 60);
  else
    std::snprintf(text, sizeof text, "%lld s", s);
  return text;
}

ProgressBar::ProgressBar(std::string label, int64_t total, int64_t done)
    : label_(std::move(label)), total_(total), done_(done), begun_at_(done), terminal_(isatty(STDERR_FILENO)) {}

double ProgressBar::seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }
double ProgressBar::images_per_second() const { return static_cast<double>(images_) / std::max(seconds(), 1e-9); }

void ProgressBar::advance(int64_t images, const std::string& text) {
  ++done_;
  images_ += images;
  const auto now = Clock::now();
  if (now - shown_ < (terminal_ ? std::chrono::milliseconds(100) : std::chrono::milliseconds(10000)) && done_ < total_)
    return;
  if (!terminal_ && done_ >= total_) return;  // the line that follows says it all
  shown_ = now;
  const double left = seconds() / static_cast<double>(done_ - begun_at_) * static_cast<double>(total_ - done_);
  char bar[21] = {};
  for (int i = 0; i < 20; ++i) bar[i] = i < 20 * done_ / total_ ? '#' : '.';
  std::fprintf(stderr, "%s%s [%s] %lld/%lld  %.1f images/s  %s left  %s%s", terminal_ ? "\r\033[K" : "", label_.c_str(),
               bar, static_cast<long long>(done_), static_cast<long long>(total_), images_per_second(),
               duration(left).c_str(), text.c_str(), terminal_ ? "" : "\n");
  std::fflush(stderr);
}

void ProgressBar::clear() {
  if (terminal_) std::fprintf(stderr, "\r\033[K");
}

}  // namespace boxcam
