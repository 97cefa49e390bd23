#include "nn/data/open_images.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/text.h"
#include "nn/data/labelled_images.h"

namespace boxcam {
namespace {

namespace fs = std::filesystem;

// ---- Reading CSV files in one pass ----

/// "FILE, line N" in a message; text is made only when it is needed.
struct Place {
  const fs::path& path;
  size_t line;
  friend std::ostream& operator<<(std::ostream& out, const Place& place) {
    return out << place.path.string() << ", line " << place.line;
  }
};

/// Lines of a file, read in blocks of 1 MiB. A byte order mark is no part of the first.
class LineReader {
 public:
  explicit LineReader(const fs::path& path) : path_(path), file_(path, std::ios::binary) {
    check(file_.good(), "cannot read ", path.string(), ": ", std::strerror(errno));
  }

  /// The next line without its end, valid until the next call; nothing at the end of the file.
  std::optional<std::string_view> next() {
    for (;;) {
      const char* start = block_.data() + begin_;
      if (const void* end = std::memchr(start, '\n', end_ - begin_)) {
        const size_t length = static_cast<const char*>(end) - start;
        begin_ += length + 1;
        return line(start, length);
      }
      if (!refill()) {
        if (begin_ == end_) return std::nullopt;
        unfinished_ = true;
        start = block_.data() + begin_;
        return line(start, end_ - std::exchange(begin_, end_));
      }
    }
  }

  Place where() const { return {path_, number_}; }  ///< of the line given last
  bool unfinished() const { return unfinished_; }   ///< whether the file ends within it
  /// The end of a message about it: whether the file was perhaps cut off there.
  const char* cut_off() const { return unfinished_ ? " (the file ends within this line: was it cut off?)" : ""; }
  const fs::path& path() const { return path_; }

 private:
  std::string_view line(const char* start, size_t length) {
    std::string_view text(start, length);
    if (++number_ == 1 && text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
    if (text.ends_with('\r')) text.remove_suffix(1);
    return text;
  }

  // Moves the unfinished line to the front and reads on behind it.
  bool refill() {
    std::memmove(block_.data(), block_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
    check(end_ < block_.size(), Place{path_, number_ + 1}, " is longer than ", block_.size(),
          " bytes: this is no CSV file");
    file_.read(block_.data() + end_, static_cast<std::streamsize>(block_.size() - end_));
    end_ += static_cast<size_t>(file_.gcount());
    check(!file_.bad(), "cannot read ", path_.string(), " beyond line ", number_, ": ", std::strerror(errno));
    return file_.gcount() > 0;
  }

  fs::path path_;
  std::ifstream file_;
  std::vector<char> block_ = std::vector<char>(size_t{1} << 20);
  size_t begin_ = 0, end_ = 0;  // what is not yet given lies in block_[begin_, end_)
  size_t number_ = 0;
  bool unfinished_ = false;
};

/// The fields of a line, one after the other. A field in quotes may hold commas, and quotes, which are doubled.
class FieldReader {
 public:
  explicit FieldReader(std::string_view line) : rest_(line) {}

  /// False when the line has no further field.
  bool next(std::string_view& field) {
    if (!more_) return false;
    const size_t comma = rest_.find(',', rest_.starts_with('"') ? end_of_quotes() : 0);
    more_ = comma != std::string_view::npos;
    field = rest_.substr(0, comma);
    if (more_) rest_.remove_prefix(comma + 1);
    if (field.size() >= 2 && field.front() == '"' && field.back() == '"') field = field.substr(1, field.size() - 2);
    return true;
  }

 private:
  /// Where the quotes that the rest begins with are closed.
  size_t end_of_quotes() const {
    size_t at = rest_.find('"', 1);
    while (at != std::string_view::npos && rest_.substr(at + 1).starts_with('"')) at = rest_.find('"', at + 2);
    return std::min(at, rest_.size());
  }

  std::string_view rest_;
  bool more_ = true;
};

std::vector<std::string> fields(std::string_view line) {
  std::vector<std::string> found;
  FieldReader reader(line);
  for (std::string_view field; reader.next(field);) {
    std::string& text = found.emplace_back(field);
    for (size_t at = 0; (at = text.find("\"\"", at)) != std::string::npos; ++at) text.erase(at, 1);
  }
  return found;
}

/// A CSV file with a header, of which some columns are wanted, by name.
class Table {
 public:
  explicit Table(const fs::path& path) : lines_(path) {
    const auto header = lines_.next();
    check(header.has_value(), path.string(), " is empty: expected a header with column names");
    columns_ = fields(*header);
  }

  bool has(const std::string& column) const { return std::count(columns_.begin(), columns_.end(), column) > 0; }

  /// Chooses a column; its text is then at(the returned number). Throws Error when there is none of this name.
  size_t want(const std::string& column) {
    const auto found = std::find(columns_.begin(), columns_.end(), column);
    check(found != columns_.end(), lines_.path().string(), " has no column ", column, "; its columns are ",
          join(columns_));
    const size_t position = static_cast<size_t>(found - columns_.begin());
    wanted_.resize(std::max(wanted_.size(), position + 1), -1);
    if (wanted_[position] < 0) {
      wanted_[position] = static_cast<int>(row_.size());
      row_.emplace_back();
    }
    return static_cast<size_t>(wanted_[position]);
  }

  /// Reads the next row, skipping empty lines; false at the end. Every row must have all columns: a file that was cut
  /// off or mixed up is noticed.
  bool next() {
    std::optional<std::string_view> line;
    do line = lines_.next();
    while (line && line->empty());
    if (!line) return false;
    FieldReader reader(*line);
    std::string_view field;
    size_t count = 0;
    for (; reader.next(field); ++count)
      if (count < wanted_.size() && wanted_[count] >= 0) row_[static_cast<size_t>(wanted_[count])] = field;
    check(count == columns_.size(), where(), " has ", count, " columns, the header has ", columns_.size(), cut_off());
    check(!lines_.unfinished() || !field.empty(), where(), " has nothing in its last column", cut_off());
    return true;
  }

  std::string_view at(size_t column) const { return row_[column]; }
  Place where() const { return lines_.where(); }
  bool unfinished() const { return lines_.unfinished(); }
  const char* cut_off() const { return lines_.cut_off(); }

 private:
  LineReader lines_;
  std::vector<std::string> columns_;
  std::vector<int> wanted_;            // per column of the file: its place in row_, or -1
  std::vector<std::string_view> row_;  // of the current row
};

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

constexpr std::pair<const char*, const char*> aliases[] = {{"plane", "Airplane"}, {"ship", "Boat"}, {"car", "Car"}};

constexpr std::pair<const char*, const char*> built_in_children[] = {                // subclass, class
    {"/m/0h2r6", "/m/0k4j"},  {"/m/01lcw4", "/m/0k4j"},  {"/m/0pg52", "/m/0k4j"},    // Van, Limousine, Taxi: Car
    {"/m/01btn", "/m/019jd"}, {"/m/02068x", "/m/019jd"}, {"/m/0ph39", "/m/019jd"}};  // Barge, Gondola, Canoe: Boat

struct ClassList {
  std::vector<std::string> outputs;          // but "none"
  std::vector<std::string> mids;             // of the outputs
  std::map<std::string, std::string> names;  // MID -> display name, all that the data set knows
};

ClassList read_classes(const Layout& layout, const std::vector<std::string>& wanted) {
  ClassList list;
  std::vector<std::string> known;
  LineReader lines(layout.classes);
  while (const auto line = lines.next()) {
    if (line->empty()) continue;
    const std::vector<std::string> row = fields(*line);
    check(row.size() == 2, lines.where(), " has ", row.size(), " columns, expected a MID and a name", lines.cut_off());
    list.names[row[0]] = row[1];
    known.push_back(row[1]);
  }

  check(!wanted.empty(), "no classes were asked for");
  for (const std::string& word : wanted) {
    std::string name = word;
    for (const auto& [alias, target] : aliases)
      if (lower(word) == alias) name = target;
    const auto found = std::find_if(list.names.begin(), list.names.end(), [&](const auto& entry) {
      return entry.first == word || lower(entry.second) == lower(name);
    });
    if (found == list.names.end()) {
      for (const auto& [alias, target] : aliases) known.push_back(alias);
      fail("class '", word, "' is not in the data (", layout.classes.string(), " lists ", list.names.size(),
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
std::unordered_map<std::string, int> labels_by_mid(const Layout& layout, const ClassList& classes, bool expand,
                                                   std::vector<Note>& notes) {
  std::unordered_map<std::string, int> labels;
  for (const std::string& mid : classes.mids) labels.emplace(mid, static_cast<int>(labels.size()));
  if (!expand) return labels;
  const std::unordered_map<std::string, int> own = labels;

  if (layout.hierarchy.empty() || !fs::exists(layout.hierarchy)) {
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
    std::ifstream file(layout.hierarchy);
    visit(nlohmann::json::parse(file), -1);
  } catch (const nlohmann::json::exception& error) {
    fail("cannot read the class hierarchy ", layout.hierarchy.string(), ": ", error.what());
  }
  check(!known.empty(), "the class hierarchy ", layout.hierarchy.string(), " names none of the classes ",
        join(classes.outputs), ", so it adds no subclasses: expected their MIDs or display names");
  for (size_t label = 0; label < classes.outputs.size(); ++label)
    if (!known.contains(static_cast<int>(label)))
      notes.push_back({true, str("the class hierarchy ", layout.hierarchy.string(), " does not name class '",
                                 classes.outputs[label], "': it gets no subclasses")});
  return labels;
}

// ---- Images and their boxes ----

struct LabelledBox {
  int label;
  float x_min, y_min, x_max, y_max;  // shares of the image's sides
};

struct Entry {
  std::string file;  // name in the images folder
  std::string source;
  std::vector<LabelledBox> boxes;
  int label = -1;               // chosen once all boxes are known
  bool listed = false;          // has a row in the box file, of whatever class
  bool unusable_boxes = false;  // has boxes of wanted classes that are not used

  std::string id() const { return fs::path(file).stem().string(); }
};

struct TextHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};
using Index = std::unordered_map<std::string, size_t, TextHash, std::equal_to<>>;

std::vector<Entry> list_images(const fs::path& folder) {
  std::vector<Entry> entries;
  for (const fs::directory_entry& file : fs::directory_iterator(folder))
    if (is_image_file(file)) entries.emplace_back().file = file.path().filename().string();
  check(!entries.empty(), "the folder ", folder.string(), " holds no image (.jpg, .jpeg, .png)");
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.file < b.file; });
  return entries;
}

Index index_of(const std::vector<Entry>& entries, const fs::path& folder) {
  Index index;
  index.reserve(entries.size());
  for (size_t i = 0; i < entries.size(); ++i) {
    const auto [other, added] = index.emplace(entries[i].id(), i);
    check(added, "the folder ", folder.string(), " holds two files of image ", entries[i].id(), ": ",
          entries[other->second].file, " and ", entries[i].file);
  }
  return index;
}

/// A coordinate in [0, 1]; slightly outside it is clamped (rounding in the annotations), NaN is outside.
float coordinate(const Table& table, size_t column, const char* name) {
  const std::string_view text = table.at(column);
  double value = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  check(status == std::errc() && end == text.data() + text.size(), table.where(), ": ", name, " is '", text,
        "', expected a number", table.cut_off());
  check(value >= -0.01 && value <= 1.01, table.where(), ": ", name, " is ", text, ", expected a value from 0 to 1");
  return static_cast<float>(std::clamp(value, 0.0, 1.0));
}

/// Adds the boxes of wanted classes to their images. Returns the classes that the folder's images show, by MID.
std::set<std::string> read_boxes(const fs::path& path, const std::unordered_map<std::string, int>& labels,
                                 OpenImagesOptions::GroupOf group_of, const Index& index, std::vector<Entry>& entries,
                                 std::vector<Note>& notes) {
  Table table(path);
  const size_t image = table.want("ImageID"), mid = table.want("LabelName");
  const size_t x_min = table.want("XMin"), x_max = table.want("XMax");
  const size_t y_min = table.want("YMin"), y_max = table.want("YMax");
  const bool drop_groups = group_of == OpenImagesOptions::GroupOf::drop;
  const size_t group = drop_groups ? table.want("IsGroupOf") : 0;

  std::set<std::string> shown;
  std::string previous_image, label_name;
  auto found = index.end();
  while (table.next()) {
    // The rows of an image stand together: one look-up for all of them.
    if (table.at(image) != previous_image) {
      previous_image = table.at(image);
      found = index.find(previous_image);
    }
    if (found == index.end()) continue;
    Entry& entry = entries[found->second];
    entry.listed = true;
    label_name = table.at(mid);
    shown.insert(label_name);
    const auto label = labels.find(label_name);
    if (label == labels.end()) continue;

    const LabelledBox box{label->second, coordinate(table, x_min, "XMin"), coordinate(table, y_min, "YMin"),
                          coordinate(table, x_max, "XMax"), coordinate(table, y_max, "YMax")};
    check(box.x_min <= box.x_max, table.where(), ": XMin ", table.at(x_min), " > XMax ", table.at(x_max),
          table.cut_off());
    check(box.y_min <= box.y_max, table.where(), ": YMin ", table.at(y_min), " > YMax ", table.at(y_max),
          table.cut_off());
    if (box.x_min == box.x_max || box.y_min == box.y_max || (drop_groups && table.at(group) == "1"))
      entry.unusable_boxes = true;
    else
      entry.boxes.push_back(box);
  }
  if (table.unfinished())
    notes.push_back({false, str(table.where(),
                                ", has all columns but no line end: if the file was cut off, rows that "
                                "came behind it are missing")});
  return shown;
}

/// Gives each image its class and the boxes of that class alone; removes images that are to be left out.
void choose_labels(std::vector<Entry>& entries, int none, OpenImagesOptions::SeveralClasses several) {
  for (Entry& entry : entries) {
    const auto largest =
        std::max_element(entry.boxes.begin(), entry.boxes.end(), [](const LabelledBox& a, const LabelledBox& b) {
          return (a.x_max - a.x_min) * (a.y_max - a.y_min) < (b.x_max - b.x_min) * (b.y_max - b.y_min);
        });
    if (largest == entry.boxes.end()) {
      entry.label = entry.unusable_boxes ? -1 : none;
      continue;
    }
    entry.label = largest->label;
    const size_t others = std::erase_if(entry.boxes, [&](const LabelledBox& box) { return box.label != entry.label; });
    if (others > 0 && several == OpenImagesOptions::SeveralClasses::drop) entry.label = -1;
  }
  std::erase_if(entries, [](const Entry& entry) { return entry.label < 0; });
}

/// Fills in where each image comes from; false where the data do not say.
bool read_sources(const fs::path& path, const Index& index, std::vector<Entry>& entries) {
  if (path.empty() || !fs::exists(path)) return false;
  Table table(path);
  if (!table.has("SourceSet")) return false;
  const size_t image = table.want("ImageID"), source = table.want("SourceSet");
  while (table.next())
    if (const auto found = index.find(table.at(image)); found != index.end())
      entries[found->second].source = table.at(source);
  return true;
}

void keep_sources(std::vector<Entry>& entries, const std::vector<std::string>& wanted) {
  std::set<std::string> known;
  for (const Entry& entry : entries) known.insert(entry.source);
  for (const std::string& source : wanted)
    check(known.contains(source), "source '", source, "' is not in the data; the nearest are ",
          join(nearest(source, {known.begin(), known.end()})));
  std::erase_if(entries, [&](const Entry& entry) {
    return std::find(wanted.begin(), wanted.end(), entry.source) == wanted.end();
  });
}

/// Whether "none" is an output; where it is not, its images are left out.
bool settle_none(NoneClass wanted, int none, std::vector<Entry>& entries, std::vector<Note>& notes) {
  const auto is_none = [&](const Entry& entry) { return entry.label == none; };
  const bool shown = std::any_of(entries.begin(), entries.end(), is_none);
  if (wanted == NoneClass::on || (wanted == NoneClass::automatic && shown)) return true;
  const size_t before = entries.size(), left_out = std::erase_if(entries, is_none);
  if (left_out > 0)
    notes.push_back({false, str(left_out, " of ", before, " images show none of the classes and are left out")});
  return false;
}

/// Images without any row: a box file that was cut off at a line's end shows in nothing else.
void note_unlisted(const std::vector<Entry>& entries, const fs::path& boxes, std::vector<Note>& notes) {
  const auto unlisted = static_cast<size_t>(
      std::count_if(entries.begin(), entries.end(), [](const Entry& entry) { return !entry.listed; }));
  if (unlisted == 0) return;
  const bool most = 2 * unlisted > entries.size();
  notes.push_back(
      {most, str(unlisted, " of ", entries.size(), " images have no row in ", boxes.string(),
                 " and so show none of the classes", most ? ": is the file complete, and that of these images?" : "")});
}

std::vector<LabelledImage> files_of(std::vector<Entry> entries, const fs::path& folder) {
  std::vector<LabelledImage> files;
  for (Entry& entry : entries) {
    LabelledImage& file = files.emplace_back();
    file.path = (folder / entry.file).string();
    file.id = entry.id();
    file.source = std::move(entry.source);
    file.label = entry.label;
    for (const LabelledBox& box : entry.boxes) file.boxes.push_back({box.x_min, box.y_min, box.x_max, box.y_max});
  }
  return files;
}

}  // namespace

std::unique_ptr<Dataset> open_images(const std::string& dir, const std::string& split,
                                     const OpenImagesOptions& options) {
  const Layout layout = find_layout(dir, split);
  const ClassList classes = read_classes(layout, options.classes);
  std::vector<Note> notes;
  const auto labels = labels_by_mid(layout, classes, options.expand_children, notes);
  std::vector<Entry> entries = list_images(layout.images);
  const Index index = index_of(entries, layout.images);

  const std::set<std::string> shown = read_boxes(layout.boxes, labels, options.group_of, index, entries, notes);
  const bool has_sources = read_sources(layout.sources, index, entries);
  note_unlisted(entries, layout.boxes, notes);

  const int none = static_cast<int>(classes.mids.size());
  choose_labels(entries, none, options.several_classes);
  for (int label = 0; split == "train" && label < none; ++label) {
    if (std::any_of(entries.begin(), entries.end(), [&](const Entry& entry) { return entry.label == label; })) continue;
    std::vector<std::string> others;
    for (const std::string& mid : shown) others.push_back(classes.names.contains(mid) ? classes.names.at(mid) : mid);
    const std::string& name = classes.names.at(classes.mids[static_cast<size_t>(label)]);
    fail("no image in ", layout.images.string(), " shows class '", classes.outputs[static_cast<size_t>(label)], "' (",
         name, ")", others.empty() ? "" : "; the nearest of the classes shown there: ", join(nearest(name, others)));
  }

  if (!options.sources.empty()) {
    check(has_sources, "images of source ", join(options.sources), " were asked for, but ", dir,
          " does not say where its images come from (no ", split, "-images.csv with a column SourceSet)");
    keep_sources(entries, options.sources);
  }
  std::vector<std::string> outputs = classes.outputs;
  if (settle_none(options.none_class, none, entries, notes)) outputs.push_back("none");
  const auto available = static_cast<int64_t>(entries.size());
  check(options.max_images >= 0 && options.max_images <= available, options.max_images, " images of split '", split,
        "' were asked for, but ", dir, " has ", available);
  std::vector<LabelledImage> files = files_of(std::move(entries), layout.images);
  if (options.max_images > 0) keep_subset(files, options.max_images, options.seed);

  return std::make_unique<LabelledImages>(str("OpenImages in ", dir, ", ", layout.name, " layout, ", split), outputs,
                                          std::move(files), std::move(notes));
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
