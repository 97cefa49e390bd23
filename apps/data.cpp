#include "apps/data.h"

#include "engine/text.h"
#include "nn/data/scenes.h"

namespace boxcam {

namespace {

constexpr int64_t kCacheBytes = int64_t{1} << 30;

bool is_scenes(const DataOptions& o) { return o.data == "scenes"; }

std::string open_images_dir(const DataOptions& o) {
  const std::string prefix = "open-images:";
  check(o.data.starts_with(prefix), "--data: expected scenes or open-images:DIR, found '", o.data, "'");
  return o.data.substr(prefix.size());
}

int64_t wanted_images(const DataOptions& o, const std::string& split) {
  return split == "train" ? o.train_images : split == "validation" ? o.val_images : o.test_images;
}

std::unique_ptr<Dataset> scenes(const DataOptions& o, const std::string& split, int64_t count) {
  static const std::vector<std::string> names = {"train", "validation", "test", "out-of-context"};
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
  fail("scenes has no split '", split, "'", did_you_mean(split, names));
}

}  // namespace

std::unique_ptr<Dataset> open_split(const DataOptions& o, const std::string& split) {
  if (is_scenes(o)) return scenes(o, split, wanted_images(o, split));
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
  if (is_scenes(o)) {
    splits.push_back({"test (in context)", open_split(o, "test")});
    splits.push_back({"test (out of context)", open_split(o, "out-of-context")});
    return splits;
  }
  const std::string dir = open_images_dir(o);
  if (has_split(dir, "test")) {
    splits.push_back({"test", open_split(o, "test")});
  } else {
    note = str(dir, " has no test split: the validation split is measured instead, which also chose the epoch");
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
  options.drop_last = training && data.size() % o.batch == 1 && data.size() > 1;
  options.cache_bytes = training || data.size() <= 2000 ? kCacheBytes / (training ? 1 : 4) : 0;
  return options;
}

}  // namespace boxcam
