#include "nn/files/pickle.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <optional>

#include "engine/base/check.h"

namespace boxcam::pickle {
namespace {

// Far above any model's file, far below what would hurt.
constexpr size_t most_values = 1'000'000;
constexpr size_t most_axes = 16;
constexpr size_t longest_key = 100;
constexpr int64_t most_elements = std::numeric_limits<int64_t>::max() / 16;

enum Op : unsigned char {
  op_mark = '(',
  op_stop = '.',
  op_binint = 'J',
  op_binint1 = 'K',
  op_binint2 = 'M',
  op_none = 'N',
  op_binpersid = 'Q',
  op_reduce = 'R',
  op_binstring = 'T',
  op_short_binstring = 'U',
  op_binunicode = 'X',
  op_append = 'a',
  op_build = 'b',
  op_global = 'c',
  op_empty_dict = '}',
  op_appends = 'e',
  op_binget = 'h',
  op_long_binget = 'j',
  op_empty_list = ']',
  op_binput = 'q',
  op_long_binput = 'r',
  op_setitem = 's',
  op_tuple = 't',
  op_empty_tuple = ')',
  op_setitems = 'u',
  op_binfloat = 'G',
  op_proto = 0x80,
  op_tuple1 = 0x85,
  op_tuple2 = 0x86,
  op_tuple3 = 0x87,
  op_newtrue = 0x88,
  op_newfalse = 0x89,
  op_long1 = 0x8a,
};

std::optional<Global> whitelisted(const std::string& name) {
  static const std::map<std::string, Global> known = {
      {"collections.OrderedDict", {Global::Kind::ordered_dict, {}}},
      {"torch._utils._rebuild_tensor", {Global::Kind::rebuild_tensor, {}}},  // before torch 0.4
      {"torch._utils._rebuild_tensor_v2", {Global::Kind::rebuild_tensor, {}}},
      {"torch._utils._rebuild_parameter", {Global::Kind::rebuild_parameter, {}}},
      {"torch._utils._rebuild_parameter_with_state", {Global::Kind::rebuild_parameter, {}}},
      {"torch.FloatStorage", {Global::Kind::storage_type, StoredType::f32}},
      {"torch.DoubleStorage", {Global::Kind::storage_type, StoredType::f64}},
      {"torch.HalfStorage", {Global::Kind::storage_type, StoredType::f16}},
      {"torch.BFloat16Storage", {Global::Kind::storage_type, StoredType::bf16}},
      {"torch.LongStorage", {Global::Kind::storage_type, StoredType::i64}},
      {"torch.IntStorage", {Global::Kind::storage_type, StoredType::i32}},
      {"torch.ByteStorage", {Global::Kind::storage_type, StoredType::u8}},
      {"torch.BoolStorage", {Global::Kind::storage_type, StoredType::u8}},
  };
  const auto found = known.find(name);
  return found == known.end() ? std::nullopt : std::optional(found->second);
}

std::string printable(std::string name) {
  for (char& c : name)
    if (c < ' ' || c > '~') c = '?';
  return name.size() <= 100 ? name : name.substr(0, 100) + "...";
}

std::string hex(unsigned char byte) {
  constexpr char digits[] = "0123456789abcdef";
  return {'0', 'x', digits[byte >> 4], digits[byte & 15]};
}

// The counts of a size or a stride; null when the value is no tuple of whole numbers.
std::optional<std::vector<int64_t>> counts(const Value& value) {
  const Tuple* tuple = value.as<Tuple>();
  if (!tuple || tuple->items.size() > most_axes) return std::nullopt;
  std::vector<int64_t> result;
  for (const Value* item : tuple->items) {
    const int64_t* number = item->as<int64_t>();
    if (!number || *number < 0 || *number > most_elements) return std::nullopt;
    result.push_back(*number);
  }
  return result;
}

}  // namespace

template <class... Args>
void Unpickler::refuse(const Args&... args) const {
  fail(file_, ": ", args...);
}

template <class T>
T Unpickler::number() {
  if (rest_.size() < sizeof(T)) refuse("the pickle ends early");
  T value;
  std::memcpy(&value, rest_.data(), sizeof value);
  rest_ = rest_.subspan(sizeof value);
  return value;
}

std::string Unpickler::text(uint64_t length) {
  if (rest_.size() < length) refuse("the pickle ends early");
  std::string result(rest_.data(), length);
  rest_ = rest_.subspan(length);
  return result;
}

std::string Unpickler::line() {
  const auto end = std::find(rest_.begin(), rest_.end(), '\n');
  if (end == rest_.end()) refuse("the pickle ends early");
  std::string result = text(static_cast<uint64_t>(end - rest_.begin()));
  rest_ = rest_.subspan(1);
  return result;
}

void Unpickler::spend(size_t values) {
  spent_ += values;
  if (spent_ > most_values) refuse("the pickle holds more than ", most_values, " values, which no state dict does");
}

Value* Unpickler::make(decltype(Value::data) data) {
  spend(1);
  return &values_.emplace_back(Value{std::move(data)});
}

Value* Unpickler::top() const {
  const size_t floor = marks_.empty() ? 0 : marks_.back();
  if (stack_.size() <= floor) refuse("the pickle is damaged (it takes what is not there)");
  return stack_.back();
}

Value* Unpickler::pop() {
  Value* value = top();
  stack_.pop_back();
  return value;
}

std::vector<Value*> Unpickler::pop_to_mark() {
  if (marks_.empty()) refuse("the pickle is damaged (it takes what is not there)");
  const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
  std::vector<Value*> items(begin, stack_.end());
  stack_.erase(begin, stack_.end());
  marks_.pop_back();
  return items;
}

void Unpickler::set_items(const std::vector<Value*>& items) {
  Dict* dict = std::get_if<Dict>(&top()->data);
  if (!dict || items.size() % 2 != 0) refuse("the pickle is damaged (items for something that is no dict)");
  for (size_t i = 0; i < items.size(); i += 2) dict->items.emplace_back(items[i], items[i + 1]);
}

void Unpickler::append(const std::vector<Value*>& items) {
  List* list = std::get_if<List>(&top()->data);
  if (!list) refuse("the pickle is damaged (items for something that is no list)");
  list->items.insert(list->items.end(), items.begin(), items.end());
}

void Unpickler::remember(uint32_t index) {
  if (memo_.insert_or_assign(index, top()).second) spend(1);
}

void Unpickler::recall(uint32_t index) {
  const auto found = memo_.find(index);
  if (found == memo_.end()) refuse("the pickle is damaged (it recalls what it never stored)");
  stack_.push_back(found->second);
}

void Unpickler::find_global() {
  const std::string module = line();
  const std::string name = module + "." + line();
  const std::optional<Global> global = whitelisted(name);
  if (!global)
    refuse("refuses the pickle global ", printable(name),
           ": nothing in a weight file is executed, and a state dict as torch.save(model.state_dict(), ...) writes it "
           "does not need it");
  push(*global);
}

// ('storage', type, key, device, numel), in the legacy format with a sixth: None or (view key, first, count).
void Unpickler::find_storage() {
  const Tuple* id = pop()->as<Tuple>();
  const auto item = [&](size_t i) { return id && i < id->items.size() ? id->items[i] : nullptr; };
  const std::string* kind = item(0) ? item(0)->as<std::string>() : nullptr;
  const Global* type = item(1) ? item(1)->as<Global>() : nullptr;
  const std::string* key = item(2) ? item(2)->as<std::string>() : nullptr;
  const int64_t* numel = item(4) ? item(4)->as<int64_t>() : nullptr;
  if (!kind || *kind != "storage" || !type || type->kind != Global::Kind::storage_type || !key ||
      key->size() > longest_key || !numel || *numel < 0 || *numel > most_elements)
    refuse("the pickle refers to a storage in a way that torch.save does not");

  StorageView storage{*key, type->type, *numel, 0, *numel};
  if (item(5) && !item(5)->as<std::monostate>()) {
    const Tuple* view = item(5)->as<Tuple>();
    const bool complete = view && view->items.size() == 3;
    const int64_t* first = complete ? view->items[1]->as<int64_t>() : nullptr;
    const int64_t* count = complete ? view->items[2]->as<int64_t>() : nullptr;
    if (!first || !count || *first < 0 || *count < 0 || *first > *numel || *count > *numel - *first)
      refuse("the view of the storage ", printable(*key), " does not lie within it");
    storage.first = *first;
    storage.count = *count;
  }
  const auto [known, is_new] = storages_.try_emplace(*key, storage);
  if (!is_new && (known->second.type != storage.type || known->second.numel != storage.numel))
    refuse("the pickle describes the storage ", printable(*key), " in two ways");
  push(storage);
}

void Unpickler::call() {
  const Tuple* arguments = pop()->as<Tuple>();
  const Global* callee = pop()->as<Global>();
  if (!arguments || !callee) refuse("the pickle is damaged (it calls something that is no function)");
  const std::vector<Value*>& items = arguments->items;
  switch (callee->kind) {
    case Global::Kind::ordered_dict: {
      Dict dict;
      if (!items.empty()) {  // how Python 2 stored it: a list of [key, value]
        const List* pairs = items[0]->as<List>();
        if (!pairs) refuse("the pickle is damaged (an OrderedDict of something that is no list)");
        spend(pairs->items.size());
        for (const Value* pair : pairs->items) {
          const List* two = pair->as<List>();
          if (!two || two->items.size() != 2)
            refuse("the pickle is damaged (an OrderedDict of something that is no pair)");
          dict.items.emplace_back(two->items[0], two->items[1]);
        }
      }
      return push(std::move(dict));
    }
    case Global::Kind::rebuild_tensor: return push(rebuild_tensor(items));
    case Global::Kind::rebuild_parameter:  // (tensor, requires_grad, hooks[, state]): the tensor is all we want
      if (items.empty() || !items[0]->as<StridedTensor>()) refuse("the pickle has a parameter without a tensor");
      return stack_.push_back(items[0]);
    case Global::Kind::storage_type: refuse("the pickle calls a storage type, which torch.save does not");
  }
}

// (storage, offset, size, stride[, requires_grad, hooks])
StridedTensor Unpickler::rebuild_tensor(const std::vector<Value*>& arguments) const {
  if (arguments.size() < 4) refuse("the pickle has a tensor without size or stride");
  const StorageView* storage = arguments[0]->as<StorageView>();
  const int64_t* offset = arguments[1]->as<int64_t>();
  const auto sizes = counts(*arguments[2]), strides = counts(*arguments[3]);
  if (!storage || !offset || *offset < 0 || !sizes || !strides || sizes->size() != strides->size())
    refuse("the pickle describes a tensor in a way that torch.save does not");

  int64_t elements = 1, last = *offset;
  bool fits = true;
  for (const int64_t size : *sizes) fits = fits && !__builtin_mul_overflow(elements, size, &elements);
  for (size_t i = 0; i < sizes->size(); ++i) {
    int64_t step = 0;
    fits = fits && !__builtin_mul_overflow(std::max<int64_t>((*sizes)[i] - 1, 0), (*strides)[i], &step) &&
           !__builtin_add_overflow(last, step, &last);
  }
  if (!fits || elements > storage->count || (elements > 0 && last >= storage->count))
    refuse("a tensor ", Shape(*sizes), " does not lie within its storage ", printable(storage->key), " of ",
           storage->count, " elements");
  return {*storage, *offset, *sizes, *strides};
}

const Value& Unpickler::load(std::span<const char>& bytes) {
  rest_ = bytes;
  stack_.clear();
  marks_.clear();
  memo_.clear();

  const auto opening = number<unsigned char>();
  if (opening != op_proto) refuse("expected a pickle of protocol 2, found the byte ", hex(opening));
  const int protocol = number<unsigned char>();
  if (protocol != 2)
    refuse("refuses pickle protocol ", protocol,
           ": boxcam reads protocol 2, which torch.save uses unless told otherwise");

  while (true) {
    switch (const auto op = number<unsigned char>()) {
      case op_mark: marks_.push_back(stack_.size()); break;
      case op_stop: {
        const Value* result = pop();
        bytes = rest_;
        return *result;
      }
      case op_none: push(std::monostate{}); break;
      case op_newtrue: push(true); break;
      case op_newfalse: push(false); break;
      case op_binint: push(int64_t{number<int32_t>()}); break;
      case op_binint1: push(int64_t{number<uint8_t>()}); break;
      case op_binint2: push(int64_t{number<uint16_t>()}); break;
      case op_long1: {
        const std::string digits = text(number<uint8_t>());
        if (digits.size() > 8) refuse("the pickle holds an integer of more than 64 bits");
        uint64_t value = !digits.empty() && static_cast<signed char>(digits.back()) < 0 ? ~uint64_t{0} : 0;
        std::memcpy(&value, digits.data(), digits.size());
        push(static_cast<int64_t>(value));
        break;
      }
      case op_binfloat: push(std::bit_cast<double>(__builtin_bswap64(number<uint64_t>()))); break;
      case op_binunicode:
      case op_binstring: push(text(number<uint32_t>())); break;
      case op_short_binstring: push(text(number<uint8_t>())); break;

      case op_empty_tuple: push(Tuple{}); break;
      case op_tuple1:
      case op_tuple2:
      case op_tuple3: {
        std::vector<Value*> items(op - op_tuple1 + 1u);
        for (auto item = items.rbegin(); item != items.rend(); ++item) *item = pop();
        push(Tuple{std::move(items)});
        break;
      }
      case op_tuple: push(Tuple{pop_to_mark()}); break;
      case op_empty_list: push(List{}); break;
      case op_append: {
        Value* item = pop();
        append({item});
        break;
      }
      case op_appends: append(pop_to_mark()); break;
      case op_empty_dict: push(Dict{}); break;
      case op_setitem: {
        Value* value = pop();
        Value* key = pop();
        set_items({key, value});
        break;
      }
      case op_setitems: set_items(pop_to_mark()); break;

      case op_binput: remember(number<uint8_t>()); break;
      case op_long_binput: remember(number<uint32_t>()); break;
      case op_binget: recall(number<uint8_t>()); break;
      case op_long_binget: recall(number<uint32_t>()); break;

      case op_global: find_global(); break;
      case op_binpersid: find_storage(); break;
      case op_reduce: call(); break;
      case op_build:  // the _metadata of a state dict: versions of modules, of no use here
        pop();
        if (!top()->as<Dict>()) refuse("the pickle sets the state of something that is no dict");
        break;
      default: refuse("refuses the pickle instruction ", hex(op), ", which no state dict has");
    }
  }
}

}  // namespace boxcam::pickle
