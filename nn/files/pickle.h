// Pickle, as far as finding the tensors in a PyTorch file needs it. A pickle is a program; this reader runs only the
// instructions that build plain data and knows a dozen names. What any other name would make stays a description of it
// (Object): nothing in a weight file is ever looked up or executed.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "nn/files/safetensors.h"

namespace boxcam::pickle {

struct Value;
using Items = std::vector<std::pair<Value*, Value*>>;  // as set, in order: of equal keys the last one counts

struct Tuple {
  std::vector<Value*> items;
};
/// A list or a set.
struct List {
  std::vector<Value*> items;
};
struct Dict {
  Items items;
};

/// A name of Python's: one of those this reader knows, or a foreign one. What is plain data but of no use here (bytes,
/// an integer of more than 64 bits) is the foreign name of its type.
struct Global {
  enum class Kind { ordered_dict, set, rebuild_tensor, rebuild_subclass, rebuild_parameter, storage_type, foreign };
  Kind kind = Kind::foreign;
  std::string name;                       ///< "collections.OrderedDict"
  std::optional<StoredType> stored = {};  ///< of a storage_type whose numbers can be read
  size_t item_size = 0;                   ///< of a storage_type
};

/// What calling a foreign name would make, or something made of that: what was to be handed over, and no more.
struct Object {
  const Global* maker;
  Value* arguments = nullptr;         ///< a Tuple
  Value* state = nullptr;             ///< most often a Dict of its attributes
  std::vector<Value*> elements = {};  ///< of a subclass of list or set
  Items items = {};                   ///< of a subclass of dict
};

/// Numbers that lie outside the pickle, under a key.
struct Storage {
  std::string key;
  const Global* type;
  int64_t numel;
};

/// `count` elements from `first` on.
struct StorageView {
  const Storage* storage;
  int64_t first, count;

  bool operator==(const StorageView&) const = default;
};

/// Checked: every element lies within the storage, whose numbers can be read, and there are at most as many as the
/// storage has.
struct StridedTensor {
  StorageView view;
  int64_t offset;  ///< in elements, from view.first
  std::vector<int64_t> sizes, strides;

  StoredType type() const { return *view.storage->type->stored; }
  bool operator==(const StridedTensor&) const = default;
};

struct Value {
  std::variant<std::monostate, bool, int64_t, double, std::string, Tuple, List, Dict, Global, Object, StorageView,
               StridedTensor>
      data;

  template <class T>
  const T* as() const {
    return std::get_if<T>(&data);
  }
};

/// The name behind an Object, or that a Global is; null for plain data.
const Global* maker_of(const Value& value);
/// The items of a Dict, or of an Object that stands for a subclass of dict; null for others.
const Items* items_of(const Value& value);

class Unpickler {
 public:
  /// `file` is what messages call the source.
  explicit Unpickler(std::string file) : file_(std::move(file)) {}
  Unpickler(const Unpickler&) = delete;
  Unpickler& operator=(const Unpickler&) = delete;

  /// Reads one pickle of protocol 2 to 5 from the front of `bytes` and drops it there. The value, and all it refers
  /// to, lives as long as this object. Throws Error: another protocol, an instruction that neither plain data nor a
  /// description needs, damaged or truncated bytes, or more values than their number justifies.
  const Value& load(std::span<const char>& bytes);

  /// Every storage that was referred to so far, by its key.
  const std::map<std::string, Storage>& storages() const { return storages_; }
  int protocol() const { return protocol_; }  ///< the highest so far
  /// The names that were to be called so far, or whose objects' methods were, which fill them.
  const std::set<std::string_view>& called() const { return called_; }

 private:
  template <class... Args>
  [[noreturn]] void refuse(const Args&... args) const;
  template <class T>
  T number();
  std::string text(uint64_t length);
  std::string line();
  void skip(uint64_t length, const char* what);
  void integer(uint64_t length);

  void spend(size_t values);
  Value* make(decltype(Value::data) data);
  void push(decltype(Value::data) data) { stack_.push_back(make(std::move(data))); }
  Value* top() const;
  Value* pop();
  std::vector<Value*> pop_to_mark();
  void set_items(const std::vector<Value*>& items);
  void append(const std::vector<Value*>& items);
  void set_state(Value* state);
  void remember(size_t index);
  void recall(size_t index);

  void push_global(const std::string& module, const std::string& name);
  void find_persistent();
  void find_storage(const Tuple& id);
  void call(Value* callee, Value* arguments);
  // Null where an argument is an Object, so that the result is one too.
  Value* call_known(const Global& callee, const std::vector<Value*>& arguments);
  Value* make_ordered_dict(const std::vector<Value*>& arguments);
  Value* make_set(const std::vector<Value*>& arguments);
  Value* rebuild_tensor(const std::vector<Value*>& arguments);

  std::string file_;
  int protocol_ = 0;
  size_t spent_ = 0, limit_ = 0;  // a file of some size must not ask for memory of any size
  std::span<const char> rest_;
  std::deque<Value> values_;  // owns them all: a pickle may build cycles
  std::vector<Value*> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<size_t, Value*> memo_;
  std::map<std::string, Storage> storages_;
  std::set<std::string_view> called_;
};

}  // namespace boxcam::pickle
