// The data sets that the options name, whatever kind they are of.
#pragma once

#include <iosfwd>
#include <memory>

#include "apps/common/data/kinds.h"
#include "engine/tensor.h"
#include "nn/data/loader.h"

namespace boxcam {

struct DataSplit {
  std::string name;  ///< "train", "validation", "test"; scenes: "test" is in context, "out of context" beside it
  std::shared_ptr<const Dataset> data;
  std::vector<std::string> skipped = {};  ///< a sentence on each image that --missing-images skip left out
};

/// Makes of --class-names what --classes would have been. Call after parsing, before anything reads the classes.
void take_class_names(OptionTable& table, const DataOptions& options);

/// Lets the kind of data settle options (packed:FILE gives what made the file to those that were not given) and throws
/// Error, naming the option, where one that was given says something else. Call after parsing, before the functions
/// below.
void settle_data_options(OptionTable& table, DataOptions& options);

/// For programs, and what they do, that know one label alone.
void refuse_several_labels(const OptionTable& table, const DataOptions& options, const std::string& reason);

/// The options that decide what a packed file holds, by name, with their values: what settle_data_options compares.
/// `stored` says whether its images are "resized" or "decoded" (whole, which crop-flip needs).
nlohmann::json packing_options(const OptionTable& table, const DataOptions& options);

std::vector<std::string> split_names(const DataOptions& options);

// All splits that a run will use are opened before anything is computed, in one call, which looks into every file of
// theirs: what is missing or broken in any of them is listed in one Error or, with --missing-images skip, left out (of
// each split at most 1 %, but always one). A subset is drawn before, so that a seed picks the same images. Where
// none_class is still open, the training split decides it, also where it is not among those asked for.

/// The named splits, each once. For scenes "test" is the split in context. Throws Error where one does not exist.
std::vector<DataSplit> open_splits(DataOptions& options, const std::vector<std::string>& names);

/// What stands for the test split: the splits to measure at the end, the first being *the* test split. Scenes: in and
/// out of context. Data without a test split: the validation split, and `note` says so.
struct TestSplits {
  std::vector<DataSplit> splits;
  std::string note;  ///< empty: nothing to say
};
TestSplits open_test_splits(DataOptions& options);

/// What training uses.
struct RunSplits {
  DataSplit train, validation;
  TestSplits test;
  std::vector<DataSplit> all() const;  ///< each once
};
RunSplits open_run_splits(DataOptions& options);

/// For the terminal: what splits say of themselves, and what was left out of them, a line each.
void print_notes(std::ostream& out, const std::vector<DataSplit>& splits);
/// For run.json, by split: what it is, where it was found, its identity and, where there are any, the images left out;
/// beside them "classes".
nlohmann::json splits_json(const std::vector<DataSplit>& splits);

/// How an image reaches the network's size.
Preprocess preprocess_of(const DataOptions& options, bool training);
/// Gives the loader threads, where --loader-threads is 0, and memory for decoded images. A GPU computes while all
/// processors but one decode; on the CPU, where decoding takes from computing, two do.
void settle_loader(DataOptions& options, Device device);

/// A loader over a split; `training` shuffles and augments, and drops a last batch of a single image, which batch norm
/// could not normalise.
LoaderOptions loader_options(const DataOptions& options, const Dataset& data, bool training, uint64_t seed);

}  // namespace boxcam
