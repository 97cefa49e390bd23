// JSON as it is written to files.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace boxcam {

/// Bytes that are not UTF-8, as paths may have them, become U+FFFD.
std::string json_text(const nlohmann::json& json, int indent = -1);

/// A string as it is, anything else as JSON writes it: of values that came from options.
std::string plain_text(const nlohmann::json& value);

/// NaN, which JSON does not have, becomes null.
nlohmann::json number(double value);

}  // namespace boxcam
