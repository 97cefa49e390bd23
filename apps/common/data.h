// The data sets that the options name.
#pragma once

#include <memory>

#include "apps/common/options.h"
#include "nn/data/loader.h"

namespace boxcam {

struct DataSplit {
  std::string name;  ///< "train", "validation", "test"; scenes: "test" is in context, "out of context" beside it
  std::unique_ptr<Dataset> data;
};

/// --data packed:FILE: gives what made the file to the options of `app` that were not given, and throws Error, naming
/// the option, where one that was given says something else, or where --augment needs more than the file holds. For
/// other data it does nothing. Call after parsing, before the functions below.
void settle_data_options(CLI::App& app, DataOptions& options);

/// The options among those of `app` that decide what a packed file holds, by name, with their values: what
/// settle_data_options compares. `stored` says whether its images are "resized" or "decoded" (whole, which crop-flip
/// needs).
nlohmann::json packing_options(const CLI::App& app, const DataOptions& options);

/// The splits that the data have: "train", "validation", "test"; scenes also "out-of-context".
std::vector<std::string> split_names(const DataOptions& options);
/// How many images of a split --train-images, --val-images or --test-images ask for; 0: all.
int64_t wanted_images(const DataOptions& options, const std::string& split);

/// The named split. For scenes "test" is the split in context. Throws Error where it does not exist.
std::unique_ptr<Dataset> open_split(const DataOptions& options, const std::string& split);
/// What stands for the test split: the splits to measure at the end, the first being *the* test split. Scenes: in and
/// out of context. Data without a test split: the validation split, and `note` says so.
std::vector<DataSplit> open_test_splits(const DataOptions& options, std::string& note);

/// A loader over a split; `training` shuffles and augments, and drops a last batch of a single image, which batch norm
/// could not normalise.
LoaderOptions loader_options(const DataOptions& options, const Dataset& data, bool training, uint64_t seed);

}  // namespace boxcam
