#include "nn/files/tensor_dicts.h"

#include <algorithm>
#include <optional>

#include "engine/base/check.h"
#include "engine/base/text.h"

namespace boxcam::pickle {
namespace {

constexpr size_t longest_tensor_name = 1000;  // longer keys name no tensor
constexpr int deepest_module = 64;

constexpr size_t deepest_way = 64, longest_step = 100;  // that is written out

// What PyTorch calls the parts of a module in its __dict__.
constexpr std::string_view parameters = "_parameters", buffers = "_buffers", modules = "_modules",
                           not_persistent = "_non_persistent_buffers_set";

const Items* attributes_of(const Value& value) {
  if (const Dict* dict = value.as<Dict>()) return &dict->items;
  const Object* object = value.as<Object>();
  const Dict* state = object && object->state ? object->state->as<Dict>() : nullptr;
  return state ? &state->items : nullptr;
}

// Whether Python takes it behind a dot. A longer one is not worth writing out.
bool is_identifier(std::string_view text) {
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  return !text.empty() && text.size() <= longest_step && is_letter(text[0]) &&
         std::all_of(text.begin(), text.end(), [&](char c) { return is_letter(c) || is_digit(c); });
}

// The character of UTF-8 that `text` begins with, which is taken off; nothing where it is none.
std::optional<uint32_t> take_character(std::string_view& text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const size_t length = byte(0) < 0x80 ? 1 : byte(0) < 0xc0 ? 0 : byte(0) < 0xe0 ? 2 : byte(0) < 0xf0 ? 3 : 4;
  if (length == 0 || length > text.size() || byte(0) >= 0xf8) return std::nullopt;
  uint32_t character = length == 1 ? byte(0) : byte(0) & (0x7fu >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return std::nullopt;
    character = character << 6 | (byte(i) & 0x3fu);
  }
  constexpr uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (character < smallest[length] || character > 0x10ffff) return std::nullopt;
  text.remove_prefix(length);
  return character;
}

// As Python escapes a character: \x0a, \u20ac, \U0001f600.
std::string escaped(uint32_t character) {
  const int digits = character < 0x100 ? 2 : character < 0x10000 ? 4 : 8;
  std::string text = digits == 2 ? "\\x" : digits == 4 ? "\\u" : "\\U";
  for (int i = digits; i-- > 0;) text += "0123456789abcdef"[character >> 4 * i & 15];
  return text;
}

}  // namespace

TensorDicts::TensorDicts(const Value& saved, std::string file, std::function<void(uint64_t)> spend)
    : file_(std::move(file)), spend_(std::move(spend)) {
  go_to(&saved, {});
  for (size_t i = 0; i < places_.size(); ++i) look_into(i);
}

void TensorDicts::go_to(const Value* value, Place from) {
  const bool holds = items_of(*value) || value->as<List>() || value->as<Tuple>();
  if (!holds || !met_.insert(value).second) return;
  from.value = value;
  places_.push_back(from);
}

void TensorDicts::look_into(size_t place) {
  const Value& value = *places_[place].value;
  const auto each = [&](const std::vector<Value*>& items) {
    for (size_t i = 0; i < items.size(); ++i) go_to(items[i], {.parent = place, .step = Step::index, .index = i});
  };
  if (const Dict* dict = value.as<Dict>()) return look_into(dict->items, place, Step::key);
  if (const List* list = value.as<List>()) return each(list->items);
  if (const Tuple* tuple = value.as<Tuple>()) return each(tuple->items);
  const Object& object = *value.as<Object>();
  if (const Items* attributes = attributes_of(value)) {
    if (met_.insert(object.state).second) look_into(*attributes, place, Step::attribute);
  } else if (object.state) {
    go_to(object.state, {.parent = place});
  }
  look_into(object.items, place, Step::key);
  each(object.elements);
  if (object.arguments) go_to(object.arguments, {.parent = place});
}

void TensorDicts::look_into(const Items& items, size_t place, Step step) {
  const bool module = module_of(items) != nullptr;
  module ? add_module(items, place) : add_dict(items, place);
  for (const auto& [name, value] : items) {
    const auto* text = name->as<std::string>();
    if (module && text && (*text == parameters || *text == buffers || *text == modules)) continue;
    go_to(value, {.parent = place, .step = step, .name = name});
  }
}

void TensorDicts::add_dict(const Items& items, size_t place) {
  Entries dict{.items = {}, .place = place, .module = {}};
  std::unordered_map<std::string_view, size_t> index;
  for (const auto& [key, value] : items) {
    const auto* name = key->as<std::string>();
    if (!name || name->size() > longest_tensor_name) continue;
    const auto [known, is_new] = index.try_emplace(*name, dict.items.size());
    if (is_new)
      dict.items.push_back({*name, value});
    else
      dict.items[known->second].value = value;
  }
  add(std::move(dict));
}

void TensorDicts::add_module(const Items& attributes, size_t place) {
  const Global* maker = maker_of(*places_[place].value);
  Entries dict{.items = {}, .place = place, .module = maker ? maker->name : "module"};
  collect(*module_of(attributes), "", 0, dict);
  std::unordered_set<std::string_view> names;
  std::erase_if(dict.items, [&](const NamedValue& item) { return !names.insert(item.name).second; });
  add(std::move(dict));
}

void TensorDicts::add(Entries dict) {
  const bool has_tensor = std::any_of(dict.items.begin(), dict.items.end(),
                                      [](const NamedValue& item) { return item.value->as<StridedTensor>(); });
  if (has_tensor) all_.push_back(std::move(dict));
}

// Each is looked through once: modules may share what they hold.
const TensorDicts::Module* TensorDicts::module_of(const Items& attributes) {
  const auto [known, is_new] = modules_.try_emplace(&attributes);
  Module& module = known->second;
  for (size_t i = 0; is_new && i < attributes.size(); ++i) {
    const auto& [name, value] = attributes[i];
    const auto* text = name->as<std::string>();
    if (!text) continue;
    if (*text == parameters) module.parameters = items_of(*value);
    if (*text == buffers) module.buffers = items_of(*value);
    if (*text == modules) module.modules = items_of(*value);
    if (*text == not_persistent) module.not_persistent = value;
  }
  return module.parameters && module.buffers && module.modules ? &module : nullptr;
}

const std::unordered_set<std::string_view>& TensorDicts::names_in(const Value* set) {
  const auto [known, is_new] = sets_.try_emplace(set);
  const List* list = is_new && set ? set->as<List>() : nullptr;
  for (size_t i = 0; list && i < list->items.size(); ++i)
    if (const auto* text = list->items[i]->as<std::string>(); text && text->size() <= longest_tensor_name)
      known->second.insert(*text);
  return known->second;
}

// In the order of PyTorch's state_dict(): parameters, buffers, then the modules within.
void TensorDicts::collect(const Module& module, const std::string& prefix, int depth, Entries& dict) {
  check(depth <= deepest_module, file_, ": modules are nested more than ", deepest_module,
        " deep, as no network's are");
  spend_(prefix.size() + sizeof(Module) + module.modules->size());  // modules may be shared, which multiplies them
  add_members(*module.parameters, prefix, nullptr, dict);
  add_members(*module.buffers, prefix, module.not_persistent, dict);
  for (const auto& [key, value] : *module.modules) {
    const auto* name = key->as<std::string>();
    const Items* attributes = attributes_of(*value);
    const Module* inner = name && name->size() <= longest_tensor_name && attributes ? module_of(*attributes) : nullptr;
    if (inner) collect(*inner, str(prefix, *name, "."), depth + 1, dict);
  }
}

void TensorDicts::add_members(const Items& members, const std::string& prefix, const Value* left_out, Entries& dict) {
  const std::unordered_set<std::string_view>& without = names_in(left_out);
  spend_(members.size());
  for (const auto& [key, value] : members) {
    const auto* name = key->as<std::string>();
    if (!name || name->size() > longest_tensor_name || value->as<std::monostate>() || without.contains(*name)) continue;
    spend_(prefix.size() + name->size() + sizeof(NamedValue));
    dict.items.push_back({names_.emplace_back(prefix + *name), value});
  }
}

// From what was saved, which is left out, down.
std::vector<const TensorDicts::Place*> TensorDicts::way_to(const Entries& dict) const {
  std::vector<const Place*> way;
  for (size_t i = dict.place; i != 0; i = places_[i].parent) way.push_back(&places_[i]);
  std::reverse(way.begin(), way.end());
  return way;
}

std::string TensorDicts::where(const Entries& dict) const {
  std::vector<std::string> steps;
  std::vector<const Place*> way = way_to(dict);
  if (way.size() > deepest_way) {
    steps.emplace_back("...");
    way.erase(way.begin(), way.end() - deepest_way);
  }
  for (const Place* place : way) {
    const auto* text = place->name ? place->name->as<std::string>() : nullptr;
    const auto* number = place->name ? place->name->as<int64_t>() : nullptr;
    if (text)
      steps.push_back(text->size() <= longest_step ? python_text(*text)
                                                   : python_text(text->substr(0, longest_step)) + "...");
    else if (number)
      steps.push_back(str(*number));
    else if (place->step == Step::index)
      steps.push_back(str(place->index));
    else if (const Global* maker = maker_of(*place->value))
      steps.push_back(maker->name);
  }
  return join(steps, " > ");
}

std::string TensorDicts::python(const Entries& dict) const {
  std::string expression = "saved";
  const std::vector<const Place*> way = way_to(dict);
  if (way.size() > deepest_way) return "";
  for (const Place* place : way) {
    const auto* text = place->name ? place->name->as<std::string>() : nullptr;
    const auto* number = place->name ? place->name->as<int64_t>() : nullptr;
    if (place->step == Step::index)
      expression += str("[", place->index, "]");
    else if (place->step == Step::key && text && text->size() <= longest_step)
      expression += str("[", python_text(*text), "]");
    else if (place->step == Step::key && number)
      expression += str("[", *number, "]");
    else if (place->step == Step::attribute && text && is_identifier(*text))
      expression += "." + *text;
    else
      return "";
  }
  return dict.module.empty() ? expression : expression + ".state_dict()";
}

std::string python_text(std::string_view text) {
  constexpr uint32_t undecoded = 0xdc00;  // Python's "surrogateescape", which file names go through
  std::string result = "'";
  while (!text.empty()) {
    const char c = text[0];
    const std::optional<uint32_t> character = take_character(text);
    if (!character) text.remove_prefix(1);
    if (c == '\'' || c == '\\')
      (result += '\\') += c;
    else if (!character || *character < ' ' || *character >= 0x7f)
      result += escaped(character ? *character : undecoded + static_cast<unsigned char>(c));
    else
      result += c;
  }
  return result + "'";
}

}  // namespace boxcam::pickle
