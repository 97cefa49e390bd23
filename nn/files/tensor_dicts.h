// Where in a pickle the tensors lie that have names: in dicts, at any depth, and in pickled modules.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "nn/files/pickle.h"

namespace boxcam::pickle {

struct NamedValue {
  std::string_view name;
  const Value* value;
};

/// Every dict of what was saved that has a tensor under a name: the attributes of Objects and what is inside them
/// included. A pickled module counts as one dict, that of its state_dict().
class TensorDicts {
 public:
  struct Entries {
    std::vector<NamedValue> items;  ///< names are distinct
    size_t place;                   ///< for where() and python()
    std::string module;             ///< the name of its class, where it is a module
  };

  /// `saved` must outlive this. `spend` is told of the bytes that a module's names take, and may throw. Throws Error,
  /// which begins with `file`, where modules are nested more than 64 deep.
  TensorDicts(const Value& saved, std::string file, std::function<void(uint64_t)> spend);
  TensorDicts(const TensorDicts&) = delete;
  TensorDicts& operator=(const TensorDicts&) = delete;

  /// The nearest to the top first.
  const std::vector<Entries>& all() const { return all_; }
  /// "'checkpoint' > 'state_dict'", or "" for what was saved itself. Of a long way the end.
  std::string where(const Entries& dict) const;
  /// An expression of Python for it: "saved['state_dict']"; "" where there is none that could be run without a look at
  /// it: attributes are identifiers of ASCII, and the way is short.
  std::string python(const Entries& dict) const;

 private:
  enum class Step { key, index, attribute, inside };
  struct Place {
    const Value* value = nullptr;
    size_t parent = 0;
    Step step = Step::inside;
    const Value* name = nullptr;  // of a key or an attribute
    size_t index = 0;
  };
  void look_into(size_t place);
  void look_into(const Items& items, size_t place, Step step);
  void go_to(const Value* value, Place from);
  void add_dict(const Items& items, size_t place);
  void add_module(const Items& attributes, size_t place);
  void add(Entries dict);
  /// What a module's state_dict() is made of.
  struct Module {
    const Items *parameters = nullptr, *buffers = nullptr, *modules = nullptr;
    const Value* not_persistent = nullptr;  // names of buffers that are left out
  };
  /// Null where these are no module's attributes.
  const Module* module_of(const Items& attributes);
  const std::unordered_set<std::string_view>& names_in(const Value* set);
  void collect(const Module& module, const std::string& prefix, int depth, Entries& dict);
  void add_members(const Items& members, const std::string& prefix, const Value* left_out, Entries& dict);
  std::vector<const Place*> way_to(const Entries& dict) const;

  std::string file_;
  std::function<void(uint64_t)> spend_;
  std::vector<Place> places_;  // those met so far, each once: what was saved may hold itself
  std::unordered_set<const Value*> met_;
  std::unordered_map<const Items*, Module> modules_;  // of all attributes that were looked through
  std::unordered_map<const Value*, std::unordered_set<std::string_view>> sets_;
  std::vector<Entries> all_;
  std::deque<std::string> names_;  // of the modules' tensors
};

/// A string as Python writes it, in ASCII: 'it\'s'. What is no UTF-8 becomes what Python makes of it in file names.
std::string python_text(std::string_view text);

}  // namespace boxcam::pickle
