// Only models/ knows an architecture: no code of the other libraries or the programs names one, nor a part or tap of
// one. Comments may, as examples.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <string>

namespace boxcam {
namespace {

namespace fs = std::filesystem;

/// The text of a line without what follows "//", unless that is inside a string.
std::string code_of(const std::string& line) {
  bool in_string = false;
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\\' && in_string)
      ++i;
    else if (line[i] == '"')
      in_string = !in_string;
    else if (!in_string && line.compare(i, 2, "//") == 0)
      return line.substr(0, i);
  }
  return line;
}

bool names_an_architecture(const std::string& line) {
  static const std::regex names("ResNet|resnet|\\blayer[1-4]\\b|\"fc[\".]|\\bfc\\.|\\bstage[1-4]\\b|PlainNet");
  return std::regex_search(code_of(line), names);
}

TEST(Names, OnlyModelsKnowsAnArchitecture) {
  int files = 0;
  for (const char* room : {"engine", "nn", "xai", "apps"})
    for (const auto& entry : fs::recursive_directory_iterator(fs::path(BOXCAM_SOURCE_DIR) / room)) {
      // Studies are data: a row of theirs says which model it trains, as a command line does.
      const fs::path kind = entry.path().extension();
      if (!entry.is_regular_file() || kind == ".txt" || kind == ".toml") continue;
      ++files;
      std::ifstream file(entry.path());
      std::string line;
      for (int number = 1; std::getline(file, line); ++number)
        EXPECT_FALSE(names_an_architecture(line)) << entry.path() << ":" << number << ": " << line;
    }
  EXPECT_GT(files, 100);
}

TEST(Names, TheRuleBites) {
  for (const char* line : {"ResNet model;", "model.at(\"fc.weight\")", "  \"fc\"", "taps = {\"layer4\"};",
                           "#include \"models/resnet.h\"", "\"such as layer4,fc\"", "url = \"http://resnet50\""})
    EXPECT_TRUE(names_an_architecture(line)) << line;
  for (const char* line : {"// of a ResNet-50's step", "x = 1;  // \"layer4\" as in layer4.0", "layers[4]", "fcntl.h"})
    EXPECT_FALSE(names_an_architecture(line)) << line;
}

}  // namespace
}  // namespace boxcam
