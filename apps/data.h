// The data sets that the options name.
#pragma once

#include <memory>

#include "apps/options.h"
#include "nn/data/loader.h"

namespace boxcam {

struct DataSplit {
  std::string name;  ///< "train", "validation", "test"; scenes: "test" is in context, "out of context" beside it
  std::unique_ptr<Dataset> data;
};

/// The named split. For scenes "test" is the split in context. Throws Error where it does not exist.
std::unique_ptr<Dataset> open_split(const DataOptions& options, const std::string& split);
/// What stands for the test split: the splits to measure at the end, the first being *the* test split. Scenes: in and
/// out of context. A folder without a test split: the validation split, and `note` says so.
std::vector<DataSplit> open_test_splits(const DataOptions& options, std::string& note);

/// A loader over a split; `training` shuffles and augments, and drops a last batch of a single image, which batch norm
/// could not normalise.
LoaderOptions loader_options(const DataOptions& options, const Dataset& data, bool training, uint64_t seed);

}  // namespace boxcam
