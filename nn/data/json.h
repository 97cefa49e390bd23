// JSON of files that others wrote.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace boxcam {

/// The value that a text is. Throws Error, which begins with `path`, where it is not JSON, or is nested more than 64
/// deep: to copy a value, or write it, takes the stack at each level.
nlohmann::json parse_json(std::string_view text, const std::string& path);

/// The same; a discarded value instead of the error.
nlohmann::json parse_json_or_discard(std::string_view text);

/// The whole number that a value is. Throws Error, which begins with `path`, where it is none, or not of 64 bits.
int64_t whole_number(const nlohmann::json& value, const std::string& path);

}  // namespace boxcam
