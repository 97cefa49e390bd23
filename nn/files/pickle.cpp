#include "nn/files/pickle.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <optional>

#include "engine/base/check.h"

namespace boxcam::pickle {
namespace {

// Far above any model's file, far below what would hurt; a long pickle may hold a value for every eight bytes more.
constexpr size_t most_values = 1'000'000;
constexpr size_t bytes_per_value = 8;
constexpr size_t most_axes = 16;
constexpr size_t longest_key = 100, longest_name = 1000;
constexpr int64_t most_elements = std::numeric_limits<int64_t>::max() / 16;

enum Op : unsigned char {
  op_mark = '(',
  op_stop = '.',
  op_pop = '0',
  op_pop_mark = '1',
  op_dup = '2',
  op_binbytes = 'B',
  op_short_binbytes = 'C',
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
  op_obj = 'o',
  op_empty_list = ']',
  op_binput = 'q',
  op_long_binput = 'r',
  op_setitem = 's',
  op_tuple = 't',
  op_empty_tuple = ')',
  op_setitems = 'u',
  op_binfloat = 'G',
  op_proto = 0x80,
  op_newobj = 0x81,
  op_tuple1 = 0x85,
  op_tuple2 = 0x86,
  op_tuple3 = 0x87,
  op_newtrue = 0x88,
  op_newfalse = 0x89,
  op_long1 = 0x8a,
  op_long4 = 0x8b,
  op_short_binunicode = 0x8c,
  op_binunicode8 = 0x8d,
  op_binbytes8 = 0x8e,
  op_empty_set = 0x8f,
  op_additems = 0x90,
  op_frozenset = 0x91,
  op_newobj_ex = 0x92,
  op_stack_global = 0x93,
  op_memoize = 0x94,
  op_frame = 0x95,
  op_bytearray8 = 0x96,
};

std::string printable(std::string name) {
  for (char& c : name)
    if (c < ' ' || c > '~') c = '?';
  return name.size() <= 100 ? name : name.substr(0, 100) + "...";
}

// A foreign one where the name is none of those.
Global global_of(const std::string& name) {
  using Kind = Global::Kind;
  static const std::map<std::string, Kind> functions = {
      {"collections.OrderedDict", Kind::ordered_dict},
      {"builtins.set", Kind::set},
      {"builtins.frozenset", Kind::set},
      {"__builtin__.set", Kind::set},  // Python 2's names, which protocol 2 writes
      {"__builtin__.frozenset", Kind::set},
      {"torch._utils._rebuild_tensor", Kind::rebuild_tensor},  // before torch 0.4
      {"torch._utils._rebuild_tensor_v2", Kind::rebuild_tensor},
      {"torch._tensor._rebuild_from_type_v2", Kind::rebuild_subclass},
      {"torch._utils._rebuild_parameter", Kind::rebuild_parameter},
      {"torch._utils._rebuild_parameter_with_state", Kind::rebuild_parameter},
  };
  static const std::map<std::string, std::pair<std::optional<StoredType>, size_t>> storages = {
      {"torch.FloatStorage", {StoredType::f32, 4}},
      {"torch.DoubleStorage", {StoredType::f64, 8}},
      {"torch.HalfStorage", {StoredType::f16, 2}},
      {"torch.BFloat16Storage", {StoredType::bf16, 2}},
      {"torch.LongStorage", {StoredType::i64, 8}},
      {"torch.IntStorage", {StoredType::i32, 4}},
      {"torch.ByteStorage", {StoredType::u8, 1}},
      {"torch.BoolStorage", {StoredType::u8, 1}},
      {"torch.CharStorage", {std::nullopt, 1}},
      {"torch.ShortStorage", {std::nullopt, 2}},
      {"torch.ComplexFloatStorage", {std::nullopt, 8}},
      {"torch.ComplexDoubleStorage", {std::nullopt, 16}},
      {"torch.QInt8Storage", {std::nullopt, 1}},
      {"torch.QUInt8Storage", {std::nullopt, 1}},
      {"torch.QInt32Storage", {std::nullopt, 4}},
      {"torch.UntypedStorage", {std::nullopt, 1}},
      {"torch.storage.UntypedStorage", {std::nullopt, 1}},
  };
  if (const auto found = functions.find(name); found != functions.end()) return {found->second, name};
  const auto found = storages.find(name);
  if (found == storages.end()) return {Kind::foreign, printable(name)};
  return {Kind::storage_type, name, found->second.first, found->second.second};
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

const Global* maker_of(const Value& value) {
  const Object* object = value.as<Object>();
  return object ? object->maker : value.as<Global>();
}

const Items* items_of(const Value& value) {
  if (const Dict* dict = value.as<Dict>()) return &dict->items;
  const Object* object = value.as<Object>();
  return object ? &object->items : nullptr;
}

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

// Past what is of no use here.
void Unpickler::skip(uint64_t length, const char* what) {
  if (rest_.size() < length) refuse("the pickle ends early");
  rest_ = rest_.subspan(length);
  push(Global{.name = what});
}

void Unpickler::integer(uint64_t length) {
  if (length > sizeof(uint64_t)) return skip(length, "int");
  const std::string digits = text(length);
  uint64_t value = !digits.empty() && static_cast<signed char>(digits.back()) < 0 ? ~uint64_t{0} : 0;
  std::memcpy(&value, digits.data(), digits.size());
  push(static_cast<int64_t>(value));
}

void Unpickler::spend(size_t values) {
  spent_ += values;
  if (spent_ > limit_) refuse("the pickle holds more than ", limit_, " values, which no weight file does");
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
  Object* object = std::get_if<Object>(&top()->data);
  if ((!dict && !object) || items.size() % 2 != 0)
    refuse("the pickle is damaged (items for something that is no dict)");
  if (object) called_.insert(object->maker->name);  // its method
  Items& target = dict ? dict->items : object->items;
  for (size_t i = 0; i < items.size(); i += 2) target.emplace_back(items[i], items[i + 1]);
}

void Unpickler::append(const std::vector<Value*>& items) {
  List* list = std::get_if<List>(&top()->data);
  Object* object = std::get_if<Object>(&top()->data);
  if (!list && !object) refuse("the pickle is damaged (items for something that is no list)");
  if (object) called_.insert(object->maker->name);  // its method
  std::vector<Value*>& target = list ? list->items : object->elements;
  target.insert(target.end(), items.begin(), items.end());
}

// Of an OrderedDict (the versions of a state dict's modules) or a tensor it is of no use here.
void Unpickler::set_state(Value* state) {
  Value* target = top();
  if (Object* object = std::get_if<Object>(&target->data)) {
    called_.insert(object->maker->name);  // its method
    object->state = state;
  } else if (!target->as<Dict>() && !target->as<StridedTensor>()) {
    refuse("the pickle is damaged (a state for something that has none)");
  }
}

void Unpickler::remember(size_t index) {
  if (memo_.insert_or_assign(index, top()).second) spend(1);
}

void Unpickler::recall(size_t index) {
  const auto found = memo_.find(index);
  if (found == memo_.end()) refuse("the pickle is damaged (it recalls what it never stored)");
  stack_.push_back(found->second);
}

void Unpickler::push_global(const std::string& module, const std::string& name) {
  if (module.size() + name.size() > longest_name)
    refuse("the pickle is damaged (a name of more than ", longest_name, " letters)");
  push(global_of(module + "." + name));
}

// What torch.save keeps outside the pickle: storages, and in the legacy format the source of a module's class.
void Unpickler::find_persistent() {
  const Tuple* id = pop()->as<Tuple>();
  const std::string* kind = id && !id->items.empty() ? id->items[0]->as<std::string>() : nullptr;
  if (kind && *kind == "module" && id->items.size() > 1)
    stack_.push_back(id->items[1]);
  else if (kind && *kind == "storage")
    find_storage(*id);
  else
    refuse("the pickle refers to something outside it in a way that torch.save does not");
}

// ('storage', type, key, device, numel), in the legacy format with a sixth: None or (view key, first, count).
void Unpickler::find_storage(const Tuple& id) {
  const auto item = [&](size_t i) { return i < id.items.size() ? id.items[i] : nullptr; };
  const Global* type = item(1) ? item(1)->as<Global>() : nullptr;
  const std::string* key = item(2) ? item(2)->as<std::string>() : nullptr;
  const int64_t* numel = item(4) ? item(4)->as<int64_t>() : nullptr;
  const bool typed = type && (type->kind == Global::Kind::storage_type || type->kind == Global::Kind::foreign);
  if (!typed || !key || key->size() > longest_key || !numel || *numel < 0 || *numel > most_elements)
    refuse("the pickle refers to a storage in a way that torch.save does not");

  const auto [known, is_new] = storages_.try_emplace(*key, Storage{*key, type, *numel});
  const Storage& storage = known->second;
  if (storage.type->name != type->name || storage.numel != *numel)
    refuse("the pickle describes the storage ", printable(*key), " in two ways");
  StorageView whole{&storage, 0, *numel};
  if (item(5) && !item(5)->as<std::monostate>()) {
    const Tuple* view = item(5)->as<Tuple>();
    const bool complete = view && view->items.size() == 3;
    const int64_t* first = complete ? view->items[1]->as<int64_t>() : nullptr;
    const int64_t* count = complete ? view->items[2]->as<int64_t>() : nullptr;
    if (!first || !count || *first < 0 || *count < 0 || *first > *numel || *count > *numel - *first)
      refuse("the view of the storage ", printable(*key), " does not lie within it");
    whole.first = *first;
    whole.count = *count;
  }
  push(whole);
}

void Unpickler::call(Value* callee, Value* arguments) {
  const Global* maker = maker_of(*callee);
  const Tuple* tuple = arguments->as<Tuple>();
  if (!maker || !tuple) refuse("the pickle is damaged (it calls something that is no function)");
  if (callee->as<Global>() && maker->kind != Global::Kind::foreign)
    if (Value* made = call_known(*maker, tuple->items)) return stack_.push_back(made);
  called_.insert(maker->name);
  push(Object{.maker = maker, .arguments = arguments});
}

Value* Unpickler::call_known(const Global& callee, const std::vector<Value*>& arguments) {
  switch (callee.kind) {
    case Global::Kind::ordered_dict: return make_ordered_dict(arguments);
    case Global::Kind::set: return make_set(arguments);
    case Global::Kind::rebuild_tensor: return rebuild_tensor(arguments);
    case Global::Kind::rebuild_subclass: {  // (function, type, its arguments, state)
      const Global* function = arguments.size() > 2 ? arguments[0]->as<Global>() : nullptr;
      const Tuple* inner = function ? arguments[2]->as<Tuple>() : nullptr;
      return inner && function->kind == Global::Kind::rebuild_tensor ? rebuild_tensor(inner->items) : nullptr;
    }
    case Global::Kind::rebuild_parameter:  // (tensor, requires_grad, hooks[, state]): the tensor is all we want
      if (arguments.empty() || !(arguments[0]->as<StridedTensor>() || arguments[0]->as<Object>()))
        refuse("the pickle has a parameter without a tensor");
      return arguments[0];
    case Global::Kind::storage_type: refuse("the pickle calls a storage type, which torch.save does not");
    case Global::Kind::foreign: break;
  }
  return nullptr;
}

Value* Unpickler::make_ordered_dict(const std::vector<Value*>& arguments) {
  Dict dict;
  if (!arguments.empty()) {  // how Python 2 stored it: a list of [key, value]
    if (arguments[0]->as<Object>()) return nullptr;
    const List* pairs = arguments[0]->as<List>();
    if (!pairs) refuse("the pickle is damaged (an OrderedDict of something that is no list)");
    spend(pairs->items.size());
    for (const Value* pair : pairs->items) {
      const List* two = pair->as<List>();
      if (!two || two->items.size() != 2) refuse("the pickle is damaged (an OrderedDict of something that is no pair)");
      dict.items.emplace_back(two->items[0], two->items[1]);
    }
  }
  return make(std::move(dict));
}

Value* Unpickler::make_set(const std::vector<Value*>& arguments) {
  if (arguments.empty()) return make(List{});
  const List* items = arguments[0]->as<List>();
  if (!items) return nullptr;
  spend(items->items.size());
  return make(List{items->items});
}

// (storage, offset, size, stride[, requires_grad, hooks])
Value* Unpickler::rebuild_tensor(const std::vector<Value*>& arguments) {
  if (arguments.size() < 4) refuse("the pickle has a tensor without size or stride");
  if (arguments[0]->as<Object>()) return nullptr;
  const StorageView* view = arguments[0]->as<StorageView>();
  const int64_t* offset = arguments[1]->as<int64_t>();
  const auto sizes = counts(*arguments[2]), strides = counts(*arguments[3]);
  if (!view || !offset || *offset < 0 || !sizes || !strides || sizes->size() != strides->size())
    refuse("the pickle describes a tensor in a way that torch.save does not");
  const Storage& storage = *view->storage;
  if (!storage.type->stored) return make(Object{.maker = storage.type});  // of numbers that boxcam has not

  bool fits = is_countable(*sizes, storage.type->item_size);
  const int64_t elements = fits ? Shape(*sizes).numel() : 0;
  int64_t last = *offset;
  for (size_t i = 0; i < sizes->size(); ++i) {
    int64_t step = 0;
    fits = fits && !__builtin_mul_overflow(std::max<int64_t>((*sizes)[i] - 1, 0), (*strides)[i], &step) &&
           !__builtin_add_overflow(last, step, &last);
  }
  if (!fits || elements > view->count || (elements > 0 && last >= view->count))
    refuse("a tensor ", Shape(*sizes), " does not lie within its storage ", printable(storage.key), " of ", view->count,
           " elements");
  return make(StridedTensor{*view, *offset, *sizes, *strides});
}

const Value& Unpickler::load(std::span<const char>& bytes) {
  rest_ = bytes;
  limit_ = std::max(limit_, most_values + bytes.size() / bytes_per_value);
  stack_.clear();
  marks_.clear();
  memo_.clear();

  const auto opening = number<unsigned char>();
  if (opening != op_proto) refuse("expected a pickle of protocol 2 to 5, found the byte ", hex(opening));
  const int protocol = number<unsigned char>();
  if (protocol < 2 || protocol > 5) refuse("refuses pickle protocol ", protocol, ": boxcam reads 2 to 5");
  protocol_ = std::max(protocol_, protocol);

  while (true) {
    switch (const auto op = number<unsigned char>()) {
      case op_mark: marks_.push_back(stack_.size()); break;
      case op_stop: {
        const Value* result = pop();
        bytes = rest_;
        return *result;
      }
      case op_frame:
        if (number<uint64_t>() > rest_.size()) refuse("the pickle ends early");
        break;
      case op_pop: pop(); break;
      case op_pop_mark: pop_to_mark(); break;
      case op_dup: stack_.push_back(top()); break;

      case op_none: push(std::monostate{}); break;
      case op_newtrue: push(true); break;
      case op_newfalse: push(false); break;
      case op_binint: push(int64_t{number<int32_t>()}); break;
      case op_binint1: push(int64_t{number<uint8_t>()}); break;
      case op_binint2: push(int64_t{number<uint16_t>()}); break;
      case op_long1: integer(number<uint8_t>()); break;
      case op_long4: integer(number<uint32_t>()); break;
      case op_binfloat: push(std::bit_cast<double>(__builtin_bswap64(number<uint64_t>()))); break;
      case op_short_binunicode:
      case op_short_binstring: push(text(number<uint8_t>())); break;
      case op_binunicode:
      case op_binstring: push(text(number<uint32_t>())); break;
      case op_binunicode8: push(text(number<uint64_t>())); break;
      case op_short_binbytes: skip(number<uint8_t>(), "bytes"); break;
      case op_binbytes: skip(number<uint32_t>(), "bytes"); break;
      case op_binbytes8: skip(number<uint64_t>(), "bytes"); break;
      case op_bytearray8: skip(number<uint64_t>(), "bytearray"); break;

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
      case op_empty_set:
      case op_empty_list: push(List{}); break;
      case op_frozenset: push(List{pop_to_mark()}); break;
      case op_append: {
        Value* item = pop();
        append({item});
        break;
      }
      case op_additems:
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
      case op_memoize: remember(memo_.size()); break;
      case op_binget: recall(number<uint8_t>()); break;
      case op_long_binget: recall(number<uint32_t>()); break;

      case op_global: {
        const std::string module = line();
        push_global(module, line());
        break;
      }
      case op_stack_global: {
        const std::string* name = pop()->as<std::string>();
        const std::string* module = pop()->as<std::string>();
        if (!name || !module) refuse("the pickle is damaged (a name that is no text)");
        push_global(*module, *name);
        break;
      }
      case op_binpersid: find_persistent(); break;
      case op_reduce:
      case op_newobj: {
        Value* arguments = pop();
        call(pop(), arguments);
        break;
      }
      case op_newobj_ex: {
        Value* by_name = pop();
        Value* arguments = make(Tuple{{pop(), by_name}});
        call(pop(), arguments);
        break;
      }
      case op_obj: {  // Python 2's old classes: the class, then its arguments
        std::vector<Value*> items = pop_to_mark();
        if (items.empty()) refuse("the pickle is damaged (it takes what is not there)");
        Value* callee = items.front();
        items.erase(items.begin());
        call(callee, make(Tuple{std::move(items)}));
        break;
      }
      case op_build: set_state(pop()); break;
      default: refuse("refuses the pickle instruction ", hex(op), ", which torch.save does not write");
    }
  }
}

}  // namespace boxcam::pickle
