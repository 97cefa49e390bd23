// What a study is: rows of options of `train`, each run with the same seeds. A file (TOML), a preset (the same, built
// into the program), or a grid on the command line says it.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace boxcam {

/// Options of `train` by name, without dashes, with their values as text; flags have "true" or "false".
using OptionList = std::vector<std::pair<std::string, std::string>>;

struct StudyRowOptions {
  std::string name;
  OptionList options;
  std::string note{};  ///< a sentence on what the row is; may be empty
};

/// An option and the values it takes, one after another.
struct GridAxis {
  std::string option;
  std::vector<std::string> values;
};

struct Study {
  std::string name = "study";  ///< of its folder
  std::string title{}, note{};
  OptionList options{};                 ///< of every row
  std::vector<StudyRowOptions> rows{};  ///< at least one
  std::string reference{};              ///< the row that the others are compared with; empty: the first
  std::vector<uint64_t> seeds{};        ///< empty: eight, from 0
  /// The image size at which the study's margins are told; they are scaled to that of the runs. 0: they are as said.
  double margins_at = 0;
  bool thesis_tables = false;  ///< the tables of the thesis, beside its own numbers
};

/// Of the text of a TOML file; `path` is for messages. Throws Error naming the file, the line and the nearest known
/// word for a key that is none, for values of the wrong kind, a name that two rows have, or a study without a row.
Study read_study(const std::string& text, const std::string& path);

/// The studies that are built in.
struct Preset {
  std::string name, text;
};
const std::vector<Preset>& presets();
/// Throws Error naming those that there are.
Study preset(const std::string& name);

/// "lambda=0,1,10". Throws Error.
GridAxis read_axis(const std::string& text);
/// Every row of `rows` (or of none) with every combination of the values; the last axis changes fastest. Names are put
/// together: "box,margin=15".
std::vector<StudyRowOptions> crossed(const std::vector<StudyRowOptions>& rows, const std::vector<GridAxis>& grid);

/// "8" (0 to 7), "201-210" or "3,5,9". Throws Error.
std::vector<uint64_t> read_seeds(const std::string& text);

/// Puts `more` over `options`: what both have is as in `more`.
void put_over(OptionList& options, const OptionList& more);

}  // namespace boxcam
