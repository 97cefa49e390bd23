#include "nn/data/open_images.h"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/text.h"
#include "nn/data/csv.h"
#include "nn/data/json.h"
#include "nn/data/labelled_images.h"
#include "nn/data/open_images_tables.h"

namespace boxcam {
namespace {

namespace fs = std::filesystem;

// ---- Where things are ----

struct Layout {
  const char* name;
  fs::path images, boxes, classes, hierarchy, sources;
};

fs::path first_existing(const fs::path& folder, std::initializer_list<const char*> names) {
  for (const char* name : names)
    if (fs::exists(folder / name)) return folder / name;
  return folder / *names.begin();
}

Layout find_layout(const fs::path& dir, const std::string& split) {
  check(split == "train" || split == "validation" || split == "test", "unknown split '", split,
        "': expected train, validation or test");
  check(fs::is_directory(dir), "the data folder ", dir.string(), " does not exist");
  const fs::path folder = dir / split;
  check(fs::is_directory(folder), "the data folder ", dir.string(), " has no split '", split, "': expected images in ",
        (folder / "<ImageID>.jpg").string(), " (OpenImages) or ", (folder / "data" / "<ImageID>.jpg").string(),
        " (FiftyOne)");
  if (fs::is_directory(folder / "data"))
    return {"FiftyOne",
            folder / "data",
            folder / "labels" / "detections.csv",
            folder / "metadata" / "classes.csv",
            folder / "metadata" / "hierarchy.json",
            {}};
  const std::string boxes = split + "-annotations-bbox.csv";
  return {"official CSV",
          folder,
          split == "train" ? first_existing(dir, {"oidv6-train-annotations-bbox.csv", boxes.c_str()}) : dir / boxes,
          first_existing(dir, {"class-descriptions-boxable.csv", "oidv7-class-descriptions-boxable.csv"}),
          dir / "bbox_labels_600_hierarchy.json",
          dir / (split + "-images.csv")};
}

// ---- Classes ----

constexpr std::pair<const char*, const char*> built_in_children[] = {                // subclass, class
    {"/m/0h2r6", "/m/0k4j"},  {"/m/01lcw4", "/m/0k4j"},  {"/m/0pg52", "/m/0k4j"},    // Van, Limousine, Taxi: Car
    {"/m/01btn", "/m/019jd"}, {"/m/02068x", "/m/019jd"}, {"/m/0ph39", "/m/019jd"}};  // Barge, Gondola, Canoe: Boat

struct ClassList {
  std::vector<std::string> outputs;          // but "none"
  std::vector<std::string> mids;             // of the outputs
  std::map<std::string, std::string> names;  // MID -> display name, all that the data set knows
};

ClassList read_classes(const fs::path& file, const std::vector<std::string>& wanted) {
  ClassList list;
  std::vector<std::string> known;
  LineReader lines(file);
  while (const auto line = lines.next()) {
    if (line->empty()) continue;
    const std::vector<std::string> row = csv_fields(*line);
    check(row.size() == 2, lines.where(), " has ", row.size(), " columns, expected a MID and a name", lines.cut_off());
    list.names[row[0]] = row[1];
    known.push_back(row[1]);
  }

  check(!wanted.empty(), "no classes were asked for");
  for (const std::string& word : wanted) {
    const auto found = std::find_if(list.names.begin(), list.names.end(), [&](const auto& entry) {
      return entry.first == word || lower(entry.second) == lower(word) || is_alias(word, entry.second);
    });
    if (found == list.names.end()) {
      for (const std::string& alias : alias_words()) known.push_back(alias);
      fail("class '", word, "' is not in the data (", file.string(), " lists ", list.names.size(),
           " classes); the nearest are ", join(nearest(word, known)));
    }
    const auto twice = std::find(list.mids.begin(), list.mids.end(), found->first);
    if (twice != list.mids.end())
      fail("classes '", list.outputs[static_cast<size_t>(twice - list.mids.begin())], "' and '", word,
           "' are the same: ", found->second);
    list.mids.push_back(found->first);
    list.outputs.push_back(word == found->first ? found->second : word);
  }
  return list;
}

/// What a hierarchy names: MIDs, or (FiftyOne's) display names. MIDs of both; a name that the class list does not have
/// stays.
class MidOf {
 public:
  explicit MidOf(const ClassList& classes) : names_(classes.names) {
    for (const auto& [mid, name] : names_) mids_.emplace(lower(name), mid);
  }
  std::string operator()(const std::string& name) const {
    const auto found = names_.contains(name) ? mids_.end() : mids_.find(lower(name));
    return found == mids_.end() ? name : found->second;
  }

 private:
  const std::map<std::string, std::string>& names_;
  std::map<std::string, std::string> mids_;
};

/// MID -> output number, for the classes and, where asked for, their subclasses.
std::unordered_map<std::string, int> labels_by_mid(const fs::path& hierarchy, const ClassList& classes, bool expand,
                                                   std::vector<Note>& notes) {
  std::unordered_map<std::string, int> labels;
  for (const std::string& mid : classes.mids) labels.emplace(mid, static_cast<int>(labels.size()));
  if (!expand) return labels;
  const std::unordered_map<std::string, int> own = labels;

  if (hierarchy.empty() || !fs::exists(hierarchy)) {
    for (const auto& [child, parent] : built_in_children)
      if (const auto found = own.find(parent); found != own.end()) labels.emplace(child, found->second);
    return labels;
  }
  std::set<int> known;  // to the hierarchy
  try {
    const MidOf mid_of(classes);
    // The nearest wanted class above a node is inherited; emplace leaves wanted classes as they are.
    const std::function<void(const nlohmann::json&, int)> visit = [&](const nlohmann::json& node, int inherited) {
      const std::string mid = mid_of(node.at("LabelName"));
      if (const auto found = own.find(mid); found != own.end()) known.insert(inherited = found->second);
      if (inherited >= 0) labels.emplace(mid, inherited);
      if (node.contains("Subcategory"))
        for (const nlohmann::json& child : node.at("Subcategory")) visit(child, inherited);
    };
    const std::string path = hierarchy.string();
    visit(parse_json(read_file(path, "the class hierarchy"), "the class hierarchy " + path), -1);
  } catch (const nlohmann::json::exception& error) {
    fail("cannot read the class hierarchy ", hierarchy.string(), ": ", error.what());
  }
  check(!known.empty(), "the class hierarchy ", hierarchy.string(), " names none of the classes ",
        join(classes.outputs), ", so it adds no subclasses: expected their MIDs or display names");
  for (size_t label = 0; label < classes.outputs.size(); ++label)
    if (!known.contains(static_cast<int>(label)))
      notes.push_back({true, str("the class hierarchy ", hierarchy.string(), " does not name class '",
                                 classes.outputs[label], "': it gets no subclasses")});
  return labels;
}

// ---- Images and their boxes ----

struct TextHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};
using Index = std::unordered_map<std::string, size_t, TextHash, std::equal_to<>>;

std::vector<AnnotatedImage> list_images(const fs::path& folder) {
  std::vector<AnnotatedImage> entries;
  for (const fs::directory_entry& file : fs::directory_iterator(folder))
    if (is_image_file(file)) entries.emplace_back().file = file.path().filename().string();
  check(!entries.empty(), "the folder ", folder.string(), " holds no image (.jpg, .jpeg, .png)");
  std::sort(entries.begin(), entries.end(),
            [](const AnnotatedImage& a, const AnnotatedImage& b) { return a.file < b.file; });
  return entries;
}

Index index_of(const std::vector<AnnotatedImage>& entries, const fs::path& folder) {
  Index index;
  index.reserve(entries.size());
  for (size_t i = 0; i < entries.size(); ++i) {
    const auto [other, added] = index.emplace(entries[i].id(), i);
    check(added, "the folder ", folder.string(), " holds two files of image ", entries[i].id(), ": ",
          entries[other->second].file, " and ", entries[i].file);
  }
  return index;
}

/// A coordinate in [0, 1], rounded to f32; slightly outside it is clamped (rounding in the annotations), NaN is
/// outside.
double coordinate(const CsvTable& table, size_t column, const char* name) {
  const double value = table.number(column, name);
  check(value >= -0.01 && value <= 1.01, table.where(), ": ", name, " is ", table.at(column),
        ", expected a value from 0 to 1");
  return static_cast<float>(std::clamp(value, 0.0, 1.0));
}

/// Adds the boxes of wanted classes to their images. Returns the classes that the folder's images show, by MID.
std::set<std::string> read_boxes(const fs::path& path, const std::unordered_map<std::string, int>& labels,
                                 AnnotationOptions::GroupOf group_of, const Index& index,
                                 std::vector<AnnotatedImage>& entries, std::vector<Note>& notes) {
  OpenImagesBoxes rows(path, labels, group_of);
  std::set<std::string> shown;
  std::string previous_image;
  auto found = index.end();
  while (rows.next()) {
    // The rows of an image stand together: one look-up for all of them.
    if (rows.image() != previous_image) {
      previous_image = rows.image();
      found = index.find(previous_image);
    }
    if (found == index.end()) continue;
    shown.emplace(rows.mid());
    rows.add_to(entries[found->second]);
  }
  if (rows.table().unfinished())
    notes.push_back({false, str(rows.table().where(),
                                ", has all columns but no line end: if the file was cut off, rows that "
                                "came behind it are missing")});
  return shown;
}

/// Fills in where each image comes from; false where the data do not say.
bool read_sources(const fs::path& path, const Index& index, std::vector<AnnotatedImage>& entries) {
  if (path.empty() || !fs::exists(path)) return false;
  CsvTable table(path);
  if (!table.has("SourceSet")) return false;
  const size_t image = table.want("ImageID"), source = table.want("SourceSet");
  while (table.next())
    if (const auto found = index.find(table.at(image)); found != index.end())
      entries[found->second].source = table.at(source);
  return true;
}

/// Images without any row: a box file that was cut off at a line's end shows in nothing else.
void note_unlisted(const std::vector<AnnotatedImage>& entries, const fs::path& boxes, std::vector<Note>& notes) {
  const auto unlisted = static_cast<size_t>(
      std::count_if(entries.begin(), entries.end(), [](const AnnotatedImage& entry) { return !entry.listed; }));
  if (unlisted == 0) return;
  const bool most = 2 * unlisted > entries.size();
  notes.push_back(
      {most, str(unlisted, " of ", entries.size(), " images have no row in ", boxes.string(),
                 " and so show none of the classes", most ? ": is the file complete, and that of these images?" : "")});
}

}  // namespace

OpenImagesBoxes::OpenImagesBoxes(const fs::path& path, const std::unordered_map<std::string, int>& labels,
                                 AnnotationOptions::GroupOf group_of)
    : table_(path),
      labels_(labels),
      drop_groups_(group_of == AnnotationOptions::GroupOf::drop),
      image_(table_.want("ImageID")),
      mid_(table_.want("LabelName")),
      x_min_(table_.want("XMin")),
      x_max_(table_.want("XMax")),
      y_min_(table_.want("YMin")),
      y_max_(table_.want("YMax")),
      group_(drop_groups_ ? table_.want("IsGroupOf") : 0) {}

void OpenImagesBoxes::add_to(AnnotatedImage& entry) {
  entry.listed = true;
  label_name_ = mid();
  const auto label = labels_.find(label_name_);
  if (label == labels_.end()) return;

  const Box box{coordinate(table_, x_min_, "XMin"), coordinate(table_, y_min_, "YMin"),
                coordinate(table_, x_max_, "XMax"), coordinate(table_, y_max_, "YMax")};
  check(box.x_min <= box.x_max, table_.where(), ": XMin ", table_.at(x_min_), " > XMax ", table_.at(x_max_),
        table_.cut_off());
  check(box.y_min <= box.y_max, table_.where(), ": YMin ", table_.at(y_min_), " > YMax ", table_.at(y_max_),
        table_.cut_off());
  if (!has_area(box) || (drop_groups_ && table_.at(group_) == "1"))
    entry.unusable = true;
  else
    entry.boxes.push_back({label->second, box});
}

OpenImagesClasses open_images_classes(const std::string& class_file, const std::string& hierarchy_file,
                                      const AnnotationOptions& options) {
  const ClassList list = read_classes(class_file, options.classes);
  OpenImagesClasses classes{.outputs = list.outputs, .mids = list.mids};
  classes.labels = labels_by_mid(hierarchy_file, list, options.expand_children, classes.notes);
  return classes;
}

std::unique_ptr<Dataset> open_images(const std::string& dir, const std::string& split,
                                     const AnnotationOptions& options) {
  const Layout layout = find_layout(dir, split);
  const ClassList classes = read_classes(layout.classes, options.classes);
  Annotations a{.what = str("OpenImages in ", dir, ", ", layout.name, " layout"),
                .dir = dir,
                .images_folder = layout.images.string(),
                .split = split,
                .classes = classes.outputs};
  for (const std::string& mid : classes.mids) a.data_names.push_back(classes.names.at(mid));
  const auto labels = labels_by_mid(layout.hierarchy, classes, options.expand_children, a.notes);
  a.images = list_images(layout.images);
  const Index index = index_of(a.images, layout.images);

  for (const std::string& mid : read_boxes(layout.boxes, labels, options.group_of, index, a.images, a.notes))
    a.shown.insert(classes.names.contains(mid) ? classes.names.at(mid) : mid);
  if (!read_sources(layout.sources, index, a.images))
    a.no_sources = str("no ", split, "-images.csv with a column SourceSet");
  note_unlisted(a.images, layout.boxes, a.notes);
  return annotated_images(std::move(a), options);
}

bool has_split(const std::string& dir, const std::string& split) {
  const fs::path folder = fs::path(dir) / split;
  for (const fs::path& images : {folder / "data", folder})
    if (fs::is_directory(images))
      for (const fs::directory_entry& file : fs::directory_iterator(images))
        if (is_image_file(file)) return true;
  return false;
}

}  // namespace boxcam
