#include "apps/common/class_names.h"

#include <algorithm>
#include <charconv>
#include <sstream>

#include "engine/base/file.h"
#include "engine/base/text.h"
#include "models/imagenet.h"

namespace boxcam {

ClassNames::ClassNames(const std::vector<std::string>& names) {
  for (const std::string& name : names) names_.push_back({name});
}

int64_t ClassNames::find(const std::string& option, const std::string& text) const {
  std::vector<int64_t> outputs;
  std::vector<std::string> known;
  for (int64_t output = 0; output < size(); ++output)
    for (const std::string& name : names_[static_cast<size_t>(output)]) {
      known.push_back(name);
      if (lower(name) == lower(text) && (outputs.empty() || outputs.back() != output)) outputs.push_back(output);
    }
  std::vector<std::string> numbers;
  for (const int64_t output : outputs) numbers.push_back(std::to_string(output));
  check(outputs.size() <= 1, option, ": '", text, "' is the name of the outputs ", join(numbers, " and "),
        "; give the number");
  if (outputs.size() == 1) return outputs.front();

  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool is_number = error == std::errc() && end == text.data() + text.size() && number >= 0;
  check(!is_number || number < size(), option, ": there is no output ", text, ", they are numbered from 0 to ",
        size() - 1);
  check(is_number, option, ": '", text, "' is not the name of one of the ", size(), " outputs, nor its number",
        did_you_mean(text, known));
  return number;
}

ClassNames names_of_outputs(const ModelCard& card, const std::vector<std::string>& given, int64_t outputs) {
  std::vector<std::string> names = given;
  if (!given.empty()) {
    const auto count = static_cast<int64_t>(given.size());
    check(outputs == count || outputs == count + 1, card.path, " has ", outputs, " outputs, but ", count,
          " names were given (", join(given, ","), "); 'none' need not be named");
    if (outputs > count) names.push_back("none");
    check_classes(card, names);
    return ClassNames(names);
  }
  if (!card.classes.empty()) {
    check(static_cast<int64_t>(card.classes.size()) == outputs, card.path, " has ", outputs, " outputs and names for ",
          card.classes.size());
    return ClassNames(card.classes);
  }
  if (outputs == static_cast<int64_t>(imagenet_classes().size())) return ClassNames(imagenet_classes());
  for (int64_t output = 0; output < outputs; ++output) names.push_back(std::to_string(output));
  return ClassNames(names);
}

std::vector<std::string> read_class_names(const std::string& path) {
  std::istringstream text(read_file(path, "class names"));
  std::vector<std::string> names;
  for (std::string line; std::getline(text, line);) {
    if (line.ends_with('\r')) line.pop_back();
    if (names.empty() && line.starts_with("\xEF\xBB\xBF")) line.erase(0, 3);
    check(!line.empty(), path, ", line ", names.size() + 1, ": expected the name of a class, found nothing");
    names.push_back(line);
  }
  check(!names.empty(), path, " holds no class names");
  return names;
}

}  // namespace boxcam
