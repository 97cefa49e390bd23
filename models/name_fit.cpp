#include "models/name_fit.h"

#include <algorithm>
#include <map>

#include "engine/base/check.h"
#include "engine/base/text.h"

namespace boxcam {
namespace {

constexpr size_t most_named = 8;

std::string_view first_word(std::string_view name) { return name.substr(0, name.find('.')); }

}  // namespace

std::string few(const std::vector<std::string>& names) {
  return few(names.size(), [&](size_t i) { return names[i]; });
}

std::string few(size_t count, const std::function<std::string(size_t)>& name) {
  std::vector<std::string> shown;
  while (shown.size() < std::min(count, most_named)) shown.push_back(name(shown.size()));
  const std::string text = join(shown);
  return count == shown.size() ? text : str(text, " and ", count - shown.size(), " more");
}

bool is_stored_counter(std::string_view name) { return name.ends_with("num_batches_tracked"); }

ModelNames::ModelNames(const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    (is_stored_counter(name) ? counters_ : wanted_).insert(name);
    parts_.emplace(first_word(name));
    longest_ = std::max(longest_, name.size());
  }
}

bool ModelNames::have_part_of(std::string_view name) const { return parts_.contains(first_word(name)); }

// What stands before the name of the model in which `name` ends: several where that ends in another one.
std::vector<std::string_view> ModelNames::prefixes_of(std::string_view name) const {
  std::vector<std::string_view> prefixes;
  for (size_t start = name.size() - std::min(name.size(), longest_); start < name.size(); ++start)
    if ((start == 0 || name[start - 1] == '.') && wanted_.contains(name.substr(start)))
      prefixes.push_back(name.substr(0, start));
  return prefixes;
}

// Those with the prefix stand together: a set may have as many prefixes as names.
size_t ModelNames::strays(const std::vector<std::string_view>& sorted, std::string_view prefix) const {
  size_t count = 0;
  for (auto at = std::lower_bound(sorted.begin(), sorted.end(), prefix); at != sorted.end() && at->starts_with(prefix);
       ++at) {
    const std::string_view name = at->substr(prefix.size());
    count += have_part_of(name) && !contain(name) && !is_stored_counter(name);
  }
  return count;
}

std::vector<NameFit> ModelNames::best_fits(const std::vector<std::vector<std::string_view>>& sets) const {
  std::vector<NameFit> best;
  for (size_t set = 0; set < sets.size(); ++set) {
    std::map<std::string_view, size_t> counts;
    for (const std::string_view name : sets[set])
      for (const std::string_view prefix : prefixes_of(name)) ++counts[prefix];
    for (const auto& [prefix, found] : counts) {
      if (!best.empty() && found < best.front().found) continue;
      if (!best.empty() && found > best.front().found) best.clear();
      best.push_back({set, prefix, found});
    }
  }
  if (best.size() < 2) return best;

  std::vector<size_t> others;
  std::vector<std::string_view> sorted;  // the names of the set at hand
  for (size_t i = 0; i < best.size(); ++i) {
    if (i == 0 || best[i].set != best[i - 1].set) {
      sorted = sets[best[i].set];
      std::sort(sorted.begin(), sorted.end());
    }
    others.push_back(strays(sorted, best[i].prefix));
  }
  const size_t fewest = *std::min_element(others.begin(), others.end());
  std::vector<NameFit> kept;
  for (size_t i = 0; i < best.size(); ++i) {  // in each set the shortest prefix, "", comes first
    const bool as_it_is = !kept.empty() && kept.back().set == best[i].set && kept.back().prefix.empty();
    if (others[i] == fewest && !as_it_is) kept.push_back(best[i]);
  }
  return kept;
}

}  // namespace boxcam
