#include "apps/common/model_card.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "apps/common/data/kinds.h"
#include "apps/common/json.h"
#include "apps/common/options/words.h"
#include "engine/base/file.h"
#include "engine/base/sha256.h"
#include "engine/base/text.h"
#include "models/models.h"
#include "models/weight_file.h"
#include "nn/data/json.h"
#include "nn/input.h"

namespace boxcam {

namespace fs = std::filesystem;

namespace {

const std::string kModel = "--model", kTask = "--task";
/// What the network is, beside its classes: another value is another network.
const std::vector<std::string> kNetwork = {kModel, kTask, "--resize"};
/// How it was explained and measured: another value is another question to the same network.
const std::vector<std::string> kMeasured = {"--image-size",  "--precision",       "--explainer",      "--tap",
                                            "--cam-target",  "--cam-profile",     "--cam-normalizer", "--cam-class",
                                            "--eval-margin", "--content-heatmap", "--batch"};
/// Which data, and what of them.
const std::vector<std::string> kData = {"--data",        "--train-images",        "--val-images",
                                        "--test-images", "--data-seed",           "--group-of",
                                        "--difficult",   "--several-classes",     "--expand-children",
                                        "--sources",     "--context-correlation", "--missing-images",
                                        "--scenes-level"};

// Its value is the version of the card. Files without it are not ours, or from before there were cards.
constexpr const char* kMark = "boxcam";
constexpr const char* kClasses = "classes";
constexpr const char* kNormalisation = "input-normalisation";

/// "(x / 255 - mean) / deviation", of the three channels.
std::string normalisation() {
  std::vector<std::string> means, deviations;
  for (const double m : input_mean) means.push_back(str(m));
  for (const double d : input_deviation) deviations.push_back(str(d));
  return str("mean ", join(means, ","), " deviation ", join(deviations, ","));
}

std::vector<std::string> options_of(Adopt what) {
  if (what == Adopt::network) return {kModel};
  std::vector<std::string> options = kNetwork;
  options.insert(options.end(), kMeasured.begin(), kMeasured.end());
  return options;
}

/// A JSON list, which a model file can hold if the names are UTF-8.
std::string names_text(const std::vector<std::string>& classes) {
  try {
    return nlohmann::json(classes).dump();
  } catch (const nlohmann::json::exception&) {
    fail("the names of the classes are not all UTF-8 (", join(classes, ","), "), so a model file cannot hold them");
  }
}

/// What a file says of an option.
void assign_from(const std::string& path, OptionTable& table, const std::string& option, const std::string& value) {
  try {
    table.assign(option, value);
  } catch (const CLI::ParseError& e) {
    fail(path, " says what this boxcam does not know: ", e.what());
  }
}

const std::string* said(const ModelCard& card, const std::string& option) {
  const auto found = card.says.find(option.substr(2));
  return found == card.says.end() ? nullptr : &found->second;
}

}  // namespace

ModelCard read_card(const std::string& path) {
  ModelCard card{path, read_metadata(path), {}};
  if (!card.says.contains(kMark)) {
    const auto model = card.says.find("model");
    const std::vector<std::string> known = model_names();
    const bool ours = model != card.says.end() && std::find(known.begin(), known.end(), model->second) != known.end();
    card.says = ours ? std::map<std::string, std::string>{*model} : std::map<std::string, std::string>();
  }
  if (card.says.contains(kMark)) card.says.try_emplace(kTask.substr(2), word_of(Task::single_label));
  if (const auto found = card.says.find(kClasses); found != card.says.end()) {
    const nlohmann::json names = parse_json_or_discard(found->second);
    check(names.is_array() && std::all_of(names.begin(), names.end(), [](const auto& n) { return n.is_string(); }),
          path, ": the metadata 'classes' are not a list of names, found ", found->second);
    card.classes = names.get<std::vector<std::string>>();
  }
  if (const auto found = card.says.find(kNormalisation); found != card.says.end())
    check(found->second == normalisation(), path, ": the network's input is normalised with ", found->second,
          ", but boxcam normalises with ", normalisation());
  return card;
}

std::map<std::string, std::string> card_metadata(const OptionTable& table, const std::vector<std::string>& classes) {
  std::map<std::string, std::string> metadata = {
      {"format", "pt"}, {kMark, "1"}, {kClasses, names_text(classes)}, {kNormalisation, normalisation()}};
  for (const std::string& option : options_of(Adopt::everything)) metadata[option.substr(2)] = table.value(option);
  // So that files stay what they were: read_card knows what it means that nothing is said.
  if (table.is_standard(kTask, metadata["task"])) metadata.erase("task");
  return metadata;
}

std::string adopt(const ModelCard& card, Adopt what, OptionTable& table, DataOptions& data) {
  std::vector<std::string> taken;
  for (const std::string& option : options_of(what)) {
    const std::string* value = said(card, option);
    if (!value || !table.has(option) || table.given(option) || table.value(option) == *value) continue;
    assign_from(card.path, table, option, *value);
    taken.push_back(option + " " + *value);
  }
  if (!card.classes.empty() && table.has("--classes") && !table.given("--classes")) {
    std::vector<std::string> names = card.classes;
    if (names.size() > 1 && names.back() == "none") names.pop_back();
    if (names != data.classes) taken.push_back("--classes " + join(names, ","));
    data.classes = names;
    if (table.has("--none-class") && !table.given("--none-class") && data.task == Task::single_label)
      data.none_class = card.classes.back() == "none" ? NoneClass::on : NoneClass::off;
  }
  return taken.empty() ? "" : str("as in ", card.path, ": ", join(taken, " "));
}

std::string adopt_data(const std::string& checkpoint, OptionTable& table, const DataOptions& data) {
  const std::string path = (fs::path(checkpoint).parent_path() / "run.json").string();
  std::error_code error;
  if (!fs::exists(path, error)) return "";
  const nlohmann::json run = parse_json_or_discard(read_file(path));
  if (!run.is_object() || !run.contains("options") || !run["options"].is_object()) return "";
  const nlohmann::json& options = run["options"];
  const auto place = options.find("data");
  if (place == options.end() || (table.given("--data") && kind_name(plain_text(*place)) != kind_name(data.data)))
    return "";
  std::vector<std::string> taken;
  for (const std::string& option : kData) {
    const auto found = options.find(option.substr(2));
    if (found == options.end() || !table.has(option) || table.given(option)) continue;
    const std::string value = plain_text(*found);
    if (value == table.value(option)) continue;
    assign_from(path, table, option, value);
    taken.push_back(option + " " + value);
  }
  return taken.empty() ? "" : str("data as in ", path, ": ", join(taken, " "));
}

void check_network(const ModelCard& card, Adopt what, const OptionTable& table) {
  for (const std::string& option : what == Adopt::network ? std::vector<std::string>{kModel} : kNetwork)
    if (const std::string* value = said(card, option); value && table.has(option))
      check(table.value(option) == *value, option, " ", table.value(option), " does not fit ", card.path,
            ", which was trained with ", option, " ", *value);
}

void check_classes(const ModelCard& card, const std::vector<std::string>& names) {
  check(card.classes.empty() || card.classes == names, card.path, " was trained on the classes ",
        join(card.classes, ","), ", not on ", join(names, ","),
        ": expected the same names in the same order (--classes)");
}

std::vector<Override> overrides(const ModelCard& card, const OptionTable& table) {
  std::vector<Override> list;
  for (const std::string& option : kMeasured)
    if (const std::string* value = said(card, option); value && table.has(option) && table.value(option) != *value)
      list.push_back({option, table.value(option), *value});
  return list;
}

std::string summary(const std::vector<Override>& overrides) {
  std::vector<std::string> parts;
  for (const Override& o : overrides) parts.push_back(str(o.option, " ", o.value, " (trained with ", o.trained, ")"));
  return parts.empty() ? "" : "not as trained: " + join(parts);
}

nlohmann::json to_json(const std::vector<Override>& overrides) {
  nlohmann::json json = nlohmann::json::object();
  for (const Override& o : overrides) json[o.option.substr(2)] = {{"value", o.value}, {"trained", o.trained}};
  return json;
}

nlohmann::json file_identity(const std::string& path) {
  nlohmann::json identity = {{"sha256", sha256_of_file(path)}};
  if (!is_safetensors(path)) {
    const WeightFile opened(path);  // says what else it may be
  } else {
    const TensorFile content = read_safetensors(path);
    identity["tensors"] = content.tensors.size();
    identity["tensors-sha256"] = tensors_sha256(content);
    if (!content.metadata.empty()) identity["says"] = content.metadata;
  }
  const fs::path beside = fs::path(path).parent_path() / "run.json";
  std::error_code error;
  if (!fs::exists(beside, error)) return identity;
  const nlohmann::json run = parse_json_or_discard(read_file(beside.string()));
  for (const char* key : {"identity", "data", "weights", "moved"})
    if (run.is_object() && run.contains(key)) object_in(identity, "run")[key] = run[key];
  return identity;
}

}  // namespace boxcam
