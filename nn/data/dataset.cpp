#include "nn/data/dataset.h"

#include <algorithm>
#include <numeric>

#include "engine/base/check.h"
#include "engine/base/random.h"
#include "engine/base/text.h"

namespace boxcam {

std::string Dataset::content() const {
  std::vector<int64_t> counts(classes().size());
  for (int64_t i = 0; i < size(); ++i)
    for (const int32_t label : shown(i)) ++counts[static_cast<size_t>(label)];
  std::vector<std::string> parts;
  for (size_t i = 0; i < counts.size(); ++i) parts.push_back(str(classes()[i], " ", counts[i]));
  return str(size(), " images (", join(parts), ")");
}

std::vector<int32_t> Dataset::shown(int64_t index) const { return {static_cast<int32_t>(label(index))}; }

std::string Dataset::group(int64_t) const { return ""; }

std::vector<std::string> Dataset::inspect(const Preprocess&) { return {}; }

std::vector<int32_t> distinct(std::vector<int32_t> classes) {
  std::sort(classes.begin(), classes.end());
  classes.erase(std::unique(classes.begin(), classes.end()), classes.end());
  return classes;
}

std::map<std::string, int64_t> group_sizes(const Dataset& data) {
  std::map<std::string, int64_t> sizes;
  for (int64_t i = 0; i < data.size(); ++i)
    if (const std::string group = data.group(i); !group.empty()) ++sizes[group];
  return sizes;
}

std::string lost_boxes_note(int64_t count, int64_t all) {
  return str(count, " of ", all,
             " images lose every box in the central crop: they count neither in the penalty nor in what is measured of "
             "the CAM");
}

std::vector<int64_t> drawn_subset(int64_t all, int64_t count, uint64_t seed) {
  std::vector<int64_t> chosen(static_cast<size_t>(all));
  std::iota(chosen.begin(), chosen.end(), int64_t{0});
  Random random(seed, stream_of("open-images subset"));
  shuffle(chosen, random);
  chosen.resize(static_cast<size_t>(count));
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

}  // namespace boxcam
