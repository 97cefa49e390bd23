// Two runs side by side.
#pragma once

#include <string>

namespace boxcam {

/// What two finished runs measured, the second minus the first, and the options that they differ in: text for the
/// terminal.
std::string compare_runs(const std::string& a, const std::string& b);

/// What two runs differ in: options, data, machine; the first epoch whose numbers are others; and of the last weights
/// the first tensor and the first of its bytes that differ. `same`: none of it but where and how they were computed.
struct RunDifference {
  std::string text;
  bool same = false;
};
RunDifference diff_runs(const std::string& a, const std::string& b);

}  // namespace boxcam
