// Writing files so that nothing the user had is lost.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace boxcam {

/// Throws Error, naming the option and the system's reason, when write_file could not write `path`; leaves nothing.
void check_writable(const std::string& option, const std::string& path);

/// Writes the pieces one after another: `path` is what it was, or complete. The bytes go to `path`.partial first, which
/// then takes its place. Throws Error naming the path and the system's reason.
void write_file(const std::string& path, const std::vector<std::string_view>& pieces);

}  // namespace boxcam
