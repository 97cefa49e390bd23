#include "apps/common/options/table.h"

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "apps/common/json.h"
#include "engine/base/text.h"

namespace boxcam {

namespace {

/// The shortest of the usual ways to write a number that reads as the same number: 25, 0.0001, 0.1.
std::string text_of(double value) {
  for (const int digits : {6, 12, 17}) {
    char text[64];
    std::snprintf(text, sizeof text, "%.*g", digits, value);
    if (std::strtod(text, nullptr) == value) return text;
  }
  return str(value);
}
template <class T>
requires std::is_integral_v<T> std::string text_of(T value) { return std::to_string(value); }

/// All of `text`, or nothing: of a double anything that strtod takes, of an integer digits.
template <class T>
bool read_number(const std::string& text, T& value) {
  if constexpr (std::is_floating_point_v<T>) {
    char* end = nullptr;
    value = std::strtod(text.c_str(), &end);
    return end != text.c_str() && !*end && std::isfinite(value);
  } else {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size();
  }
}

std::vector<std::string> parts_of(const std::string& text) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= text.size() && !text.empty();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

}  // namespace

Range at_least(double low) { return {low, std::numeric_limits<double>::infinity(), str("of ", low, " or more")}; }
Range between(double low, double high) { return {low, high, str("from ", low, " to ", high)}; }

void OptionTable::add(const std::string& name, bool is_flag, std::function<std::string()> value,
                      std::function<void(const std::string&)> assign) {
  check(!has(name), "the option ", name, " is declared twice");
  std::string standard = value();
  entries_.push_back({name, is_flag, true, false, std::move(standard), std::move(value), std::move(assign)});
}

template <class T>
void OptionTable::add_number(const std::string& name, T& field, const Range& range, const std::string& type,
                             const std::string& help) {
  const auto assign = [this, name, &field, range](const std::string& text) {
    T value{};
    const bool is_number = read_number(text, value);
    const double as_double = static_cast<double>(value);
    refuse(!is_number || as_double < range.low || as_double > range.high, name,
           str("expected a ", std::is_integral_v<T> ? "whole " : "", "number ", range.what, ", found '", text, "'"));
    field = value;
  };
  add(
      name, false, [&field] { return text_of(field); }, assign);
  app_.add_option_function<std::string>(name, assign, help)
      ->type_name(type)
      ->default_str(text_of(field))
      ->group(group_);
}

void OptionTable::number(const std::string& name, double& field, const Range& range, const std::string& help) {
  add_number(name, field, range, "NUMBER", help);
}
void OptionTable::whole(const std::string& name, int& field, const Range& range, const std::string& help) {
  add_number(name, field, range, "N", help);
}
void OptionTable::whole(const std::string& name, int64_t& field, const Range& range, const std::string& help) {
  add_number(name, field, range, "N", help);
}
void OptionTable::whole(const std::string& name, uint64_t& field, const std::string& help) {
  add_number(name, field, at_least(0), "N", help);
}

void OptionTable::flag(const std::string& name, bool& field, const std::string& help) {
  add(
      name, true, [&field] { return field ? "true" : "false"; },
      [&field](const std::string& text) { field = text == "true"; });
  app_.add_flag(name, field, help)->group(group_);
}

void OptionTable::text(const std::string& name, std::string& field, const std::string& help) {
  add(
      name, false, [&field] { return field; }, [&field](const std::string& text) { field = text; });
  CLI::Option* option = app_.add_option(name, field, help)->group(group_);
  if (!field.empty()) option->default_str(field);
}

void OptionTable::list(const std::string& name, std::vector<std::string>& field, const std::string& help) {
  add(
      name, false, [&field] { return join(field, ","); },
      [&field](const std::string& text) { field = parts_of(text); });
  CLI::Option* option = app_.add_option(name, field, help)->delimiter(',')->group(group_);
  if (!field.empty()) option->default_str(join(field, ","));
}

void OptionTable::required(const std::string& name, std::string& field, const std::string& help) {
  text(name, field, help);
  app_.get_option(name)->required();
  unrecorded();
}
void OptionTable::required(const std::string& name, std::vector<std::string>& field, const std::string& help) {
  add(
      name, false, [&field] { return join(field, ","); }, [&field](const std::string& text) { field = {text}; });
  app_.add_option(name, field, help)->required()->group(group_);
  unrecorded();
}

void OptionTable::add_choice(const std::string& name, const std::vector<std::string>& known, const std::string& help,
                             std::function<std::string()> value,
                             const std::function<void(const std::string&)>& assign) {
  const auto checked = [this, name, known, assign](const std::string& text) {
    refuse(std::find(known.begin(), known.end(), text) == known.end(), name,
           "'" + text + "' is not one of " + join(known) + did_you_mean(text, known));
    assign(text);
  };
  const std::string now = value();
  add(name, false, std::move(value), checked);
  app_.add_option_function<std::string>(name, checked, help)
      ->type_name("{" + join(known, ",") + "}")
      ->default_str(now)
      ->group(group_);
}

void OptionTable::add_choices(const std::string& name, const std::vector<std::string>& known, const std::string& help,
                              std::function<std::string()> value,
                              const std::function<void(const std::vector<std::string>&)>& assign) {
  const auto checked = [this, name, known, assign](const std::string& text) {
    const std::vector<std::string> parts = parts_of(text);
    refuse(parts.empty(), name, "names nothing: expected 'all', or some of " + join(known));
    for (const std::string& part : parts) {
      refuse(part == "all" && parts.size() > 1, name, "'all' stands for every one, so nothing can be named beside it");
      refuse(part != "all" && std::find(known.begin(), known.end(), part) == known.end(), name,
             "'" + part + "' is not one of " + join(known) + did_you_mean(part, known));
      refuse(std::count(parts.begin(), parts.end(), part) > 1, name, "'" + part + "' is named twice");
    }
    assign(parts.front() == "all" ? known : parts);
  };
  const std::string now = value();
  add(name, false, std::move(value), checked);
  app_.add_option_function<std::string>(name, checked, help)
      ->type_name("{all," + join(known, ",") + "}")
      ->default_str(now)
      ->group(group_);
}

bool OptionTable::has(const std::string& name) const {
  return std::any_of(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.name == name; });
}

const OptionTable::Entry& OptionTable::entry(const std::string& name) const {
  for (const Entry& e : entries_)
    if (e.name == name) return e;
  fail("no option ", name, " was declared");
}

void OptionTable::refuse(bool condition, const std::string& name, const std::string& reason) const {
  if (condition) throw CLI::ValidationError(name, reason);
}

void OptionTable::restore(const nlohmann::json& recorded) {
  for (Entry& e : entries_) {
    const auto found = recorded.find(e.name.substr(2));
    if (!e.recorded || typed(e.name) || found == recorded.end()) continue;
    give(e.name, plain_text(*found));
  }
}

std::string OptionTable::command_line(const std::vector<std::string>& without) const {
  std::string line;
  for (const Entry& e : entries_) {
    const std::string value = e.value();
    const bool left_out = std::find(without.begin(), without.end(), e.name) != without.end();
    if (!e.recorded || left_out || value == e.standard) continue;
    line += (line.empty() ? "" : " ") + e.name;
    if (!e.is_flag) line += " " + shell_word(value);
  }
  return line;
}

nlohmann::json OptionTable::json() const {
  nlohmann::json json = nlohmann::json::object();
  for (const Entry& e : entries_) {
    if (!e.recorded) continue;
    const std::string value = e.value(), name = e.name.substr(2);
    if (e.is_flag)
      json[name] = value == "true";
    else
      json[name] = value;
  }
  return json;
}

}  // namespace boxcam
