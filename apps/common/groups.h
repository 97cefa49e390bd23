// Accuracy group by group: what a worst group hides behind a mean.
#pragma once

#include <map>
#include <string>

#include "apps/common/data/data.h"
#include "apps/common/evaluation.h"

namespace boxcam {

struct GroupAccuracy {
  std::map<std::string, double> each;  ///< empty: the data know no groups
  std::string worst_group;             ///< the first of those of the lowest accuracy
  double worst, mean;                  ///< mean: of the groups, each alike
  /// Weighted by the groups' shares of the training split (Sagawa et al. 2020); NaN unless the same groups occur there.
  double training_weighted;
};

/// `training`: how many images each group has in the training split.
GroupAccuracy group_accuracy(const Evaluation& e, const std::map<std::string, int64_t>& training);

/// Of the training split, where the data have one; reads no image.
std::map<std::string, int64_t> training_groups(const DataOptions& options);

/// Keys of test.json, epochs.jsonl and evaluate with the given prefix; none where the data know no groups.
void add_groups_to_json(nlohmann::json& json, const std::string& prefix, const GroupAccuracy& groups);
/// Lines for the terminal: each group, then worst and mean; empty where the data know no groups.
std::string groups_text(const Evaluation& e, const GroupAccuracy& groups);
/// "   worst group 15.50 % (landbird on water)"; empty where the data know no groups.
std::string worst_group_text(const GroupAccuracy& groups);

}  // namespace boxcam
