#include "nn/data/waterbirds.h"

#include <array>
#include <filesystem>
#include <sstream>

#include "engine/base/check.h"
#include "nn/data/csv.h"

namespace boxcam {

namespace fs = std::filesystem;

namespace {

const std::array<std::string, 3> kSplits = {"train", "validation", "test"};
const std::array<std::string, 2> kPlaces = {"land", "water"};

fs::path metadata_of(const std::string& dir) { return fs::path(dir) / "metadata.csv"; }
fs::path boxes_of(const std::string& dir) { return fs::path(dir) / "bounding_boxes.txt"; }

/// A column that holds 0, 1, ... up to `count` - 1.
size_t choice(const CsvTable& table, size_t column, const char* name, size_t count) {
  const std::string_view text = table.at(column);
  check(text.size() == 1 && text[0] >= '0' && text[0] < static_cast<char>('0' + count), table.where(), ": ", name,
        " is '", text, "', expected a number from 0 to ", count - 1, table.cut_off());
  return static_cast<size_t>(text[0] - '0');
}

/// "forest/broadleaf" of "/f/forest/broadleaf/00002775.jpg": Places' category, without the letter that it begins with.
std::string category(std::string_view place_file) {
  const fs::path folder = fs::path(place_file).relative_path().parent_path();
  const auto letter = folder.begin();
  return letter == folder.end() ? "" : folder.lexically_relative(*letter).generic_string();
}

/// The images of a split, with their labels; `by_id`: their places in the list, and of those of other splits -1.
std::vector<AnnotatedImage> read_metadata_file(const std::string& dir, const std::string& split,
                                               const std::unordered_map<std::string, int>& labels,
                                               std::unordered_map<std::string, std::ptrdiff_t>& by_id) {
  CsvTable table(metadata_of(dir));
  const size_t id = table.want("img_id"), file = table.want("img_filename"), y = table.want("y");
  const size_t part = table.want("split"), place = table.want("place"), background = table.want("place_filename");
  std::vector<AnnotatedImage> images;
  while (table.next()) {
    const std::string& name = waterbird_classes()[choice(table, y, "y", 2)];
    const std::string& ground = kPlaces[choice(table, place, "place", 2)];
    const bool wanted = kSplits[choice(table, part, "split", 3)] == split;
    const bool added = by_id.emplace(table.at(id), wanted ? static_cast<std::ptrdiff_t>(images.size()) : -1).second;
    check(added, table.where(), ": img_id ", table.at(id), " is there for the second time");
    if (!wanted) continue;
    check(!table.at(file).empty(), table.where(), ": img_filename is empty");
    AnnotatedImage& image = images.emplace_back();
    image.file = table.at(file);
    check(!leads_out(image.file), table.where(), ": img_filename lies outside of the data's folder: '", image.file,
          "'");
    image.source = category(table.at(background));
    image.group = name + " on " + ground;
    image.listed = true;
    const auto label = labels.find(name);
    image.label = label == labels.end() ? static_cast<int>(labels.size()) : label->second;
  }
  return images;
}

/// One line of bounding_boxes.txt: where it begins and ends, in pixels.
struct BoxLine {
  std::string id;
  Box box;
};

BoxLine read_box(const LineReader& lines, std::string_view line) {
  std::istringstream words{std::string(line)};
  BoxLine read;
  std::array<std::string, 4> numbers;
  std::string more;
  const bool whole = static_cast<bool>(words >> read.id >> numbers[0] >> numbers[1] >> numbers[2] >> numbers[3]);
  check(whole && !(words >> more), lines.where(), ": found '", line, "', expected img_id x y width height",
        lines.cut_off());
  std::array<double, 4> values{};
  for (size_t i = 0; i < 4; ++i) {
    const auto value = number_in(numbers[i]);
    check(value.has_value() && *value > -1e6 && *value < 1e6, lines.where(), ": found '", numbers[i],
          "', expected a number of pixels", lines.cut_off());
    values[i] = *value;
  }
  const auto [x, y, width, height] = values;
  check(width > 0 && height > 0, lines.where(), ": a box of ", width, " x ", height, " pixels has no area",
        lines.cut_off());
  read.box = {x, y, x + width, y + height};
  return read;
}

/// Every image of metadata.csv must have a box, so that a file that was cut off is noticed.
void read_boxes(const std::string& dir, const std::unordered_map<std::string, std::ptrdiff_t>& by_id,
                std::vector<AnnotatedImage>& images) {
  LineReader lines(boxes_of(dir));
  std::vector<bool> boxed(images.size());
  while (const auto line = lines.next()) {
    if (line->empty()) continue;
    const auto& [id, box] = read_box(lines, *line);
    const auto found = by_id.find(id);
    if (found == by_id.end() || found->second < 0) continue;  // of CUB's list, which may have more
    const auto number = static_cast<size_t>(found->second);
    check(!boxed[number], lines.where(), ": img_id ", id, " is there for the second time");
    boxed[number] = true;
    images[number].boxes.push_back({images[number].label, box});
  }
  for (size_t i = 0; i < images.size(); ++i)
    check(boxed[i], boxes_of(dir).string(), " has no box of ", images[i].file, ", which ", metadata_of(dir).string(),
          " names");
}

}  // namespace

const std::vector<std::string>& waterbird_classes() {
  static const std::vector<std::string> names = {"landbird", "waterbird"};
  return names;
}

std::unique_ptr<Dataset> waterbirds(const std::string& dir, const std::string& split,
                                    const AnnotationOptions& options) {
  const fs::path inner = fs::path(dir) / "images";
  Annotations a{.what = "Waterbirds in " + dir,
                .dir = dir,
                .images_folder = fs::is_directory(inner) ? inner.string() : dir,
                .split = split,
                .in_pixels = true};
  const std::vector<std::string>& names = waterbird_classes();
  const auto labels = find_classes(a, options.classes, {names.begin(), names.end()}, "Waterbirds");
  std::unordered_map<std::string, std::ptrdiff_t> by_id;
  a.images = read_metadata_file(dir, split, labels, by_id);
  check(!a.images.empty(), metadata_of(dir).string(), " has no image of split '", split, "'");
  if (waterbirds_have_boxes(dir)) read_boxes(dir, by_id, a.images);
  for (AnnotatedImage& image : a.images)
    if (image.label == static_cast<int>(labels.size())) image.boxes.clear();
  return annotated_images(std::move(a), options);
}

std::vector<std::string> waterbirds_splits(const std::string& dir) {
  CsvTable table(metadata_of(dir));
  const size_t part = table.want("split");
  std::array<bool, 3> there{};
  while (table.next()) there[choice(table, part, "split", 3)] = true;
  std::vector<std::string> splits;
  for (size_t i = 0; i < kSplits.size(); ++i)
    if (there[i]) splits.push_back(kSplits[i]);
  return splits;
}

bool waterbirds_have_boxes(const std::string& dir) { return fs::exists(boxes_of(dir)); }

}  // namespace boxcam
