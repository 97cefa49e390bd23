#include "nn/data/csv.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/text.h"

namespace boxcam {

namespace {

/// The fields of a line, one after the other.
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

}  // namespace

LineReader::LineReader(const std::filesystem::path& path) : path_(path), file_(path.string()) {}

std::optional<std::string_view> LineReader::next() {
  for (;;) {
    const char* start = block_.data() + begin_;
    if (const void* end = std::memchr(start, '\n', end_ - begin_)) {
      const size_t length = static_cast<const char*>(end) - start;
      begin_ += length + 1;
      position_ += length + 1;
      return line(start, length);
    }
    if (!refill()) {
      if (begin_ == end_) return std::nullopt;
      unfinished_ = true;
      start = block_.data() + begin_;
      position_ += end_ - begin_;
      return line(start, end_ - std::exchange(begin_, end_));
    }
  }
}

std::string_view LineReader::line(const char* start, size_t length) {
  std::string_view text(start, length);
  if (++number_ == 1 && text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  if (text.ends_with('\r')) text.remove_suffix(1);
  return text;
}

/// Moves the unfinished line to the front and reads on behind it.
bool LineReader::refill() {
  std::memmove(block_.data(), block_.data() + begin_, end_ - begin_);
  end_ -= begin_;
  begin_ = 0;
  check(end_ < block_.size(), FilePlace{path_, number_ + 1}, " is longer than ", block_.size(),
        " bytes: this is no CSV file");
  const size_t got = file_.read(block_.data() + end_, block_.size() - end_);
  end_ += got;
  return got > 0;
}

std::vector<std::string> csv_fields(std::string_view line) {
  std::vector<std::string> found;
  FieldReader reader(line);
  for (std::string_view field; reader.next(field);) {
    std::string& text = found.emplace_back();
    for (; !field.empty(); field.remove_prefix(field.starts_with("\"\"") ? 2 : 1)) text += field[0];
  }
  return found;
}

CsvTable::CsvTable(const std::filesystem::path& path) : lines_(path) {
  auto header = lines_.next();
  for (; header && header->starts_with('#'); header = lines_.next()) remarks_.emplace_back(header->substr(1));
  check(header.has_value(), path.string(), " is empty: expected a header with column names");
  columns_ = csv_fields(*header);
}

bool CsvTable::has(const std::string& column) const { return std::count(columns_.begin(), columns_.end(), column) > 0; }

size_t CsvTable::want(const std::string& column) {
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

bool CsvTable::next() {
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

double CsvTable::number(size_t column, const char* name) const {
  const std::optional<double> value = number_in(at(column));
  check(value.has_value(), where(), ": ", name, " is '", at(column), "', expected a number", cut_off());
  return *value;
}

std::optional<double> number_in(std::string_view text) {
  double value = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (status != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string csv_text(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

std::string csv_number(double value) {
  if (std::isnan(value)) return "";
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}

}  // namespace boxcam
