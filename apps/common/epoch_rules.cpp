#include "apps/common/epoch_rules.h"

#include <algorithm>
#include <cmath>

namespace boxcam {

const std::vector<std::pair<std::string, std::vector<std::string>>>& epoch_rules() {
  static const std::vector<std::pair<std::string, std::vector<std::string>>> rules = {
      {"last", {"epoch"}},
      {"content-heatmap", {"val_content_heatmap"}},
      {"accuracy", {"val_accuracy", "val_mean_average_precision"}},
      {"worst-class", {"val_worst_class_accuracy", "val_worst_class_average_precision"}},
      {"worst-group", {"val_worst_group_accuracy"}}};
  return rules;
}

int64_t chosen_epoch(const std::vector<nlohmann::json>& epochs, const std::string& rule) {
  int64_t best = -1;
  double best_value = std::nan("");
  for (const auto& [name, keys] : epoch_rules()) {
    for (size_t i = 0; name == rule && i < epochs.size(); ++i) {
      const auto key = std::find_if(keys.begin(), keys.end(), [&](const auto& k) { return epochs[i].contains(k); });
      if (key == keys.end()) continue;
      const auto found = epochs[i].find(*key);
      const double value = found->is_number() ? found->get<double>() : std::nan("");
      if (best >= 0 && !(value > best_value) && !std::isnan(best_value)) continue;
      best = static_cast<int64_t>(i);
      best_value = value;
    }
  }
  return best;
}

}  // namespace boxcam
