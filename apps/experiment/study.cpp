#include "apps/experiment/study.h"

#include <toml++/toml.h>
#include <algorithm>
#include <charconv>
#include <set>

#include "apps/common/options/table.h"
#include "apps/training.h"
#include "engine/base/text.h"

namespace boxcam {

namespace {

// Far above any study; a short file can ask for any number.
constexpr size_t kMostRows = 10'000, kMostSeeds = 1000, kMostBytes = 64 << 10;

/// Options of train that are the study's affair, with the reason.
const std::vector<std::pair<std::string, std::string>> kNotOfARow = {
    {"output", "each run gets a folder of its own"},     {"resume", "runs that are not finished are gone on with"},
    {"seed", "it is what the runs of a row differ in"},  {"threads", "it is shared out among the runs (--jobs)"},
    {"profile", "a profile is for one run, with train"}, {"verify", "it repeats one run, with train"},
    {"verify-steps", "it belongs to --verify"},
};

/// The options of train, by name without dashes, and whether each is a flag.
class TrainOptionNames {
 public:
  TrainOptionNames() : app_("", "train"), table_(app_) { declare_training(table_, options_); }
  bool has(const std::string& name) const { return table_.has("--" + name); }
  bool is_flag(const std::string& name) const {
    const nlohmann::json options = table_.json();
    return options.contains(name) && options[name].is_boolean();
  }
  std::vector<std::string> all() const {
    std::vector<std::string> names;
    const nlohmann::json options = table_.json();
    for (const auto& [name, value] : options.items()) names.push_back(name);
    return names;
  }

 private:
  CLI::App app_;
  TrainingOptions options_;
  OptionTable table_;
};

/// Names and values end in commands, a line each, and on terminals.
bool has_control_characters(const std::string& text) {
  return std::any_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

/// The file that is read, for messages.
class StudyFile {
 public:
  explicit StudyFile(std::string path) : path_(std::move(path)) {}

  template <class... What>
  [[noreturn]] void refuse(const toml::source_region& where, const What&... what) const {
    fail(path_, ":", where.begin.line, ": ", str(what...));
  }

  /// Keys in the order of the file.
  static std::vector<std::pair<std::string, const toml::node*>> entries(const toml::table& table) {
    std::vector<std::pair<std::string, const toml::node*>> list;
    for (const auto& [key, node] : table) list.emplace_back(std::string(key.str()), &node);
    std::stable_sort(list.begin(), list.end(), [](const auto& a, const auto& b) {
      const auto& x = a.second->source().begin;
      const auto& y = b.second->source().begin;
      return std::pair(x.line, x.column) < std::pair(y.line, y.column);
    });
    return list;
  }

  std::string text(const std::string& key, const toml::node& node) const {
    if (!node.is_string()) refuse(node.source(), key, ": expected text in quotes");
    return std::string(node.as_string()->get());
  }

  /// A value of an option as it is written on the command line.
  std::string value(const std::string& key, const toml::node& node) const {
    if (const auto* text = node.as_string()) return text->get();
    if (const auto* whole = node.as_integer()) return std::to_string(whole->get());
    if (const auto* number = node.as_floating_point()) return nlohmann::json(number->get()).dump();
    if (const auto* flag = node.as_boolean()) return flag->get() ? "true" : "false";
    refuse(node.source(), key, ": expected text, a number, true or false");
  }
  std::vector<std::string> values(const std::string& key, const toml::node& node) const {
    if (!node.is_array()) return {value(key, node)};
    std::vector<std::string> list;
    for (const toml::node& one : *node.as_array()) list.push_back(value(key, one));
    return list;
  }

  void option(OptionList& options, const std::string& key, const toml::node& node) const {
    check_option(key, node.source());
    options.emplace_back(key, join(values(key, node), ","));
    check_value(key, options.back().second, node.source());
  }
  void check_value(const std::string& key, const std::string& value, const toml::source_region& where) const {
    const bool yes_or_no = value == "true" || value == "false";
    if (names_.is_flag(key) != yes_or_no)
      refuse(where, key, ": expected ", yes_or_no ? "a value" : "true or false", ", found ", value);
    if (has_control_characters(value)) refuse(where, key, ": expected one line of text without control characters");
  }
  void check_option(const std::string& key, const toml::source_region& where) const {
    for (const auto& [name, reason] : kNotOfARow)
      if (key == name) refuse(where, "'", key, "' is not an option of a study's runs: ", reason);
    if (!names_.has(key)) refuse(where, "'", key, "' is not an option of train", did_you_mean(key, names_.all()));
  }

  template <class... Names>
  [[noreturn]] void unknown(const std::string& key, const toml::node& node, const std::string& of,
                            const std::vector<std::string>& known) const {
    refuse(node.source(), "'", key, "' is not a key of ", of, did_you_mean(key, known));
  }

  const toml::table& table(const std::string& key, const toml::node& node) const {
    if (!node.is_table()) refuse(node.source(), key, ": expected a table, [", key, "]");
    return *node.as_table();
  }

 private:
  std::string path_;
  TrainOptionNames names_;
};

StudyRowOptions read_row(const StudyFile& file, const toml::node& node) {
  StudyRowOptions row;
  for (const auto& [key, value] : file.entries(file.table("row", node))) {
    if (key == "name")
      row.name = file.text(key, *value);
    else if (key == "note")
      row.note = file.text(key, *value);
    else
      file.option(row.options, key, *value);
  }
  const bool has_name = !row.name.empty() && row.name.find('/') == std::string::npos && row.name[0] != '.' &&
                        !has_control_characters(row.name);
  if (!has_name) file.refuse(node.source(), "a row needs a name that can be a folder's, found '", row.name, "'");
  return row;
}

std::vector<uint64_t> seeds_of(const StudyFile& file, const toml::node& node) {
  std::vector<std::string> list = file.values("seeds", node);
  try {
    // A list of one is that seed, not how many.
    return node.is_array() ? read_seeds(join(list, ",") + ",") : read_seeds(list[0]);
  } catch (const Error& e) {
    file.refuse(node.source(), e.what());
  }
}

void check_rows(const std::string& path, const Study& study) {
  check(!study.rows.empty(), path, " has no row: expected [[row]] or [grid]");
  std::set<std::string> names;
  for (const StudyRowOptions& row : study.rows)
    check(names.insert(row.name).second, path, ": two rows are called '", row.name, "'");
  check(study.reference.empty() || names.contains(study.reference), path, ": reference: there is no row '",
        study.reference, "'", did_you_mean(study.reference, {names.begin(), names.end()}));
}

bool whole_number(const std::string& text, uint64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

Study read_study(const std::string& text, const std::string& path) {
  // The parser goes as deep as a key has parts.
  check(text.size() <= kMostBytes, path, " has ", text.size(), " bytes: a study may have ", kMostBytes);
  toml::table content;
  try {
    content = toml::parse(text, path);
  } catch (const toml::parse_error& e) {
    fail(path, ":", e.source().begin.line, ": ", e.description());
  }
  const StudyFile file(path);
  Study study;
  std::vector<GridAxis> grid;
  for (const auto& [key, node] : file.entries(content)) {
    if (key == "title") {
      study.title = file.text(key, *node);
    } else if (key == "note") {
      study.note = file.text(key, *node);
    } else if (key == "reference") {
      study.reference = file.text(key, *node);
    } else if (key == "seeds") {
      study.seeds = seeds_of(file, *node);
    } else if (key == "margins-at") {
      if (!node->is_number()) file.refuse(node->source(), key, ": expected an image size in pixels");
      study.margins_at = node->value<double>().value();
    } else if (key == "thesis-tables") {
      if (!node->is_boolean()) file.refuse(node->source(), key, ": expected true or false");
      study.thesis_tables = node->as_boolean()->get();
    } else if (key == "options") {
      for (const auto& [option, value] : file.entries(file.table(key, *node)))
        file.option(study.options, option, *value);
    } else if (key == "grid") {
      for (const auto& [option, values] : file.entries(file.table(key, *node))) {
        file.check_option(option, values->source());
        grid.push_back({option, file.values(option, *values)});
        for (const std::string& value : grid.back().values) file.check_value(option, value, values->source());
      }
    } else if (key == "row") {
      if (!node->is_array()) file.refuse(node->source(), "row: expected tables, [[row]]");
      for (const toml::node& row : *node->as_array()) study.rows.push_back(read_row(file, row));
    } else {
      file.unknown(key, *node, "a study",
                   {"title", "note", "reference", "seeds", "margins-at", "thesis-tables", "options", "grid", "row"});
    }
  }
  study.rows = crossed(study.rows, grid);
  check_rows(path, study);
  return study;
}

Study preset(const std::string& name) {
  std::vector<std::string> names;
  for (const Preset& p : presets()) {
    names.push_back(p.name);
    if (p.name != name) continue;
    Study study = read_study(p.text, "--preset " + name);
    study.name = name;
    return study;
  }
  fail("--preset: '", name, "' is not one of ", join(names), did_you_mean(name, names));
}

GridAxis read_axis(const std::string& text) {
  const size_t equals = text.find('=');
  check(equals != std::string::npos && equals > 0 && equals + 1 < text.size(), "--grid: expected KEY=A,B,..., found '",
        text, "'");
  GridAxis axis{text.substr(0, equals), {}};
  for (size_t begin = equals + 1; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    axis.values.push_back(text.substr(begin, end - begin));
    check(!axis.values.back().empty(), "--grid: expected a value between commas, found '", text, "'");
    begin = end + 1;
  }
  const TrainOptionNames names;
  for (const auto& [name, reason] : kNotOfARow)
    check(axis.option != name, "--grid: '", name, "' is not an option of a study's runs: ", reason);
  check(names.has(axis.option), "--grid: '", axis.option, "' is not an option of train",
        did_you_mean(axis.option, names.all()));
  return axis;
}

std::vector<StudyRowOptions> crossed(const std::vector<StudyRowOptions>& rows, const std::vector<GridAxis>& grid) {
  if (grid.empty()) return rows;
  std::vector<StudyRowOptions> list = rows.empty() ? std::vector<StudyRowOptions>{{"", {}}} : rows;
  size_t count = list.size();
  for (const GridAxis& axis : grid)
    check(!__builtin_mul_overflow(count, axis.values.size(), &count) && count <= kMostRows,
          "the grid has more rows than the ", kMostRows, " that a study may have");
  for (const GridAxis& axis : grid) {
    std::vector<StudyRowOptions> next;
    for (const StudyRowOptions& row : list)
      for (const std::string& value : axis.values) {
        StudyRowOptions one = row;
        std::string part = axis.option + "=" + value;
        std::replace(part.begin(), part.end(), '/', '-');  // a path in a row's name would be several folders
        one.name += (one.name.empty() ? "" : ",") + part;
        put_over(one.options, {{axis.option, value}});
        next.push_back(std::move(one));
      }
    list = std::move(next);
  }
  return list;
}

std::vector<uint64_t> read_seeds(const std::string& text) {
  const auto refuse = [&] {
    fail("expected how many seeds (8), a range (201-210) or a list (3,5,9), found '", text, "'");
  };
  std::vector<uint64_t> seeds;
  uint64_t first = 0, last = 0;
  if (whole_number(text, last)) {
    if (last < 1 || last > kMostSeeds) refuse();
    for (uint64_t s = 0; s < last; ++s) seeds.push_back(s);
    return seeds;
  }
  if (const size_t dash = text.find('-'); dash != std::string::npos) {
    const bool range = whole_number(text.substr(0, dash), first) && whole_number(text.substr(dash + 1), last);
    if (!range || last < first || last - first >= kMostSeeds) refuse();
    for (uint64_t i = 0; i <= last - first; ++i) seeds.push_back(first + i);
    return seeds;
  }
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    if (!whole_number(text.substr(begin, end - begin), first) || seeds.size() == kMostSeeds) refuse();
    if (std::find(seeds.begin(), seeds.end(), first) != seeds.end()) refuse();
    seeds.push_back(first);
    begin = end + 1;
  }
  if (seeds.empty()) refuse();
  return seeds;
}

void put_over(OptionList& options, const OptionList& more) {
  for (const auto& one : more) {
    const auto found =
        std::find_if(options.begin(), options.end(), [&](const auto& o) { return o.first == one.first; });
    if (found != options.end())
      found->second = one.second;
    else
      options.push_back(one);
  }
}

}  // namespace boxcam
