// Tables in text files: CSV as people and spreadsheets write it, and columns with spaces between them, read in one
// pass.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/file.h"

namespace boxcam {

/// "FILE, line N" in a message; text is made only when it is needed.
struct FilePlace {
  const std::filesystem::path& path;
  size_t line;
  friend std::ostream& operator<<(std::ostream& out, const FilePlace& place) {
    return out << place.path.string() << ", line " << place.line;
  }
};

/// Lines of a file, read in blocks of 1 MiB. A byte order mark is no part of the first.
class LineReader {
 public:
  /// Throws Error when the file cannot be read.
  explicit LineReader(const std::filesystem::path& path);

  /// The next line without its end, valid until the next call; nothing at the end of the file. Throws Error for a line
  /// that is longer than a block.
  std::optional<std::string_view> next();

  FilePlace where() const { return {path_, number_}; }  ///< of the line given last
  uint64_t position() const { return position_; }       ///< in the file, behind that line and its end
  bool unfinished() const { return unfinished_; }       ///< whether the file ends within it
  /// The end of a message about it: whether the file was perhaps cut off there.
  const char* cut_off() const { return unfinished_ ? " (the file ends within this line: was it cut off?)" : ""; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::string_view line(const char* start, size_t length);
  bool refill();

  std::filesystem::path path_;
  InputFile file_;
  std::vector<char> block_ = std::vector<char>(size_t{1} << 20);
  size_t begin_ = 0, end_ = 0;  // what is not yet given lies in block_[begin_, end_)
  size_t number_ = 0;
  uint64_t position_ = 0;
  bool unfinished_ = false;
};

/// The fields of a line of CSV. A field in quotes may hold commas, and quotes, which are doubled.
std::vector<std::string> csv_fields(std::string_view line);
/// The other way: a field as it is written, in quotes where it has to be.
std::string csv_text(const std::string& field);
std::string csv_number(double value);  ///< nine digits, which read as the same f32; NaN is an empty field

/// A CSV file with a header, of which some columns are wanted, by name.
class CsvTable {
 public:
  /// Throws Error when the file cannot be read or is empty.
  explicit CsvTable(const std::filesystem::path& path);

  bool has(const std::string& column) const;
  const std::vector<std::string>& columns() const { return columns_; }
  /// The lines before the header, which begin with #, without it.
  const std::vector<std::string>& remarks() const { return remarks_; }

  /// Chooses a column; its text is then at(the returned number). Throws Error when there is none of this name.
  size_t want(const std::string& column);

  /// Reads the next row, skipping empty lines; false at the end. Every row must have all columns: a file that was cut
  /// off or mixed up is noticed.
  bool next();

  std::string_view at(size_t column) const { return row_[column]; }
  /// The text as a number; throws Error, naming it `name`, where it is none. NaN and infinity are numbers.
  double number(size_t column, const char* name) const;
  FilePlace where() const { return lines_.where(); }
  uint64_t position() const { return lines_.position(); }  ///< in the file, behind the row
  bool unfinished() const { return lines_.unfinished(); }
  const char* cut_off() const { return lines_.cut_off(); }

 private:
  LineReader lines_;
  std::vector<std::string> columns_, remarks_;
  std::vector<int> wanted_;            // per column of the file: its place in row_, or -1
  std::vector<std::string_view> row_;  // of the current row
};

/// The number that a whole text is; nothing where it is none.
std::optional<double> number_in(std::string_view text);

}  // namespace boxcam
