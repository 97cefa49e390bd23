// --data packed:FILE
#include "nn/data/packed.h"

#include <numeric>

#include "apps/common/data/kinds.h"
#include "apps/common/json.h"

namespace boxcam {

namespace {

void check_as_packed(const PackedFile& file, const std::string& option, const nlohmann::json& packed,
                     const nlohmann::json& asked) {
  check(packed == asked, option, ": ", file.path(), " was packed with '", plain_text(packed), "', but '",
        plain_text(asked), "' was asked for; leave the option out, or make another file with prepare");
}

/// Which samples of a packed split are those that its source would have given for so many images.
std::vector<int64_t> subset_of(const PackedFile& file, const PackedSplit& split, int64_t count, uint64_t seed) {
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

std::vector<std::string> packed_splits(const DataOptions& o) {
  std::vector<std::string> names;
  const PackedFile file(data_place(o));
  for (const PackedSplit& split : file.splits()) names.push_back(split.name);
  return names;
}

std::unique_ptr<Dataset> open_packed(const DataOptions& o, const std::string& name) {
  const auto file = std::make_shared<PackedFile>(data_place(o));
  check_as_packed(*file, "--image-size", file->options().at("image-size"), std::to_string(o.image_size));
  const PackedSplit& split = file->split(name);
  const int64_t wanted = wanted_images(o, name);
  if (wanted == 0 || wanted == split.images) return packed_dataset(file, name);
  return packed_dataset(file, name, subset_of(*file, split, wanted, o.data_seed));
}

void settle_packed(OptionTable& table, DataOptions& o) {
  const PackedFile file(data_place(o));
  nlohmann::json made = file.options();  // files from before there were these options do not have them
  if (!made.contains("scenes-level")) made["scenes-level"] = "plain";
  made["none-class"] = file.classes().back() == "none" ? "on" : "off";
  const nlohmann::json here = table.json();
  for (const std::string& option : sample_options()) {
    const std::string name = option.substr(2);
    const auto packed = made.find(name);
    if (packed == made.end() || *packed == here.at(name)) continue;
    const bool open = option == "--none-class" && o.none_class == NoneClass::automatic;
    if (table.given(option) && !open) check_as_packed(file, option, *packed, here.at(name));
    table.assign(option, plain_text(*packed));
  }
  if (file.options().at("stored") == "decoded") return;
  check(o.augment != Preprocess::Augment::crop_flip, "--augment: crop-flip cuts from whole images, but ", file.path(),
        " holds them resized to ", o.image_size, " pixels; pack them with prepare --augment crop-flip");
  o.fitted = true;
}

}  // namespace

DataKind packed_kind() {
  return {.form = "packed:FILE",
          .what = "made by prepare",
          .cached = false,  // a packed file is its own cache: the system keeps of it what fits
          .ignores = {},
          .splits = packed_splits,
          .open = open_packed,
          .settle = settle_packed};
}

}  // namespace boxcam
