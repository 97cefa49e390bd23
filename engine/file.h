// Writing files so that nothing the user had is lost.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace boxcam {

/// Writes the pieces one after another: `path` is what it was, or complete. The bytes go to `path`.partial first, which
/// then takes its place. Throws Error naming the path and the system's reason.
void write_file(const std::string& path, const std::vector<std::string_view>& pieces);

}  // namespace boxcam
