// What every program does around its work: parsing, wrong options, errors, the profile.
#pragma once

#include <CLI/CLI.hpp>
#include <exception>
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

/// What an error says to the user, in one sentence.
std::string sentence_of(const std::exception& error);

/// A program's main around `body`: what it throws, also where nothing can be caught any more (a destructor for which no
/// memory is left), is one sentence on stderr and exit status 1.
int guarded(const char* program, int (*body)(int, char**), int argc, char** argv);

/// Runs a program: parses, reports wrong options with the nearest right one (exit status 2), and does the work. What
/// that throws is for `guarded`.
int run_app(CLI::App& app, int argc, char** argv, const std::function<int()>& body);

/// From now on the time of each kernel is measured; run_app writes it to `file` when the program ends well. Throws
/// Error when the file cannot be written.
void start_profile(const std::string& file);

}  // namespace boxcam
