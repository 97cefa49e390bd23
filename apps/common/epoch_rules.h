// Rules that choose an epoch by what its line in epochs.jsonl says.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "apps/common/json.h"

namespace boxcam {

/// Words of --best-by with the keys that they go by, of which a line has one at most: the epoch with the largest value,
/// of several the first.
const std::vector<std::pair<std::string, std::vector<std::string>>>& epoch_rules();

/// The place in `epochs`, lines of epochs.jsonl, of the one that a rule chooses, as train chooses it; -1 where no line
/// has the rule's key.
int64_t chosen_epoch(const std::vector<nlohmann::json>& epochs, const std::string& rule);

}  // namespace boxcam
