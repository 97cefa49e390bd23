#include "nn/data/coco.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <istream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <streambuf>

#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/text.h"

namespace boxcam {

namespace fs = std::filesystem;

namespace {

struct Files {
  fs::path json, pictures;
};

/// Nothing where there are no annotations of the split.
std::optional<Files> files_of(const std::string& dir, const std::string& split) {
  const fs::path root = dir, folder = root / "annotations";
  check(fs::is_directory(folder), "there is no folder ", folder.string(), " with files instances_*.json");
  const std::string beginning = "instances_" + (split == "validation" ? "val" : split);
  std::vector<std::string> found;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(beginning) && name.ends_with(".json")) found.push_back(name);
  }
  std::sort(found.begin(), found.end());
  check(found.size() < 2, folder.string(), " has several files for split '", split, "': expected one of ",
        join(found, " and "));
  if (found.empty()) return std::nullopt;
  const std::string name = fs::path(found[0]).stem().string().substr(std::strlen("instances_"));
  for (const fs::path& pictures : {root / name, root / "images" / name, root / "images"})
    if (fs::is_directory(pictures)) return Files{folder / found[0], pictures};
  fail("there are no pictures for ", (folder / found[0]).string(), ": expected them in ", (root / name).string(),
       " or ", (root / "images" / name).string());
}

/// An element of `images`, `annotations` or `categories`: of each key that is read what was found.
struct Item {
  std::optional<double> id, image_id, category_id, width, height;
  std::optional<std::string> file_name, name;
  std::string source, group;
  double crowd = 0;
  std::vector<double> bbox;

  /// Where a number goes; null: nowhere.
  std::optional<double>* number(const std::string& key) {
    if (key == "id") return &id;
    if (key == "image_id") return &image_id;
    if (key == "category_id") return &category_id;
    if (key == "width") return &width;
    if (key == "height") return &height;
    return nullptr;
  }
};

struct Annotation {
  int64_t id, image, category;
  Box box;  ///< x, y, width, height
  bool crowd;
};

/// What nlohmann calls while it reads: keeps what is needed of an element once it is over.
class Reader : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit Reader(fs::path path) : path_(std::move(path)) {}

  struct Image {
    int64_t id;
    AnnotatedImage image;
  };
  std::vector<Image> images;
  std::vector<Annotation> annotations;
  std::map<int64_t, std::string> categories;

  bool null() override { return true; }
  bool boolean(bool value) override { return take(value ? 1.0 : 0.0); }
  bool number_integer(number_integer_t value) override { return take(static_cast<double>(value)); }
  bool number_unsigned(number_unsigned_t value) override { return take(static_cast<double>(value)); }
  bool number_float(number_float_t value, const string_t&) override { return take(value); }
  bool binary(binary_t&) override { return true; }

  bool string(string_t& value) override {
    if (depth_ != 3) return true;
    if (key_ == "file_name") item_.file_name = value;
    if (key_ == "name") item_.name = value;
    if (key_ == "source") item_.source = value;
    if (key_ == "group") item_.group = value;
    return true;
  }
  bool key(string_t& value) override {
    if (depth_ == 1) section_ = value, number_ = 0;
    if (depth_ == 3) key_ = value;
    return true;
  }
  bool start_object(std::size_t) override {
    if (++depth_ == 3) item_ = {}, key_.clear(), ++number_;
    return true;
  }
  bool end_object() override {
    if (depth_-- == 3) finish_item();
    return true;
  }
  bool start_array(std::size_t) override {
    ++depth_;
    return true;
  }
  bool end_array() override {
    --depth_;
    return true;
  }
  bool parse_error(std::size_t position, const std::string& token, const nlohmann::json::exception&) override {
    const bool end = position >= fs::file_size(path_);
    fail(path_.string(), " is no whole JSON file: at byte ", position, end ? " it ends (was it cut off?)" : " found '",
         end ? "" : token, end ? "" : "'");
  }

 private:
  bool take(double value) {
    if (depth_ == 4 && key_ == "bbox" && item_.bbox.size() < 5) item_.bbox.push_back(value);
    if (depth_ != 3) return true;
    if (key_ == "iscrowd") item_.crowd = value;
    if (std::optional<double>* place = item_.number(key_)) *place = value;
    return true;
  }

  /// "FILE, number 7 of annotations"; text is made only when it is needed.
  std::string where() const { return str(path_.string(), ", number ", number_, " of ", section_); }

  int64_t whole(const std::optional<double>& value, const char* name) const {
    if (!value) fail(where(), ": ", name, " is missing or no number");
    if (std::floor(*value) != *value || std::abs(*value) > 9e15) fail(where(), ": ", name, " is no whole number");
    return static_cast<int64_t>(*value);
  }

  void finish_item() {
    if (section_ == "images") finish_image();
    if (section_ == "annotations") finish_annotation();
    if (section_ != "categories") return;
    const int64_t id = whole(item_.id, "id");
    if (!item_.name) fail(where(), ": name is missing");
    if (!categories.emplace(id, *item_.name).second) fail(where(), ": id ", id, " is there for the second time");
  }

  void finish_image() {
    Image& read = images.emplace_back();
    read.id = whole(item_.id, "id");
    if (!item_.file_name || item_.file_name->empty()) fail(where(), ": file_name is missing");
    if (leads_out(*item_.file_name))
      fail(where(), ": file_name lies outside of the data's folder: '", *item_.file_name, "'");
    const int64_t width = whole(item_.width, "width"), height = whole(item_.height, "height");
    if (width < 1 || height < 1 || width > 1 << 24 || height > 1 << 24)
      fail(where(), ": the picture's size is ", width, " x ", height, ", expected its pixels");
    read.image.file = std::move(*item_.file_name);
    read.image.source = std::move(item_.source);
    read.image.group = std::move(item_.group);
    read.image.listed = true;
    read.image.width = static_cast<int>(width);
    read.image.height = static_cast<int>(height);
  }

  void finish_annotation() {
    const std::vector<double>& b = item_.bbox;
    if (b.size() != 4) fail(where(), ": bbox is missing, or not of four numbers");
    annotations.push_back({whole(item_.id, "id"), whole(item_.image_id, "image_id"),
                           whole(item_.category_id, "category_id"), Box{b[0], b[1], b[2], b[3]}, item_.crowd != 0});
  }

  fs::path path_;
  int depth_ = 0;
  std::string section_, key_;
  int64_t number_ = 0;  // of the element, from 1
  Item item_;
};

/// What nlohmann reads from: annotations are too large to be held as a whole.
class Blocks : public std::streambuf {
 public:
  explicit Blocks(const fs::path& path) : file_(path.string()) {}

 private:
  int_type underflow() override {
    const size_t count = file_.read(block_.data(), block_.size());
    setg(block_.data(), block_.data(), block_.data() + count);
    return count == 0 ? traits_type::eof() : traits_type::to_int_type(block_[0]);
  }

  InputFile file_;
  std::vector<char> block_ = std::vector<char>(size_t{1} << 16);
};

Reader read_json(const fs::path& path) {
  Blocks blocks(path);
  std::istream file(&blocks);
  Reader reader(path);
  nlohmann::json::sax_parse(file, &reader);
  check(!reader.images.empty(), path.string(), " names no images");
  check(!reader.categories.empty(), path.string(), " names no categories");
  return reader;
}

void check_unlike_ids(const fs::path& path, const std::vector<Annotation>& annotations) {
  std::vector<int64_t> ids;
  for (const Annotation& annotation : annotations) ids.push_back(annotation.id);
  std::sort(ids.begin(), ids.end());
  const auto twice = std::adjacent_find(ids.begin(), ids.end());
  check(twice == ids.end(), path.string(), ": two annotations have the id ", twice == ids.end() ? 0 : *twice);
}

std::unordered_map<int64_t, size_t> places_of(const fs::path& path, const std::vector<Reader::Image>& images) {
  std::unordered_map<int64_t, size_t> places;
  for (size_t i = 0; i < images.size(); ++i)
    check(places.emplace(images[i].id, i).second, path.string(), ": two images have the id ", images[i].id);
  return places;
}

}  // namespace

std::unique_ptr<Dataset> coco(const std::string& dir, const std::string& split, const AnnotationOptions& options) {
  const std::optional<Files> files = files_of(dir, split);
  check(files.has_value(), (fs::path(dir) / "annotations").string(), " has no file instances_*.json of split '", split,
        "'");
  Reader read = read_json(files->json);
  check_unlike_ids(files->json, read.annotations);
  const auto places = places_of(files->json, read.images);
  Annotations a{
      .what = "COCO in " + dir, .dir = dir, .images_folder = files->pictures.string(), .split = split, .images = {}};

  std::set<std::string> known;
  for (const auto& [id, name] : read.categories) known.insert(name);
  const auto labels = find_classes(a, options.classes, known, files->json.string());
  bool has_sources = false;
  for (Reader::Image& image : read.images) {
    has_sources |= !image.image.source.empty();
    a.images.push_back(std::move(image.image));
  }
  if (!has_sources) a.no_sources = "the images of " + files->json.string() + " have no key 'source'";

  const bool drop_crowds = options.group_of == AnnotationOptions::GroupOf::drop;
  for (const Annotation& n : read.annotations) {
    const auto place = places.find(n.image);
    const auto category = read.categories.find(n.category);
    const auto where = [&] { return str(files->json.string(), ", annotation ", n.id); };
    if (place == places.end()) fail(where(), " belongs to image ", n.image, ", which is not among the images");
    if (category == read.categories.end())
      fail(where(), " is of category ", n.category, ", which is not among the categories");
    a.shown.insert(category->second);
    const auto label = labels.find(category->second);
    if (label == labels.end()) continue;
    AnnotatedImage& image = a.images[place->second];
    const auto& [x, y, width, height] = n.box;
    const Box box = checked_shares(Box{x, y, x + width, y + height}, image.width, image.height, where());
    if (!has_area(box) || (drop_crowds && n.crowd))
      image.unusable = true;
    else
      image.boxes.push_back({label->second, box});
  }
  return annotated_images(std::move(a), options);
}

bool has_coco_split(const std::string& dir, const std::string& split) { return files_of(dir, split).has_value(); }

}  // namespace boxcam
