#include "apps/common/data/data.h"

#include <algorithm>

#include "apps/common/class_names.h"
#include "engine/base/text.h"
#include "engine/machine.h"

namespace boxcam {

void take_class_names(OptionTable& table, const DataOptions& o) {
  if (o.class_names.empty()) return;
  table.refuse(table.typed("--classes"), "--class-names", "names the classes that --classes names too");
  const std::vector<std::string> names = read_class_names(o.class_names);
  for (const std::string& name : names)
    check(name.find(',') == std::string::npos, "--class-names: ", o.class_names, " names a class '", name,
          "', but the name of a class in the data has no comma");
  table.give("--classes", join(names, ","));
}

void settle_data_options(OptionTable& table, DataOptions& o) {
  if (const DataKind& kind = data_kind(o); kind.settle) kind.settle(table, o);
}

nlohmann::json packing_options(const OptionTable& table, const DataOptions& o) {
  nlohmann::json json = {{"data", data_kind(o).name()},
                         {"stored", o.augment == Preprocess::Augment::crop_flip ? "decoded" : "resized"}};
  const nlohmann::json all = table.json();
  for (const std::string& option : sample_options()) json[option.substr(2)] = all.at(option.substr(2));
  // Where nothing is drawn, any seed may pick a subset later.
  if (json["data"] != "scenes" && o.train_images == 0 && o.val_images == 0 && o.test_images == 0)
    json.erase("data-seed");
  return json;
}

std::vector<std::string> split_names(const DataOptions& o) { return data_kind(o).splits(o); }

std::unique_ptr<Dataset> open_split(const DataOptions& o, const std::string& split) {
  return data_kind(o).open(o, split);
}

TestSplits open_test_splits(const DataOptions& o) {
  TestSplits test;
  const std::vector<std::string> names = split_names(o);
  const auto has = [&](const char* name) { return std::find(names.begin(), names.end(), name) != names.end(); };
  if (has("out-of-context")) {
    test.splits.push_back({"test (in context)", open_split(o, "test")});
    test.splits.push_back({"test (out of context)", open_split(o, "out-of-context")});
  } else if (has("test")) {
    test.splits.push_back({"test", open_split(o, "test")});
  } else {
    test.note =
        str(data_place(o), " has no test split: the validation split is measured instead, which also chose the epoch");
    test.splits.push_back({"validation", open_split(o, "validation")});
  }
  return test;
}

Preprocess preprocess_of(const DataOptions& o, bool training) {
  // Images that have the size already are left as they are.
  return {o.image_size, o.fitted ? Preprocess::Resize::squash : o.resize,
          training ? o.augment : Preprocess::Augment::none};
}

void settle_loader(DataOptions& o, Device device) {
  if (o.loader_threads == 0) o.loader_threads = device == Device::cpu ? 2 : std::max(usable_processors() - 1, 1);
  o.loader_cache = static_cast<int64_t>(usable_memory() / 4);
}

LoaderOptions loader_options(const DataOptions& o, const Dataset& data, bool training, uint64_t seed) {
  LoaderOptions options;
  options.batch = o.batch;
  options.preprocess = preprocess_of(o, training);
  options.shuffle = options.augment = training;
  options.seed = seed;
  options.name = training ? "the training loader" : "the evaluation loader";
  options.drop_last = training && data.size() % o.batch == 1 && data.size() > 1;
  const bool caching = data_kind(o).cached && (training || data.size() <= 2000);
  options.cache_bytes = caching ? o.loader_cache / (training ? 1 : 4) : 0;
  if (o.loader_threads > 0) options.threads = o.loader_threads;
  options.prefetch = std::max(options.prefetch, options.threads + 2);
  return options;
}

}  // namespace boxcam
