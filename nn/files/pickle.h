// Pickle, as far as a PyTorch state dict needs it. A pickle is a program; this reader runs only the instructions that
// build plain data, knows a dozen names and refuses all others: nothing in a weight file is ever executed.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "nn/files/safetensors.h"

namespace boxcam::pickle {

struct Value;

struct Tuple {
  std::vector<Value*> items;
};
struct List {
  std::vector<Value*> items;
};
struct Dict {
  std::vector<std::pair<Value*, Value*>> items;  ///< as set, in order: of equal keys the last one counts
};

/// A name that the whitelist allows.
struct Global {
  enum class Kind { ordered_dict, rebuild_tensor, rebuild_parameter, storage_type };
  Kind kind;
  StoredType type;  ///< of a storage_type
};

/// `count` elements from `first` on of the storage `key`, which has `numel` elements and lies outside the pickle.
struct StorageView {
  std::string key;
  StoredType type;
  int64_t numel, first, count;
};

/// Checked: every element lies within the storage, and there are at most as many as the storage has.
struct StridedTensor {
  StorageView storage;
  int64_t offset;  ///< in elements, from storage.first
  std::vector<int64_t> sizes, strides;
};

struct Value {
  std::variant<std::monostate, bool, int64_t, double, std::string, Tuple, List, Dict, Global, StorageView,
               StridedTensor>
      data;

  template <class T>
  const T* as() const {
    return std::get_if<T>(&data);
  }
};

class Unpickler {
 public:
  /// `file` is what messages call the source.
  explicit Unpickler(std::string file) : file_(std::move(file)) {}
  Unpickler(const Unpickler&) = delete;
  Unpickler& operator=(const Unpickler&) = delete;

  /// Reads one pickle of protocol 2 from the front of `bytes` and drops it there. The value, and all it refers to,
  /// lives as long as this object. Throws Error: another protocol, a global outside the whitelist (named), an
  /// instruction no state dict has, damaged or truncated bytes, or more than a million values.
  const Value& load(std::span<const char>& bytes);

  /// Every storage that was referred to so far, by its key.
  const std::map<std::string, StorageView>& storages() const { return storages_; }

 private:
  template <class... Args>
  [[noreturn]] void refuse(const Args&... args) const;
  template <class T>
  T number();
  std::string text(uint64_t length);
  std::string line();

  void spend(size_t values);
  Value* make(decltype(Value::data) data);
  void push(decltype(Value::data) data) { stack_.push_back(make(std::move(data))); }
  Value* top() const;
  Value* pop();
  std::vector<Value*> pop_to_mark();
  void set_items(const std::vector<Value*>& items);
  void append(const std::vector<Value*>& items);
  void remember(uint32_t index);
  void recall(uint32_t index);

  void find_global();
  void find_storage();
  void call();
  StridedTensor rebuild_tensor(const std::vector<Value*>& arguments) const;

  std::string file_;
  size_t spent_ = 0;  // a file of some size must not ask for memory of any size
  std::span<const char> rest_;
  std::deque<Value> values_;  // owns them all: a pickle may build cycles
  std::vector<Value*> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint32_t, Value*> memo_;
  std::map<std::string, StorageView> storages_;
};

}  // namespace boxcam::pickle
