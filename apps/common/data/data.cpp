#include "apps/common/data/data.h"

#include <algorithm>
#include <map>
#include <ostream>

#include "apps/common/class_names.h"
#include "engine/base/text.h"
#include "engine/machine.h"

namespace boxcam {

namespace {

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// Of a list that may be long, what a line can hold.
std::string first_of(const std::vector<std::string>& sentences) {
  constexpr size_t most = 20;
  const size_t shown = std::min(most, sentences.size());
  const std::string text = join({sentences.begin(), sentences.begin() + static_cast<std::ptrdiff_t>(shown)}, "; ");
  return sentences.size() > most ? str(text, "; and ", sentences.size() - most, " more") : text;
}

/// The files of a split that cannot be read, of `all`.
struct Broken {
  std::string split;
  int64_t all;
  std::vector<std::string> sentences;
};

void check_missing(const std::vector<Broken>& broken, MissingImages missing) {
  std::vector<std::string> counts, sentences;
  for (const auto& [split, all, files] : broken) {
    const auto count = static_cast<int64_t>(files.size());
    if (missing == MissingImages::skip && count <= std::max<int64_t>(all / 100, 1)) continue;
    counts.push_back(str(count, " of ", all, " images of split '", split, "'"));
    sentences.insert(sentences.end(), files.begin(), files.end());
  }
  const bool skip = missing == MissingImages::skip;
  check(counts.empty(), skip ? "--missing-images skip leaves out at most 1 % of a split, but " : "", join(counts),
        " cannot be read: ", first_of(sentences), skip ? "" : " (--missing-images skip would leave them out)");
}

/// What stands for the test split: names for opening and for showing.
struct TestNames {
  std::vector<std::string> splits, shown;
  std::string note;
};

TestNames test_names(const DataOptions& o) {
  const std::vector<std::string> names = split_names(o);
  if (contains(names, "out-of-context"))
    return {{"test", "out-of-context"}, {"test (in context)", "test (out of context)"}, ""};
  if (contains(names, "test")) return {{"test"}, {"test"}, ""};
  return {
      {"validation"},
      {"validation"},
      str(data_place(o), " has no test split: the validation split is measured instead, which also chose the epoch")};
}

/// Those of `opened`, by name.
TestSplits test_splits(const TestNames& names, const std::vector<DataSplit>& opened) {
  TestSplits test{{}, names.note};
  for (size_t i = 0; i < names.splits.size(); ++i)
    for (const DataSplit& split : opened)
      if (split.name == names.splits[i]) test.splits.push_back({names.shown[i], split.data, split.skipped});
  return test;
}

/// What several labels need not be told. Images of "none" stay, unless they are to be left out.
void settle_several_labels(const OptionTable& table, DataOptions& o) {
  table.refuse(!data_have_boxes(o), "--task",
               str("multi-label takes labels from boxes, but there are none in --data ", o.data));
  table.refuse(table.typed("--several-classes"), "--several-classes",
               "decides nothing of --task multi-label, which takes all classes of an image");
  table.refuse(o.background_variants, "--background-variants",
               "tells how often the one label is right, so it does not go with --task multi-label");
  if (o.none_class == NoneClass::automatic) o.none_class = NoneClass::on;
}

}  // namespace

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
  const DataKind& kind = data_kind(o);
  table.refuse(table.typed("--missing-images") && !kind.image_files, "--missing-images",
               str("--data ", o.data, " has no image files that could be missing"));
  table.refuse(o.background_variants && kind.variants.empty(), "--background-variants",
               str("--data ", o.data, " does not say which pixels are an object's: expected scenes"));
  for (const char* option : kind.ignores)
    table.refuse(table.typed(option), option, str("decides nothing of --data ", kind.form));
  const bool several = o.task == Task::multi_label;
  table.refuse(several && !kind.several_labels, "--task",
               str("multi-label needs images with boxes of several classes, but those of --data ", kind.form,
                   " have one label"));
  if (kind.settle) kind.settle(table, o);
  if (several) settle_several_labels(table, o);
}

void refuse_several_labels(const OptionTable& table, const DataOptions& o, const std::string& reason) {
  table.refuse(o.task == Task::multi_label, "--task", reason);
}

nlohmann::json packing_options(const OptionTable& table, const DataOptions& o) {
  nlohmann::json json = {{"data", data_kind(o).name()},
                         {"stored", o.augment == Preprocess::Augment::crop_flip ? "decoded" : "resized"}};
  const nlohmann::json all = table.json();
  for (const std::string& option : sample_options()) json[option.substr(2)] = all.at(option.substr(2));
  if (o.scenes_level == SceneLevel::plain) json.erase("scenes-level");  // so that files stay what they were
  // Where nothing is drawn, any seed may pick a subset later.
  if (json["data"] != "scenes" && o.train_images == 0 && o.val_images == 0 && o.test_images == 0)
    json.erase("data-seed");
  return json;
}

std::vector<std::string> split_names(const DataOptions& o) { return data_kind(o).splits(o); }

std::vector<DataSplit> open_splits(DataOptions& o, const std::vector<std::string>& names) {
  const DataKind& kind = data_kind(o);
  std::map<std::string, std::unique_ptr<Dataset>> opened;
  if (o.none_class == NoneClass::automatic) {
    const bool from_train = contains(names, "train") || contains(split_names(o), "train");
    const std::string& decides = from_train ? "train" : names.front();
    opened[decides] = kind.open(o, decides);
    o.none_class = opened[decides]->classes().back() == "none" ? NoneClass::on : NoneClass::off;
  }
  for (const std::string& name : names)
    if (!opened[name]) opened[name] = kind.open(o, name);
  std::vector<DataSplit> splits;
  std::vector<Broken> broken;
  for (const std::string& name : names) {
    std::unique_ptr<Dataset> data = std::move(opened[name]);
    const int64_t all = data->size();
    std::vector<std::string> files = data->inspect(preprocess_of(o, name == "train"));
    if (!files.empty()) broken.push_back({name, all, files});
    splits.push_back({name, std::move(data), std::move(files)});
  }
  check_missing(broken, o.missing_images);
  return splits;
}

TestSplits open_test_splits(DataOptions& o) {
  const TestNames names = test_names(o);
  return test_splits(names, open_splits(o, names.splits));
}

RunSplits open_run_splits(DataOptions& o) {
  const TestNames test = test_names(o);
  std::vector<std::string> names = {"train", "validation"};
  for (const std::string& name : test.splits)
    if (!contains(names, name)) names.push_back(name);
  const std::vector<DataSplit> splits = open_splits(o, names);
  return {splits[0], splits[1], test_splits(test, splits)};
}

std::vector<DataSplit> RunSplits::all() const {
  std::vector<DataSplit> list = {train, validation};
  for (const DataSplit& split : test.splits)
    if (split.data != validation.data) list.push_back(split);
  return list;
}

void print_notes(std::ostream& out, const std::vector<DataSplit>& splits) {
  for (const DataSplit& split : splits) {
    for (const Note& note : split.data->notes())
      out << (note.warning ? "warning: " : "note: ") << split.name << ": " << note.text << "\n";
    if (!split.skipped.empty())
      out << "note: " << split.name << ": " << split.skipped.size() << " of "
          << split.data->size() + static_cast<int64_t>(split.skipped.size())
          << " images are left out: " << first_of(split.skipped) << "\n";
  }
}

nlohmann::json splits_json(const std::vector<DataSplit>& splits) {
  nlohmann::json json = {{"classes", splits.front().data->classes()}};
  for (const DataSplit& split : splits) {
    const Dataset& data = *split.data;
    nlohmann::json& entry = json[split.name];
    entry = {{"description", data.describe()}, {"content", data.content()}, {"identity", data.identity()}};
    if (!split.skipped.empty()) entry["skipped"] = split.skipped;
  }
  return json;
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
