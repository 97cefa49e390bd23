// What the targets share. A target is a reader that gets one input: it may take it, or refuse it with an Error; a
// crash, another exception, a sanitizer's report, 10 seconds or a gigabyte are finds. Built with clang it is a
// libFuzzer program (the preset fuzz), otherwise one that replays files (replay.cpp).
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace boxcam {

class Dataset;

namespace fuzz {

/// What a target does with an input; each target's own file defines it. Error leaves it, and nothing else.
void run(std::string_view input);

/// Ends the process, as a crash does, where a reader broke a promise.
void require(bool condition, const char* promise);

/// A folder of this process, made at the first call, that vanishes at its end.
const std::filesystem::path& folder();
/// Writes a file there, in subfolders that are made when they are missing; returns its path.
std::string write(const std::string& name, std::string_view bytes);

/// Inputs for readers of several files: `count` parts, between lines "%%"; those that are missing are empty.
std::vector<std::string_view> parts_of(std::string_view input, size_t count);

/// Asks a data set for all that needs no picture. Its labels are numbers of its classes.
void look_at(const Dataset& data);

}  // namespace fuzz
}  // namespace boxcam
