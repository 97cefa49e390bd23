#include "apps/common/json.h"

#include <cmath>

namespace boxcam {

std::string json_text(const nlohmann::json& json, int indent) {
  return json.dump(indent, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string plain_text(const nlohmann::json& value) {
  return value.is_string() ? value.get<std::string>() : json_text(value);
}

nlohmann::json& object_in(nlohmann::json& json, const std::string& key) {
  return json.emplace(key, nlohmann::json::object()).first.value();
}

nlohmann::json number(double value) { return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json(nullptr); }

}  // namespace boxcam
