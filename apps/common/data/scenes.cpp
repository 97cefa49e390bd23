// --data scenes
#include "nn/data/scenes/scenes.h"

#include <optional>

#include "apps/common/data/kinds.h"
#include "engine/base/text.h"

namespace boxcam {

namespace {

const std::vector<std::pair<std::string, ScenesSplit>> kSplits = {{"train", ScenesSplit::train},
                                                                  {"validation", ScenesSplit::validation},
                                                                  {"test", ScenesSplit::test_in},
                                                                  {"out-of-context", ScenesSplit::test_out}};

const std::vector<SceneSet> kSets = {SceneSet::plane_ship_car, SceneSet::car_motorbike_person};

/// The set of these classes; empty where they are never drawn together.
std::optional<SceneSet> set_of(const std::vector<std::string>& classes) {
  for (const SceneSet set : kSets)
    if (classes_of(set) == classes) return set;
  return {};
}

/// Where a weight file names other classes: nothing else is drawn.
void settle_scenes(OptionTable& table, DataOptions& o) {
  if (!table.given("--classes") && !set_of(o.classes)) o.classes = classes_of(kSets.front());
  table.refuse(table.given("--none-class") && o.none_class == NoneClass::off, "--none-class",
               "scenes always draws images of none of the classes");
  o.none_class = NoneClass::on;
}

std::vector<std::string> scenes_splits(const DataOptions&) {
  std::vector<std::string> names;
  for (const auto& [name, kind] : kSplits) names.push_back(name);
  return names;
}

/// The names of the variants that the test split in context has.
std::vector<std::string> variants() {
  std::vector<std::string> names;
  for (const auto& [name, variant] : scene_variants()) names.push_back(name);
  return names;
}

std::unique_ptr<Dataset> open_scenes(const DataOptions& o, const std::string& split) {
  SceneOptions options;
  options.image_size = o.image_size;
  options.context_correlation = o.context_correlation;
  options.level = o.scenes_level;
  options.task = o.task;
  const std::optional<SceneSet> set = set_of(o.classes);
  check(set.has_value(), "--classes: scenes draws ", join(classes_of(kSets[0])), " or ", join(classes_of(kSets[1])),
        ", found ", join(o.classes));
  options.set = *set;
  check(o.sources.empty(), "--sources: scenes has no sources to choose from");
  const int64_t count = wanted_images(o, split);
  for (const auto& [name, kind] : kSplits)
    if (split == name)
      return std::make_unique<Scenes>(o.data_seed, count ? count : split == "train" ? 2000 : 500, kind, options);
  for (const auto& [name, variant] : scene_variants())
    if (split == name) {
      options.variant = variant;
      return std::make_unique<Scenes>(o.data_seed, count ? count : 500, ScenesSplit::test_in, options);
    }
  fail("scenes has no split '", split, "'", did_you_mean(split, scenes_splits(o)));
}

}  // namespace

DataKind scenes_kind() {
  return {.form = "scenes",
          .what = "procedural",
          .several_labels = true,
          .splits = scenes_splits,
          .variants = variants(),
          .open = open_scenes,
          .settle = settle_scenes};
}

}  // namespace boxcam
