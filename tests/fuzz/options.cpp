// A command line of train, a word a line. What was parsed is recorded, and restored from the record.
#include "apps/training.h"
#include "tests/fuzz/target.h"

namespace boxcam::fuzz {
namespace {

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
  }
  return lines;
}

struct CommandLine {
  CLI::App app{"", "train"};
  TrainingOptions options;
  OptionTable table{app};

  CommandLine() { declare_training(table, options); }
  void parse(std::vector<std::string> words) {
    std::reverse(words.begin(), words.end());  // as CLI11 wants them
    app.parse(words);
  }
};

}  // namespace

void run(std::string_view input) try {
  CommandLine line;
  line.parse(lines_of(input));
  const nlohmann::json recorded = line.table.json();
  CommandLine other;
  other.parse({});
  other.table.restore(recorded);
  require(other.table.json() == recorded, "what a run recorded of its options can be restored");
  line.table.command_line();
  // Whether other data have boxes their files say, and those an input must not choose.
  if (line.options.data.data == "scenes") settle_train_options(line.table, line.options.data, line.options.train);
} catch (const CLI::ParseError&) {  // one sentence, and exit status 2
}

}  // namespace boxcam::fuzz
