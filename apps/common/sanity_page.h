// evaluate --sanity: how much of each explainer's maps is left when the network's parameters are drawn anew.
#pragma once

#include "apps/common/data/data.h"
#include "apps/common/json.h"
#include "apps/common/options/table.h"
#include "xai/sanity.h"

namespace boxcam {

void declare_sanity(OptionTable& table, bool& on);

/// Checks the images of a split, prints a table of each randomisation and similarity, and returns the numbers. Stopped
/// between batches it shows the images that were done. `fresh`: another model of the same kind. Without `explainers`
/// the one of `explain`.
nlohmann::json check_sanity(Classifier& model, const Classifier& fresh, const DataSplit& split, const DataOptions& data,
                            const ExplainOptions& explain, const std::vector<const Explainer*>& explainers);

}  // namespace boxcam
