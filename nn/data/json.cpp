#include "nn/data/json.h"

#include <limits>

#include "engine/base/check.h"

namespace boxcam {
namespace {

constexpr int kDeepest = 64;

nlohmann::json parse(std::string_view text, bool throws, bool& too_deep) {
  const auto watch = [&](int depth, nlohmann::json::parse_event_t, const nlohmann::json&) {
    too_deep |= depth > kDeepest;
    return !too_deep;
  };
  return nlohmann::json::parse(text, watch, throws);
}

}  // namespace

nlohmann::json parse_json(std::string_view text, const std::string& path) {
  bool too_deep = false;
  nlohmann::json value;
  try {
    value = parse(text, true, too_deep);
  } catch (const nlohmann::json::exception& error) {
    fail(path, " is not valid JSON (", error.what(), ")");
  }
  check(!too_deep, path, " is nested more than ", kDeepest, " deep, as no file that boxcam reads is");
  return value;
}

nlohmann::json parse_json_or_discard(std::string_view text) {
  bool too_deep = false;
  nlohmann::json value = parse(text, false, too_deep);
  return too_deep ? nlohmann::json(nlohmann::json::value_t::discarded) : value;
}

int64_t whole_number(const nlohmann::json& value, const std::string& path) {
  constexpr auto largest = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  const bool fits = value.is_number_integer() && !(value.is_number_unsigned() && value.get<uint64_t>() > largest);
  check(fits, path, ": expected a whole number of 64 bits, found ",
        value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace).substr(0, 100));
  return value.get<int64_t>();
}

}  // namespace boxcam
