#include "apps/common/data.h"

#include <algorithm>
#include <numeric>

#include "engine/base/text.h"
#include "nn/data/packed.h"
#include "nn/data/scenes/scenes.h"

namespace boxcam {

namespace {

constexpr int64_t kCacheBytes = int64_t{1} << 30;

const std::string kOpenImages = "open-images:", kPacked = "packed:";
const std::vector<std::string> kSceneSplits = {"train", "validation", "test", "out-of-context"};

/// Options that decide what a sample is.
constexpr const char* kPackingOptions[] = {"classes",         "data-seed", "image-size",
                                           "resize",          "group-of",  "several-classes",
                                           "expand-children", "sources",   "context-correlation"};

bool is_scenes(const DataOptions& o) { return o.data == "scenes"; }
bool is_packed(const DataOptions& o) { return o.data.starts_with(kPacked); }

std::string packed_path(const DataOptions& o) {
  check(o.data.size() > kPacked.size(), "--data: packed: needs a file, as in packed:FILE");
  return o.data.substr(kPacked.size());
}

std::string open_images_dir(const DataOptions& o) {
  check(o.data.starts_with(kOpenImages), "--data: expected scenes, open-images:DIR or packed:FILE, found '", o.data,
        "'");
  return o.data.substr(kOpenImages.size());
}

std::string plain(const nlohmann::json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

void check_as_packed(const PackedFile& file, const std::string& name, const nlohmann::json& packed,
                     const nlohmann::json& asked) {
  check(packed == asked, "--", name, ": ", file.path(), " was packed with '", plain(packed), "', but '", plain(asked),
        "' was asked for; leave the option out, or make another file with prepare");
}

std::unique_ptr<Dataset> scenes(const DataOptions& o, const std::string& split, int64_t count) {
  SceneOptions options;
  options.image_size = o.image_size;
  options.context_correlation = o.context_correlation;
  check(o.classes == std::vector<std::string>{"plane", "ship", "car"},
        "--classes: scenes draws plane, ship and car, found ", join(o.classes, ","));
  check(o.sources.empty(), "--sources: scenes has no sources to choose from");
  for (const auto& [name, kind] :
       {std::pair{"train", ScenesSplit::train}, std::pair{"validation", ScenesSplit::validation},
        std::pair{"test", ScenesSplit::test_in}, std::pair{"out-of-context", ScenesSplit::test_out}})
    if (split == name)
      return std::make_unique<Scenes>(o.data_seed, count ? count : split == "train" ? 2000 : 500, kind, options);
  fail("scenes has no split '", split, "'", did_you_mean(split, kSceneSplits));
}

/// Which samples of a packed split are those that its source would have given for so many images.
std::vector<int64_t> packed_subset(const PackedFile& file, const PackedSplit& split, int64_t count, uint64_t seed) {
  const std::string option = split.name == "train"        ? "--train-images: "
                             : split.name == "validation" ? "--val-images: "
                                                          : "--test-images: ";
  check(count < split.images, option, count, " images of split '", split.name, "' were asked for, but ", file.path(),
        " has ", split.images);
  if (file.options().at("data") != "scenes") {
    check(split.complete, option, count, " images of split '", split.name, "' were asked for, but ", file.path(),
          " was packed with a subset of ", split.images, " already, and subsets are drawn from all images");
    return drawn_subset(split.images, count, seed);
  }
  std::vector<int64_t> numbers(static_cast<size_t>(count));
  std::iota(numbers.begin(), numbers.end(), int64_t{0});
  return numbers;
}

std::unique_ptr<Dataset> packed(const DataOptions& o, const std::string& name) {
  const auto file = std::make_shared<PackedFile>(packed_path(o));
  check_as_packed(*file, "image-size", file->options().at("image-size"), std::to_string(o.image_size));
  const PackedSplit& split = file->split(name);
  const int64_t wanted = wanted_images(o, name);
  if (wanted == 0 || wanted == split.images) return packed_dataset(file, name);
  return packed_dataset(file, name, packed_subset(*file, split, wanted, o.data_seed));
}

}  // namespace

nlohmann::json packing_options(const CLI::App& app, const DataOptions& o) {
  const nlohmann::json all = options_as_json(app);
  nlohmann::json json = {{"data", o.data.substr(0, o.data.find(':'))},
                         {"stored", o.augment == Preprocess::Augment::crop_flip ? "decoded" : "resized"}};
  for (const char* name : kPackingOptions) json[name] = all.at(name);
  // Where nothing is drawn, any seed may pick a subset later.
  if (!is_scenes(o) && o.train_images == 0 && o.val_images == 0 && o.test_images == 0) json.erase("data-seed");
  return json;
}

void settle_data_options(CLI::App& app, DataOptions& o) {
  if (!is_packed(o)) return;
  const PackedFile file(packed_path(o));
  const nlohmann::json here = options_as_json(app);
  for (const char* name : kPackingOptions) {
    const auto packed = file.options().find(name);
    if (packed == file.options().end() || *packed == here.at(name)) continue;
    CLI::Option* option = app.get_option(str("--", name));
    if (option->count() > 0) check_as_packed(file, name, *packed, here.at(name));
    option->add_result(plain(*packed));
    option->run_callback();
  }
  if (file.options().at("stored") == "decoded") return;
  check(o.augment != Preprocess::Augment::crop_flip, "--augment: crop-flip cuts from whole images, but ", file.path(),
        " holds them resized to ", o.image_size, " pixels; pack them with prepare --augment crop-flip");
  o.resize = Preprocess::Resize::squash;  // to the size they have: nothing is left to do
}

std::vector<std::string> split_names(const DataOptions& o) {
  std::vector<std::string> names;
  if (is_scenes(o)) return kSceneSplits;
  if (is_packed(o)) {
    const PackedFile file(packed_path(o));
    for (const PackedSplit& split : file.splits()) names.push_back(split.name);
    return names;
  }
  for (const char* name : {"train", "validation", "test"})
    if (has_split(open_images_dir(o), name)) names.push_back(name);
  return names;
}

int64_t wanted_images(const DataOptions& o, const std::string& split) {
  return split == "train" ? o.train_images : split == "validation" ? o.val_images : o.test_images;
}

std::unique_ptr<Dataset> open_split(const DataOptions& o, const std::string& split) {
  if (is_scenes(o)) return scenes(o, split, wanted_images(o, split));
  if (is_packed(o)) return packed(o, split);
  OpenImagesOptions options;
  options.classes = o.classes;
  options.group_of = o.group_of;
  options.several_classes = o.several_classes;
  options.expand_children = o.expand_children;
  options.max_images = wanted_images(o, split);
  options.seed = o.data_seed;
  options.sources = o.sources;
  return open_images(open_images_dir(o), split, options);
}

std::vector<DataSplit> open_test_splits(const DataOptions& o, std::string& note) {
  std::vector<DataSplit> splits;
  const std::vector<std::string> names = split_names(o);
  const auto has = [&](const char* name) { return std::find(names.begin(), names.end(), name) != names.end(); };
  if (has("out-of-context")) {
    splits.push_back({"test (in context)", open_split(o, "test")});
    splits.push_back({"test (out of context)", open_split(o, "out-of-context")});
  } else if (has("test")) {
    splits.push_back({"test", open_split(o, "test")});
  } else {
    note = str(o.data.substr(o.data.find(':') + 1),
               " has no test split: the validation split is measured instead, which also chose the epoch");
    splits.push_back({"validation", open_split(o, "validation")});
  }
  return splits;
}

LoaderOptions loader_options(const DataOptions& o, const Dataset& data, bool training, uint64_t seed) {
  LoaderOptions options;
  options.batch = o.batch;
  options.preprocess = {o.image_size, o.resize, training ? o.augment : Preprocess::Augment::none};
  options.shuffle = options.augment = training;
  options.seed = seed;
  options.name = training ? "the training loader" : "the evaluation loader";
  options.drop_last = training && data.size() % o.batch == 1 && data.size() > 1;
  // A packed file is its own cache: the system keeps of it what fits.
  const bool caching = !is_packed(o) && (training || data.size() <= 2000);
  options.cache_bytes = caching ? kCacheBytes / (training ? 1 : 4) : 0;
  return options;
}

}  // namespace boxcam
