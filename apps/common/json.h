// JSON as it is written to files.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace boxcam {

/// Bytes that are not UTF-8, as paths may have them, become U+FFFD.
std::string json_text(const nlohmann::json& json, int indent = -1);

/// NaN, which JSON does not have, becomes null.
nlohmann::json number(double value);

}  // namespace boxcam
