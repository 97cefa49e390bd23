// JSON as it is written to files.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace boxcam {

/// Bytes that are not UTF-8, as paths may have them, become U+FFFD.
std::string json_text(const nlohmann::json& json, int indent = -1);

/// A string as it is, anything else as JSON writes it: of values that came from options.
std::string plain_text(const nlohmann::json& value);

/// json[key], an object where there was nothing. (nlohmann's operator[] makes an object of null, too, but one that its
/// destructor cannot take where memory ends in it.)
nlohmann::json& object_in(nlohmann::json& json, const std::string& key);

/// NaN, which JSON does not have, becomes null.
nlohmann::json number(double value);

}  // namespace boxcam
