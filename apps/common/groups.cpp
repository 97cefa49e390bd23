#include "apps/common/groups.h"

#include <algorithm>
#include <cmath>

namespace boxcam {

namespace {

/// NaN unless `training` has the groups of `each` and no others.
double weighted(const std::map<std::string, double>& each, const std::map<std::string, int64_t>& training) {
  const bool same = std::equal(each.begin(), each.end(), training.begin(), training.end(),
                               [](const auto& a, const auto& b) { return a.first == b.first; });
  double sum = 0, images = 0;
  for (const auto& [group, size] : training) {
    sum += same ? each.at(group) * static_cast<double>(size) : 0;
    images += static_cast<double>(size);
  }
  return same ? sum / images : std::nan("");
}

}  // namespace

GroupAccuracy group_accuracy(const Evaluation& e, const std::map<std::string, int64_t>& training) {
  GroupAccuracy groups{{}, "", std::nan(""), std::nan(""), std::nan("")};
  double sum = 0;
  for (const auto& [group, metrics] : e.by_group) {
    const double accuracy = groups.each[group] = metrics.accuracy();
    sum += accuracy;
    if (groups.worst_group.empty() || accuracy < groups.worst) groups.worst = accuracy, groups.worst_group = group;
  }
  if (groups.each.empty()) return groups;
  groups.mean = sum / static_cast<double>(groups.each.size());
  groups.training_weighted = weighted(groups.each, training);
  return groups;
}

std::map<std::string, int64_t> training_groups(const DataOptions& o) {
  const std::vector<std::string> names = split_names(o);
  if (std::find(names.begin(), names.end(), "train") == names.end()) return {};
  return group_sizes(*data_kind(o).open(o, "train"));
}

void add_groups_to_json(nlohmann::json& json, const std::string& prefix, const GroupAccuracy& groups) {
  if (groups.each.empty()) return;
  nlohmann::json& each = json[prefix + "group_accuracy"] = nlohmann::json::object();
  for (const auto& [group, accuracy] : groups.each) each[group] = number(accuracy);
  json[prefix + "worst_group"] = groups.worst_group;
  json[prefix + "worst_group_accuracy"] = number(groups.worst);
  json[prefix + "mean_group_accuracy"] = number(groups.mean);
  if (!std::isnan(groups.training_weighted))
    json[prefix + "training_weighted_accuracy"] = number(groups.training_weighted);
}

std::string groups_text(const Evaluation& e, const GroupAccuracy& groups) {
  std::string text;
  for (const auto& [group, m] : e.by_group)
    text += str("  group ", group, ": ", m.images(), " images, accuracy ", percent(m.accuracy()),
                ", Content-Heatmap (pooled) ", percent(m.content_heatmap(ContentHeatmap::pooled)), ", empty CAMs ",
                percent(m.empty_cams()), "\n");
  if (groups.each.empty()) return text;
  text += str("  worst group ", percent(groups.worst), " (", groups.worst_group, "), mean of groups ",
              percent(groups.mean));
  if (!std::isnan(groups.training_weighted))
    text += str(", weighted as in training ", percent(groups.training_weighted));
  return text + "\n";
}

std::string worst_group_text(const GroupAccuracy& groups) {
  return groups.each.empty() ? "" : str("   worst group ", percent(groups.worst), " (", groups.worst_group, ")");
}

}  // namespace boxcam
