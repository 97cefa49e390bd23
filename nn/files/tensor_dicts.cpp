#include "nn/files/tensor_dicts.h"

#include <algorithm>
#include <unordered_map>

#include "engine/base/check.h"
#include "engine/base/text.h"

namespace boxcam::pickle {
namespace {

constexpr size_t longest_name = 1000;  // longer keys name no tensor
constexpr int deepest_module = 64;

// What PyTorch calls the parts of a module in its __dict__.
constexpr std::string_view parameters = "_parameters", buffers = "_buffers", modules = "_modules",
                           not_persistent = "_non_persistent_buffers_set";

const Value* lookup(const Items& items, std::string_view key) {
  const Value* found = nullptr;
  for (const auto& [name, value] : items)
    if (const auto* text = name->as<std::string>(); text && *text == key) found = value;
  return found;
}

const Items* lookup_items(const Items& items, std::string_view key) {
  const Value* value = lookup(items, key);
  return value ? items_of(*value) : nullptr;
}

bool is_module(const Items& attributes) {
  return lookup_items(attributes, parameters) && lookup_items(attributes, buffers) && lookup_items(attributes, modules);
}

const Items* attributes_of(const Value& value) {
  if (const Dict* dict = value.as<Dict>()) return &dict->items;
  const Object* object = value.as<Object>();
  const Dict* state = object && object->state ? object->state->as<Dict>() : nullptr;
  return state ? &state->items : nullptr;
}

std::unordered_set<std::string_view> names_in(const Value* set) {
  std::unordered_set<std::string_view> names;
  if (const List* list = set ? set->as<List>() : nullptr)
    for (const Value* item : list->items)
      if (const auto* text = item->as<std::string>(); text && text->size() <= longest_name) names.insert(*text);
  return names;
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
  const bool module = is_module(items);
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
    if (!name || name->size() > longest_name) continue;
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
  collect(attributes, "", 0, dict);
  std::unordered_set<std::string_view> names;
  std::erase_if(dict.items, [&](const NamedValue& item) { return !names.insert(item.name).second; });
  add(std::move(dict));
}

void TensorDicts::add(Entries dict) {
  const bool has_tensor = std::any_of(dict.items.begin(), dict.items.end(),
                                      [](const NamedValue& item) { return item.value->as<StridedTensor>(); });
  if (has_tensor) all_.push_back(std::move(dict));
}

// In the order of PyTorch's state_dict(): parameters, buffers, then the modules within.
void TensorDicts::collect(const Items& attributes, const std::string& prefix, int depth, Entries& dict) {
  check(depth <= deepest_module, file_, ": modules are nested more than ", deepest_module,
        " deep, as no network's are");
  const Items& within = *lookup_items(attributes, modules);
  spend_(prefix.size() + attributes.size() + within.size());  // modules may be shared, which multiplies them
  add_members(*lookup_items(attributes, parameters), prefix, nullptr, dict);
  add_members(*lookup_items(attributes, buffers), prefix, lookup(attributes, not_persistent), dict);
  for (const auto& [key, module] : within) {
    const auto* name = key->as<std::string>();
    const Items* inner = attributes_of(*module);
    if (!name || name->size() > longest_name || !inner || !is_module(*inner)) continue;
    collect(*inner, str(prefix, *name, "."), depth + 1, dict);
  }
}

void TensorDicts::add_members(const Items& members, const std::string& prefix, const Value* left_out, Entries& dict) {
  const std::unordered_set<std::string_view> without = names_in(left_out);
  spend_(members.size() + without.size());
  for (const auto& [key, value] : members) {
    const auto* name = key->as<std::string>();
    if (!name || name->size() > longest_name || value->as<std::monostate>() || without.contains(*name)) continue;
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
  for (const Place* place : way_to(dict)) {
    const auto* text = place->name ? place->name->as<std::string>() : nullptr;
    const auto* number = place->name ? place->name->as<int64_t>() : nullptr;
    if (text)
      steps.push_back(python_text(*text));
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
  for (const Place* place : way_to(dict)) {
    const auto* text = place->name ? place->name->as<std::string>() : nullptr;
    const auto* number = place->name ? place->name->as<int64_t>() : nullptr;
    if (place->step == Step::index)
      expression += str("[", place->index, "]");
    else if (place->step == Step::key && text)
      expression += str("[", python_text(*text), "]");
    else if (place->step == Step::key && number)
      expression += str("[", *number, "]");
    else if (place->step == Step::attribute && text)
      expression += "." + *text;
    else
      return "";
  }
  return dict.module.empty() ? expression : expression + ".state_dict()";
}

std::string python_text(std::string_view text) {
  constexpr char digits[] = "0123456789abcdef";
  std::string result = "'";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\'' || c == '\\')
      (result += '\\') += c;
    else if (byte < ' ' || byte == 0x7f)
      ((result += "\\x") += digits[byte >> 4]) += digits[byte & 15];
    else
      result += c;
  }
  return result + "'";
}

}  // namespace boxcam::pickle
