// What every program does around its work: parsing, wrong options, errors, the profile.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

namespace boxcam {

/// CMake's PROJECT_VERSION.
const char* version();
/// Of the sources that were built, 40 digits, with "-dirty" where the tree had changes besides; "unknown" where they
/// did not lie in a git checkout.
const char* build_commit();
/// CMake's flags for the compiler, those of the build type included.
const char* build_flags();

/// Runs a program: parses, reports wrong options with the nearest right one, and turns an Error into one sentence on
/// stderr and exit status 1 (2 for wrong options).
int run_app(CLI::App& app, int argc, char** argv, const std::function<int()>& body);

/// From now on the time of each kernel is measured; run_app writes it to `file` when the program ends well. Throws
/// Error when the file cannot be written.
void start_profile(const std::string& file);

}  // namespace boxcam
