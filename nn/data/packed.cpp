#include "nn/data/packed.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>
#include <type_traits>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/text.h"
#include "nn/data/identity.h"
#include "nn/data/json.h"

namespace boxcam {
namespace {

using nlohmann::json;

constexpr std::array<char, 8> magic{'B', 'O', 'X', 'C', 'A', 'M', 'P', 'K'};
constexpr uint32_t current_version = 1;
constexpr uint32_t longest_side = 1 << 24;  // of an image: keeps the sizes below free of overflow

struct Prefix {
  std::array<char, 8> magic;
  uint32_t version, index_checksum;
  uint64_t header_bytes, index_bytes, file_bytes;  // the index is the end of the file, the header its beginning
};

// They are written as they lie in memory.
static_assert(std::endian::native == std::endian::little);
static_assert(sizeof(Prefix) == 40 && std::has_unique_object_representations_v<Prefix>);
static_assert(sizeof(PackedEntry) == 40 && std::has_unique_object_representations_v<PackedEntry>);
static_assert(sizeof(Box) == 4 * sizeof(double));

// Of the bytes that `before` is the checksum of and these behind them.
uint32_t checksum_of(const void* bytes, size_t count, uint32_t before = 0) {
  if (count == 0) return before;  // for a null pointer zlib would begin anew
  return static_cast<uint32_t>(crc32_z(before, static_cast<const Bytef*>(bytes), count));
}

uint64_t pixel_bytes(const PackedEntry& e) { return uint64_t{3} * e.height * e.width; }
uint64_t record_bytes(const PackedEntry& e) {
  return pixel_bytes(e) + uint64_t{e.boxes} * sizeof(Box) + e.id_bytes + e.source_bytes;
}

/// The list under `key`, empty where there is none.
std::vector<int64_t> whole_numbers(const json& object, const char* key, const std::string& damaged) {
  std::vector<int64_t> numbers;
  if (object.contains(key))
    for (const json& number : object.at(key)) numbers.push_back(whole_number(number, damaged));
  return numbers;
}

/// Whether every image has one of the groups, or none of them has any.
bool groups_are_whole(const PackedSplit& split) {
  const auto count = static_cast<int64_t>(split.groups.size());
  return split.group_of.size() == static_cast<size_t>(count == 0 ? 0 : split.images) &&
         std::all_of(split.group_of.begin(), split.group_of.end(), [&](int64_t g) { return g >= 0 && g < count; });
}

/// Whether it has four numbers, and ends nowhere before it begins.
bool is_whole(const Box& b) {
  return b.x_min <= b.x_max && b.y_min <= b.y_max && std::isfinite(b.x_min) && std::isfinite(b.y_min) &&
         std::isfinite(b.x_max) && std::isfinite(b.y_max);
}
bool are_whole(const std::vector<Box>& boxes) { return std::all_of(boxes.begin(), boxes.end(), is_whole); }

class PackedDataset : public Dataset {
 public:
  PackedDataset(std::shared_ptr<const PackedFile> file, const std::string& split, std::vector<int64_t> numbers)
      : file_(std::move(file)), split_(split), numbers_(std::move(numbers)) {
    for (const int64_t number : numbers_) file_->label(split_, number);  // throws where there is none
  }

  int64_t size() const override { return static_cast<int64_t>(numbers_.size()); }
  Sample load(int64_t index) const override { return file_->load(split_, number(index)); }
  int64_t label(int64_t index) const override { return file_->label(split_, number(index)); }
  std::string group(int64_t index) const override { return file_->group(split_, number(index)); }
  const std::vector<std::string>& classes() const override { return file_->classes(); }

  std::string describe() const override { return str("packed in ", file_->path(), ", ", split_, ": ", content()); }
  std::string content() const override {
    const int64_t all = file_->split(split_).images;
    std::string text = Dataset::content();
    if (size() < all) text.insert(text.find(" images"), str(" of ", all));
    return text;
  }

  /// Of a sample its checksum counts, which is of all its bytes.
  std::string identity() const override {
    Identity identity;
    identity.add("packed");
    identity.add(classes());
    identity.add(file_->options().dump());
    for (const int64_t n : numbers_) {
      const PackedEntry& e = file_->entry(split_, n);
      for (const uint32_t part : {e.height, e.width, e.boxes, e.id_bytes, e.source_bytes, e.checksum})
        identity.add(int64_t{part});
      identity.add(e.label);
      if (!file_->split(split_).groups.empty()) identity.add(file_->group(split_, n));
    }
    return identity.digits();
  }

  std::vector<Note> notes() const override {
    const std::vector<int64_t>& lost = file_->split(split_).lost_boxes;
    const auto count = std::count_if(numbers_.begin(), numbers_.end(),
                                     [&](int64_t n) { return std::binary_search(lost.begin(), lost.end(), n); });
    if (count == 0) return {};
    return {{false, lost_boxes_note(count, size())}};
  }

 private:
  int64_t number(int64_t index) const {
    check(index >= 0 && index < size(), "image ", index, " of ", size(), " was asked for");
    return numbers_[static_cast<size_t>(index)];
  }

  std::shared_ptr<const PackedFile> file_;
  std::string split_;
  std::vector<int64_t> numbers_;
};

}  // namespace

PackedWriter::PackedWriter(const std::string& path, std::vector<std::string> classes, json options)
    : file_(path), classes_(std::move(classes)), options_(std::move(options)) {
  const Prefix to_come{};
  write(&to_come, sizeof to_come);
}

void PackedWriter::write(const void* bytes, size_t count) {
  file_.write(bytes, count);
  position_ += count;
}

void PackedWriter::start_split(const std::string& name, bool complete) {
  for (const PackedSplit& split : splits_) check(split.name != name, "the split ", name, " is packed twice");
  splits_.push_back({name, 0, complete});
  number_of_group_.clear();
}

/// The place of a group among those of the split so far, which begin with "".
int64_t PackedWriter::number_of(const std::string& group) {
  std::vector<std::string>& groups = splits_.back().groups;
  if (groups.empty()) number_of_group_[groups.emplace_back()] = 0;
  const auto [known, is_new] = number_of_group_.try_emplace(group, static_cast<int64_t>(groups.size()));
  if (is_new) groups.push_back(group);
  return known->second;
}

void PackedWriter::add(const Sample& sample) {
  check(!splits_.empty(), "start_split must come before add");
  const auto height = static_cast<uint32_t>(sample.image.height), width = static_cast<uint32_t>(sample.image.width);
  check(height > 0 && width > 0 && height <= longest_side && width <= longest_side, "cannot pack image ", sample.id,
        " of ", height, " x ", width, " pixels");
  check(sample.label >= 0 && sample.label < static_cast<int64_t>(classes_.size()), "cannot pack image ", sample.id,
        ": its label ", sample.label, " is none of the ", classes_.size(), " classes");
  check(are_whole(sample.boxes), "cannot pack image ", sample.id, ": expected boxes of finite numbers, min before max");
  PackedEntry e{position_,
                sample.label,
                height,
                width,
                static_cast<uint32_t>(sample.boxes.size()),
                static_cast<uint32_t>(sample.id.size()),
                static_cast<uint32_t>(sample.source.size()),
                0};
  const auto put = [&](const void* bytes, size_t count) {
    e.checksum = checksum_of(bytes, count, e.checksum);
    write(bytes, count);
  };
  put(sample.image.pixels.data(), sample.image.pixels.size());
  put(sample.boxes.data(), sample.boxes.size() * sizeof(Box));
  put(sample.id.data(), sample.id.size());
  put(sample.source.data(), sample.source.size());
  entries_.push_back(e);
  PackedSplit& split = splits_.back();
  if (sample.lost_boxes) split.lost_boxes.push_back(split.images);
  split.group_of.push_back(number_of(sample.group));
  ++split.images;
}

void PackedWriter::finish() {
  json splits = json::array();
  for (const PackedSplit& s : splits_) {
    splits.push_back({{"name", s.name}, {"images", s.images}, {"complete", s.complete}});
    if (!s.lost_boxes.empty()) splits.back()["lost_boxes"] = s.lost_boxes;
    if (s.groups.size() > 1) splits.back().update({{"groups", s.groups}, {"group_of", s.group_of}});
  }
  const std::string header = json{{"classes", classes_}, {"options", options_}, {"splits", splits}}.dump();
  const size_t table_bytes = entries_.size() * sizeof(PackedEntry);

  Prefix prefix{magic, current_version, 0, header.size(), header.size() + table_bytes, 0};
  prefix.index_checksum = checksum_of(entries_.data(), table_bytes, checksum_of(header.data(), header.size()));
  write(header.data(), header.size());
  write(entries_.data(), table_bytes);
  prefix.file_bytes = position_;
  file_.write_at(0, &prefix, sizeof prefix);
  file_.commit();
}

void PackedFile::read(uint64_t position, void* to, size_t count) const {
  const size_t got = file_.read_at(position, to, count);
  check(got == count, path_, " is truncated: it ends at byte ", position + got, " while it is read");
}

PackedFile::PackedFile(const std::string& path) : path_(path), file_(path, "packed data set") {
  const uint64_t size = file_.size();
  Prefix prefix{};
  check(size >= sizeof prefix, path, " is not a packed data set: it has only ", size, " bytes");
  read(0, &prefix, sizeof prefix);
  check(prefix.magic == magic, path, " is not a packed data set: it does not begin with ",
        std::string(magic.data(), magic.size()));
  check(prefix.version == current_version, path, " is a packed data set of version ", prefix.version,
        ", but this boxcam reads version ", current_version, ": make it again with prepare");
  check(size >= prefix.file_bytes, path, " is truncated: it should have ", prefix.file_bytes, " bytes, found ", size);
  check(size == prefix.file_bytes, path, " is damaged: it should have ", prefix.file_bytes, " bytes, found ", size);
  check(prefix.index_bytes <= size - sizeof prefix && prefix.header_bytes <= prefix.index_bytes, path,
        " is damaged: an index of ", prefix.index_bytes, " bytes does not fit into its ", size);
  std::vector<char> index_bytes(prefix.index_bytes);
  read(size - prefix.index_bytes, index_bytes.data(), index_bytes.size());
  const std::span<const char> index = index_bytes;
  check(checksum_of(index.data(), index.size()) == prefix.index_checksum, path,
        " is damaged: its index does not match its checksum");

  const auto most_images = static_cast<int64_t>((prefix.index_bytes - prefix.header_bytes) / sizeof(PackedEntry));
  const std::string damaged = path + " is damaged";
  int64_t images = 0;
  try {
    const json header = parse_json({index.data(), prefix.header_bytes}, "the header of " + path);
    classes_ = header.at("classes").get<std::vector<std::string>>();
    options_ = header.at("options");
    check(!classes_.empty() && (options_.is_object() || options_.is_null()), path,
          " is damaged: its header names no class or has no options");
    for (const json& s : header.at("splits")) {
      splits_.push_back({s.at("name").get<std::string>(), whole_number(s.at("images"), damaged),
                         s.at("complete").get<bool>(), whole_numbers(s, "lost_boxes", damaged),
                         s.value("groups", std::vector<std::string>()), whole_numbers(s, "group_of", damaged)});
      check(splits_.back().images >= 0 && splits_.back().images <= most_images, path, " is damaged: split ",
            splits_.back().name, " has ", splits_.back().images, " images, its index room for ", most_images);
      check(groups_are_whole(splits_.back()), path, " is damaged: the groups of split ", splits_.back().name,
            " are not those of its images");
      images += splits_.back().images;
      check(images <= most_images, path, " is damaged: its splits have more images than the ", most_images,
            " that its index has room for");
    }
  } catch (const json::exception& error) {
    fail(path, " is damaged: its header is not what a packed data set holds (", error.what(), ")");
  }

  const std::span<const char> table = index.subspan(prefix.header_bytes);
  check(table.size() == static_cast<uint64_t>(images) * sizeof(PackedEntry), path, " is damaged: ", images,
        " images have an index of ", table.size(), " bytes");
  entries_.resize(static_cast<size_t>(images));
  if (images > 0) std::memcpy(entries_.data(), table.data(), table.size());
  const uint64_t end = size - prefix.index_bytes;
  for (const PackedEntry& e : entries_)
    check(e.height >= 1 && e.width >= 1 && e.height <= longest_side && e.width <= longest_side && e.offset <= end &&
              record_bytes(e) <= end - e.offset && e.label >= 0 && e.label < static_cast<int64_t>(classes_.size()),
          path,
          " is damaged: its index names a sample outside the file, one without pixels, or a label that is none of its "
          "classes");
}

const PackedSplit& PackedFile::split(const std::string& name) const {
  const auto found = std::find_if(splits_.begin(), splits_.end(), [&](const auto& s) { return s.name == name; });
  if (found != splits_.end()) return *found;
  std::vector<std::string> names;
  for (const PackedSplit& s : splits_) names.push_back(s.name);
  fail("the packed data set ", path_, " has no split '", name, "', it has ", join(names), did_you_mean(name, names));
}

const PackedEntry& PackedFile::entry(const std::string& name, int64_t index) const {
  const PackedSplit& found = split(name);
  check(index >= 0 && index < found.images, path_, ": image ", index, " of ", found.images, " in split ", name,
        " was asked for");
  size_t first = 0;
  for (const PackedSplit* s = splits_.data(); s != &found; ++s) first += static_cast<size_t>(s->images);
  return entries_[first + static_cast<size_t>(index)];
}

const std::string& PackedFile::group(const std::string& name, int64_t index) const {
  entry(name, index);  // throws where there is none
  static const std::string none;
  const PackedSplit& found = split(name);
  return found.groups.empty() ? none : found.groups[static_cast<size_t>(found.group_of[static_cast<size_t>(index)])];
}

Sample PackedFile::load(const std::string& name, int64_t index) const {
  const PackedEntry& e = entry(name, index);
  uint64_t position = e.offset;
  uint32_t checksum = 0;
  Sample sample;
  const auto take = [&](auto& target, size_t count) {
    target.resize(count);
    const size_t bytes = count * sizeof target[0];
    read(position, target.data(), bytes);
    checksum = checksum_of(target.data(), bytes, checksum);
    position += bytes;
  };
  sample.image.height = static_cast<int>(e.height);
  sample.image.width = static_cast<int>(e.width);
  take(sample.image.pixels, pixel_bytes(e));
  take(sample.boxes, e.boxes);
  take(sample.id, e.id_bytes);
  take(sample.source, e.source_bytes);
  check(checksum == e.checksum, path_, " is damaged: image ", index, " of split ", name,
        " does not match its checksum");
  check(are_whole(sample.boxes), path_, " is damaged: image ", index, " of split ", name,
        " has a box that is not of finite numbers, min before max");
  sample.label = e.label;
  sample.group = group(name, index);
  const std::vector<int64_t>& lost = split(name).lost_boxes;
  sample.lost_boxes = std::binary_search(lost.begin(), lost.end(), index);
  return sample;
}

std::unique_ptr<Dataset> packed_dataset(std::shared_ptr<const PackedFile> file, const std::string& split,
                                        std::optional<std::vector<int64_t>> subset) {
  const int64_t all = file->split(split).images;
  if (!subset) {
    subset.emplace(static_cast<size_t>(all));
    std::iota(subset->begin(), subset->end(), int64_t{0});
  }
  return std::make_unique<PackedDataset>(std::move(file), split, std::move(*subset));
}

}  // namespace boxcam
