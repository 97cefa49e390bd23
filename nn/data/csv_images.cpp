#include "nn/data/csv_images.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>
#include <set>
#include <tuple>

#include "engine/base/check.h"
#include "engine/base/sha256.h"
#include "engine/base/text.h"
#include "nn/data/csv.h"

namespace boxcam {

namespace fs = std::filesystem;

namespace {

const std::array<const char*, 4> kCorners = {"xmin", "ymin", "xmax", "ymax"};
const std::vector<std::string> kSplits = {"train", "validation", "test"};

/// Whether corners are in pixels; the table says it before its header.
bool in_pixels(const CsvTable& table, const std::string& file) {
  for (const std::string& remark : table.remarks())
    for (const auto& [words, pixels] : {std::pair{"boxes: pixels", true}, {"boxes: shares", false}})
      if (remark.substr(std::min(remark.find_first_not_of(' '), remark.size())) == words) return pixels;
  fail(file, " does not say what its boxes are in: expected '# boxes: pixels' or '# boxes: shares' before the header");
}

/// By its path alone: eight of ten are for training.
std::string drawn_split(const std::string& path) {
  Sha256 hash;
  hash.add(path);
  const int tenth = static_cast<int>(std::stoul(hash.digits().substr(0, 6), nullptr, 16) % 10);
  return kSplits[tenth < 8 ? 0 : static_cast<size_t>(tenth - 7)];
}

struct Row {
  std::string path, label, split, group, source;
  std::optional<Box> box;
};

class Rows {
 public:
  explicit Rows(const std::string& file) : table_(file) {
    path_ = table_.want("path");
    label_ = table_.want("label");
    has_boxes = table_.has(kCorners[0]);
    for (size_t i = 0; i < 4 && has_boxes; ++i) corners_[i] = table_.want(kCorners[i]);
    pixels = has_boxes && in_pixels(table_, file);
    for (const auto& [name, column] : {std::pair{"split", &split_}, {"group", &group_}, {"source", &source_}})
      if (table_.has(name)) *column = table_.want(name);
  }

  bool has_boxes, pixels;
  bool has_splits() const { return split_.has_value(); }
  bool has_sources() const { return source_.has_value(); }
  std::string where() const { return str(table_.where()); }

  std::optional<Row> next() {
    if (!table_.next()) return std::nullopt;
    Row row{std::string(table_.at(path_)), std::string(table_.at(label_)), "", text(group_), text(source_), {}};
    check(!row.path.empty(), table_.where(), ": path is empty", table_.cut_off());
    if (row.label == "none") row.label.clear();
    row.split = has_splits() ? split_of(text(split_)) : drawn_split(row.path);
    if (has_boxes) row.box = box();
    check(!row.box || !row.label.empty(), table_.where(), ": a box without a label", table_.cut_off());
    return row;
  }

 private:
  std::string text(const std::optional<size_t>& column) const {
    return column ? std::string(table_.at(*column)) : std::string();
  }

  std::string split_of(const std::string& text) const {
    const std::string name = text == "val" ? "validation" : text;
    check(std::find(kSplits.begin(), kSplits.end(), name) != kSplits.end(), table_.where(), ": split is '", text,
          "', expected train, validation or test", table_.cut_off());
    return name;
  }

  /// Nothing where all corners are empty.
  std::optional<Box> box() const {
    if (std::all_of(corners_.begin(), corners_.end(), [&](size_t c) { return table_.at(c).empty(); })) return {};
    std::array<double, 4> v{};
    for (size_t i = 0; i < 4; ++i) v[i] = table_.number(corners_[i], kCorners[i]);
    const Box box{v[0], v[1], v[2], v[3]};
    // How large the picture is, only its file says.
    const Box checked = pixels ? box : checked_shares(box, where());
    check(has_area(checked) && v[0] > -1e6 && v[1] > -1e6 && v[2] < 1e6 && v[3] < 1e6, table_.where(), ": the box ",
          v[0], " ", v[1], " ", v[2], " ", v[3], " has no area: expected xmin < xmax and ymin < ymax",
          table_.cut_off());
    return checked;
  }

  CsvTable table_;
  size_t path_, label_;
  std::array<size_t, 4> corners_{};
  std::optional<size_t> split_, group_, source_;
};

/// Number of the image, label, corners.
using SeenBoxes = std::set<std::tuple<size_t, int, double, double, double, double>>;

/// Adds what a row says to its image, of this number.
void add_row(const Row& row, const std::string& where, NameNumbers& names, SeenBoxes& boxes, size_t number,
             AnnotatedImage& image) {
  const bool first = !image.listed, whole = image.listed && image.boxes.empty();
  check(first || (row.box && !whole), where, ": ", row.path,
        " has another row already, but one without a box must be the only one");
  check(first || (row.group == image.group && row.source == image.source), where, ": group and source of ", row.path,
        " are not those of its other rows");
  image.listed = true;
  image.group = row.group;
  image.source = row.source;
  if (row.label.empty()) return;
  const int label = names.number_of(row.label);
  if (!row.box) {
    image.label = label;
    return;
  }
  const Box& box = *row.box;
  check(boxes.emplace(number, label, box.x_min, box.y_min, box.x_max, box.y_max).second, where, ": this box of ",
        row.path, " is there for the second time");
  image.boxes.push_back({label, *row.box});
}

}  // namespace

std::unique_ptr<Dataset> csv_images(const std::string& file, const std::string& split,
                                    const AnnotationOptions& options) {
  Rows rows(file);
  const fs::path folder = fs::path(file).parent_path();
  Annotations a{.what = "the images of " + file,
                .dir = file,
                .images_folder = folder.empty() ? "." : folder.string(),
                .split = split,
                .in_pixels = rows.pixels};
  if (!rows.has_sources()) a.no_sources = "it has no column source";
  NameNumbers names;
  SeenBoxes boxes;
  std::unordered_map<std::string, std::pair<size_t, std::string>> seen;  // place and split of each path
  while (const auto row = rows.next()) {
    const auto [known, added] = seen.try_emplace(row->path, a.images.size(), row->split);
    check(known->second.second == row->split, rows.where(), ": ", row->path, " is in split '", row->split,
          "' here and in '", known->second.second, "' before");
    if (row->split != split) {
      if (!row->label.empty()) names.number_of(row->label);
      continue;
    }
    if (added) a.images.emplace_back().file = row->path;
    const size_t number = known->second.first;
    add_row(*row, rows.where(), names, boxes, number, a.images[number]);
  }
  check(!a.images.empty(), file, " has no image of split '", split, "'");
  if (!rows.has_splits())
    a.notes.push_back({false, str(file, " has no column split: each image's was drawn by its path, 8 : 1 : 1")});
  choose_classes(a, names.list, options.classes, file);
  return annotated_images(std::move(a), options);
}

CsvContent csv_content(const std::string& file) {
  Rows rows(file);
  std::set<std::string> labels, splits;
  while (const auto row = rows.next()) {
    if (!row->label.empty()) labels.insert(row->label);
    splits.insert(row->split);
  }
  CsvContent content{{labels.begin(), labels.end()}, {}, rows.has_boxes};
  for (const std::string& split : kSplits)
    if (splits.contains(split)) content.splits.push_back(split);
  return content;
}

}  // namespace boxcam
