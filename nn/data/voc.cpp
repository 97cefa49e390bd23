#include "nn/data/voc.h"

#include <algorithm>
#include <filesystem>
#include <pugixml.hpp>

#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/text.h"
#include "nn/data/csv.h"

namespace boxcam {

namespace fs = std::filesystem;

namespace {

fs::path list_of(const std::string& dir, const std::string& split) {
  const fs::path lists = fs::path(dir) / "ImageSets" / "Main";
  if (!fs::is_directory(lists)) {
    std::vector<std::string> inside;  // VOCdevkit, or what holds it
    std::error_code error;
    for (auto at = fs::recursive_directory_iterator(dir, error); !error && at != fs::recursive_directory_iterator();
         at.increment(error)) {
      if (at->path().filename() == "Annotations") inside.push_back(at->path().parent_path().string());
      if (at.depth() >= 2 || at->path().filename() == "Annotations") at.disable_recursion_pending();
    }
    fail("there is no folder ", lists.string(), " with lists of images",
         inside.empty() ? "" : "; did you mean " + join(inside, " or ") + "?");
  }
  return lists / ((split == "validation" ? "val" : split) + ".txt");
}

std::vector<std::string> read_list(const fs::path& path) {
  LineReader lines(path);
  std::vector<std::string> ids;
  std::set<std::string> seen;
  while (const auto line = lines.next()) {
    const std::string id(line->substr(0, line->find_first_of(" \t")));
    if (id.empty()) continue;
    check(!leads_out(id), lines.where(), ": an image lies outside of the data's folder: '", id, "'");
    check(seen.insert(id).second, lines.where(), ": image ", id, " is there for the second time");
    ids.push_back(id);
  }
  check(!ids.empty(), path.string(), " names no image");
  return ids;
}

/// The picture's name; where there is none, the one that should be there, and whoever reads it will say so.
std::string picture_of(const fs::path& pictures, const std::string& id) {
  std::error_code error;  // a name may be too long for the system
  for (const char* extension : {".jpg", ".jpeg", ".png"})
    if (fs::exists(pictures / (id + extension), error)) return id + extension;
  return id + ".jpg";
}

double number_of(const pugi::xml_node& parent, const char* name, const std::string& where) {
  const std::string_view text = parent.child_value(name);
  const auto first = text.find_first_not_of(" \t\r\n"), last = text.find_last_not_of(" \t\r\n");
  const auto value = first == text.npos ? std::nullopt : number_in(text.substr(first, last - first + 1));
  check(value.has_value(), where, ": ", name, " is '", text, "', expected a number");
  return *value;
}

/// Fills in an image from its XML file.
void read_annotation(const fs::path& path, AnnotationOptions::Difficult difficult, NameNumbers& names,
                     AnnotatedImage& image) {
  pugi::xml_document document;
  std::error_code error;
  check(fs::exists(path, error), "there is no file ", path.string(), ", but its image is listed");
  const std::string text = read_file(path.string());
  const pugi::xml_parse_result parsed = document.load_buffer(text.data(), text.size());
  check(bool(parsed), "cannot read ", path.string(), ": it is no whole XML file (", lower(parsed.description()),
        " at byte ", parsed.offset, ")");
  const pugi::xml_node annotation = document.child("annotation");
  check(bool(annotation), path.string(), " has no element 'annotation'");
  const pugi::xml_node size = annotation.child("size");
  const double width = number_of(size, "width", path.string()), height = number_of(size, "height", path.string());
  check(width >= 1 && height >= 1 && width < 1e6 && height < 1e6, path.string(), ": the picture's size is ", width,
        " x ", height, ", expected its pixels");
  image.width = static_cast<int>(width);
  image.height = static_cast<int>(height);
  image.source = annotation.child("source").child_value("database");
  image.listed = true;
  int number = 0;
  for (const pugi::xml_node& object : annotation.children("object")) {
    const std::string name = object.child_value("name"), where = str(path.string(), ", object ", ++number);
    check(!name.empty(), where, " has no name");
    const pugi::xml_node corners = object.child("bndbox");
    check(bool(corners), where, " (", name, ") has no bndbox");
    // Columns and rows are counted from 1, and the last belongs to the box.
    const Box pixels{number_of(corners, "xmin", where) - 1, number_of(corners, "ymin", where) - 1,
                     number_of(corners, "xmax", where), number_of(corners, "ymax", where)};
    const Box box = checked_shares(pixels, width, height, where);
    const bool hard = std::string_view(object.child_value("difficult")) == "1";
    const bool dropped = hard && difficult == AnnotationOptions::Difficult::drop;
    image.boxes.push_back({names.number_of(name), box, dropped || !has_area(box)});
  }
}

}  // namespace

std::unique_ptr<Dataset> voc(const std::string& dir, const std::string& split, const AnnotationOptions& options) {
  const fs::path root = dir, pictures = root / "JPEGImages";
  Annotations a{.what = "Pascal VOC in " + dir, .dir = dir, .images_folder = pictures.string(), .split = split};
  NameNumbers names;
  for (const std::string& id : read_list(list_of(dir, split))) {
    AnnotatedImage& image = a.images.emplace_back();
    image.file = picture_of(pictures, id);
    read_annotation(root / "Annotations" / (id + ".xml"), options.difficult, names, image);
  }
  choose_classes(a, names.list, options.classes, (root / "Annotations").string());
  return annotated_images(std::move(a), options);
}

bool has_voc_split(const std::string& dir, const std::string& split) { return fs::exists(list_of(dir, split)); }

}  // namespace boxcam
