// Which names of a file are a model's: by the names alone, whatever stands before all of them.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace boxcam {

/// A set of names in which some are a model's behind `prefix`.
struct NameFit {
  size_t set;
  std::string_view prefix;  ///< "", or words that each end in a dot: "module.model."; lies in one of the set's names
  size_t found;             ///< how many of the model's names there are; batch counters do not count
};

/// "conv1.weight, bn1.weight and 60 more": a message names eight and counts the rest.
std::string few(const std::vector<std::string>& names);
/// The same, of names that are made when they are needed.
std::string few(size_t count, const std::function<std::string(size_t)>& name);

/// Whether the name is that of a batch counter, by which a file has no more to tell it. Files from before torch 0.4
/// have none.
bool is_stored_counter(std::string_view name);

/// The names of a model's tensors, to be found in files.
class ModelNames {
 public:
  explicit ModelNames(const std::vector<std::string>& names);

  size_t size() const { return wanted_.size(); }  ///< without batch counters
  bool contain(std::string_view name) const { return wanted_.contains(name) || counters_.contains(name); }
  /// Whether a name lies in a part of the model, known by the first word: a tensor there that the model lacks belongs
  /// to another architecture, one elsewhere is no part of the model.
  bool have_part_of(std::string_view name) const;

  /// Where most of the names are, of all sets and prefixes; of those, where the fewest others lie in the model's parts;
  /// of those, in each set the one without prefix if it is among them. Several where the names alone do not tell, none
  /// where no name is found.
  std::vector<NameFit> best_fits(const std::vector<std::vector<std::string_view>>& sets) const;

 private:
  using Names = std::set<std::string, std::less<>>;
  std::vector<std::string_view> prefixes_of(std::string_view name) const;
  size_t strays(const std::vector<std::string_view>& sorted, std::string_view prefix) const;

  Names wanted_, counters_, parts_;
  size_t longest_ = 0;
};

}  // namespace boxcam
