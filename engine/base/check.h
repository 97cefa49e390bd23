// Errors: one sentence that names what was wrong, what was expected and what was found.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace boxcam {

/// Every error that boxcam reports to its user. `what()` is one sentence without a trailing newline.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Concatenates its arguments with `operator<<`. Throws std::bad_alloc where memory ends: a stream left to itself would
/// go on without what it could not hold.
template <class... Args>
std::string str(const Args&... args) {
  std::ostringstream out;
  out.exceptions(std::ios::badbit);
  (out << ... << args);
  return out.str();
}

template <class... Args>
[[noreturn]] void fail(const Args&... args) {
  throw Error(str(args...));
}

/// Throws Error(str(args...)) unless `condition` holds. The message is built only on failure.
template <class... Args>
void check(bool condition, const Args&... args) {
  if (!condition) [[unlikely]]
    fail(args...);
}

}  // namespace boxcam
