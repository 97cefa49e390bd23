// The rules of the house that its #include lines show: apps -> xai, models -> nn -> engine, never back; each library
// behind the door of its backend; every quoted path resolves from the repository root; what <boxcam/boxcam.h> names
// includes nothing else of the house.
#include <gtest/gtest.h>

#include <cctype>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace boxcam {
namespace {

namespace fs = std::filesystem;

struct Include {
  std::string file;  ///< from the repository root
  int line;
  std::string path;
  bool quoted;
};

const fs::path kRoot = BOXCAM_SOURCE_DIR;

/// What a folder may include besides itself.
const std::map<std::string, std::set<std::string>> kMayInclude = {
    {"engine", {}},
    {"nn", {"engine"}},
    {"models", {"nn", "engine"}},
    {"xai", {"nn", "engine"}},
    {"apps", {"xai", "models", "nn", "engine"}},
    {"tests", {"apps", "xai", "models", "nn", "engine"}},
    {"bench", {"apps", "xai", "models", "nn", "engine"}},
    {"cmake", {"xai", "models", "nn", "engine"}},  // the header of the whole library
    {"docs", {}},                                  // examples include that header alone
};

std::string from_root(const fs::path& path) { return path.lexically_relative(kRoot).generic_string(); }

std::vector<fs::path> sources() {
  std::vector<fs::path> list;
  for (const auto& [folder, allowed] : kMayInclude) {
    if (!fs::exists(kRoot / folder)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(kRoot / folder)) {
      const std::string extension = entry.path().extension();
      if (extension == ".h" || extension == ".cpp" || extension == ".cu" || extension == ".cuh")
        list.push_back(entry.path());
    }
  }
  return list;
}

std::vector<Include> includes_of(std::istream& text, const std::string& file) {
  std::vector<Include> list;
  std::string line;
  for (int number = 1; std::getline(text, line); ++number) {
    std::istringstream words(line);
    char hash = 0, open = 0;
    std::string word, path;
    if (!(words >> hash) || hash != '#') continue;
    while (words >> std::ws && std::isalpha(words.peek())) word += static_cast<char>(words.get());
    if (word != "include" || !(words >> open) || (open != '"' && open != '<')) continue;
    std::getline(words, path, open == '"' ? '"' : '>');
    list.push_back({file, number, path, open == '"'});
  }
  return list;
}

std::vector<Include> all_includes() {
  std::vector<Include> list;
  for (const fs::path& source : sources()) {
    std::ifstream file(source);
    for (Include& i : includes_of(file, from_root(source))) list.push_back(std::move(i));
  }
  return list;
}

std::string first_folder(const std::string& path) { return path.substr(0, path.find('/')); }

bool begins_with_any(const std::string& text, const std::vector<std::string>& beginnings) {
  for (const std::string& b : beginnings)
    if (text.starts_with(b)) return true;
  return false;
}

bool allowed_by_layers(const Include& i) {
  const std::string from = first_folder(i.file), to = first_folder(i.path);
  if (i.path == "boxcam/boxcam.h") return from == "docs" || from == "tests";  // it lies above all libraries
  return !i.quoted || from == to || kMayInclude.at(from).contains(to);
}

bool behind_its_door(const Include& i) {
  const bool dnnl = begins_with_any(i.path, {"dnnl", "oneapi/", "mkldnn"});
  const bool cuda = begins_with_any(i.path, {"cuda", "cublas", "cudnn", "curand", "nccl", "cooperative_groups"});
  if (dnnl || i.path.starts_with("engine/backend/cpu/onednn")) return i.file.starts_with("engine/backend/cpu/");
  if (cuda) return i.file.starts_with("engine/backend/cuda/");
  // Ops know the table, not the backends; tests and benchmarks may look behind it.
  for (const char* backend : {"engine/backend/cpu/", "engine/backend/cuda/"})
    if (i.path.starts_with(backend)) return begins_with_any(i.file, {backend, "tests/", "bench/"});
  return true;
}

/// Rooms inside a library that stand on their own: what they may include besides the layers' rule.
bool stays_in_its_room(const Include& i) {
  static const std::vector<std::pair<std::string, std::vector<std::string>>> rooms = {
      {"engine/base/", {"engine/base/"}},
      {"nn/data/", {"nn/data/", "engine/base/"}},  // images and boxes are bytes: no tensors
      {"nn/files/", {"nn/files/", "engine/"}},
  };
  for (const auto& [room, allowed] : rooms)
    if (i.quoted && i.file.starts_with(room)) return begins_with_any(i.path, allowed);
  return true;
}

TEST(Structure, RoomsKnowOnlyTheirOwn) {
  for (const Include& i : all_includes())
    EXPECT_TRUE(stays_in_its_room(i)) << i.file << ":" << i.line << " includes " << i.path;
}

TEST(Structure, LayersNeverIncludeUpwards) {
  for (const Include& i : all_includes())
    EXPECT_TRUE(allowed_by_layers(i)) << i.file << ":" << i.line << " includes " << i.path;
}

TEST(Structure, LibrariesStayBehindTheirBackend) {
  for (const Include& i : all_includes())
    EXPECT_TRUE(behind_its_door(i)) << i.file << ":" << i.line << " includes " << i.path;
}

/// Whether a file comes to `target` through quoted includes, its own or those of what it includes.
bool reaches(const std::string& file, const std::string& target,
             const std::map<std::string, std::vector<std::string>>& includes) {
  std::set<std::string> seen;
  std::vector<std::string> pending = {file};
  while (!pending.empty()) {
    const std::string next = pending.back();
    pending.pop_back();
    if (next == target) return true;
    if (!seen.insert(next).second || !includes.contains(next)) continue;
    for (const std::string& path : includes.at(next)) pending.push_back(path);
  }
  return false;
}

TEST(Structure, NoBackendReadsTheCatalogue) {  // or a line in it would rebuild all of them
  std::map<std::string, std::vector<std::string>> includes;
  for (const Include& i : all_includes())
    if (i.quoted) includes[i.file].push_back(i.path);
  for (const fs::path& source : sources()) {
    const std::string file = from_root(source);
    EXPECT_FALSE(file.starts_with("engine/backend/") && reaches(file, "engine/ops.h", includes)) << file;
  }
}

TEST(Structure, EveryQuotedPathResolvesFromTheRoot) {
  for (const Include& i : all_includes())
    EXPECT_TRUE(!i.quoted || fs::is_regular_file(kRoot / i.path)) << i.file << ":" << i.line << " includes " << i.path;
}

/// An installation holds what boxcam.h names, so that must not need more.
TEST(Structure, PublicHeadersIncludeNoPrivateOnes) {
  const std::vector<Include> all = all_includes();
  std::set<std::string> open;
  for (const Include& i : all)
    if (i.file == "cmake/package/boxcam/boxcam.h") open.insert(i.path);
  EXPECT_GT(open.size(), 25u);
  for (const Include& i : all)
    EXPECT_TRUE(!open.contains(i.file) || !i.quoted || open.contains(i.path))
        << i.file << ":" << i.line << " includes " << i.path << ", which cmake/package/boxcam/boxcam.h does not name";
}

TEST(Structure, HeadersGuardThemselves) {
  for (const fs::path& source : sources()) {
    if (source.extension() != ".h" && source.extension() != ".cuh") continue;
    std::ifstream file(source);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    EXPECT_NE(text.find("#pragma once"), std::string::npos) << from_root(source);
  }
}

TEST(Structure, TheRulesBite) {
  std::istringstream text(
      "#include <vector>\n  # include \"nn/optim.h\"  // up\n#pragma once\n#include<oneapi/dnnl/dnnl.hpp>\n"
      "// #include <not/code.h>\n#include <cuda_runtime.h>\n");
  const auto found = includes_of(text, "engine/tensor.cpp");
  ASSERT_EQ(found.size(), 4u);
  EXPECT_TRUE(allowed_by_layers(found[0]) && behind_its_door(found[0]));
  EXPECT_FALSE(allowed_by_layers(found[1]));
  EXPECT_EQ(found[1].line, 2);
  EXPECT_FALSE(behind_its_door(found[2]));
  EXPECT_FALSE(behind_its_door(found[3]));
  EXPECT_FALSE(allowed_by_layers({"models/resnet.h", 1, "xai/boxes.h", true}));
  EXPECT_FALSE(allowed_by_layers({"xai/boxes.h", 1, "models/resnet.h", true}));
  EXPECT_TRUE(allowed_by_layers({"apps/train.cpp", 1, "models/resnet.h", true}));
  EXPECT_FALSE(behind_its_door({"engine/ops/reduce.cpp", 1, "engine/backend/cuda/reduce.h", true}));
  EXPECT_FALSE(behind_its_door({"tests/cuda_twins_test.cpp", 1, "cublas_v2.h", false}));
  EXPECT_FALSE(allowed_by_layers({"xai/boxes.h", 1, "boxcam/boxcam.h", false}));
  EXPECT_FALSE(allowed_by_layers({"docs/examples/one.cpp", 1, "xai/boxes.h", true}));
  EXPECT_TRUE(allowed_by_layers({"docs/examples/one.cpp", 1, "boxcam/boxcam.h", false}));
  EXPECT_FALSE(stays_in_its_room({"engine/base/file.cpp", 1, "engine/tensor.h", true}));
  EXPECT_FALSE(stays_in_its_room({"nn/data/scenes/raster.h", 1, "engine/profile.h", true}));
  EXPECT_FALSE(stays_in_its_room({"nn/files/npy.h", 1, "nn/data/image.h", true}));
  EXPECT_TRUE(stays_in_its_room({"nn/data/loader.cpp", 1, "engine/base/waits.h", true}));
  EXPECT_TRUE(stays_in_its_room({"nn/input.h", 1, "nn/data/loader.h", true}));
  const std::map<std::string, std::vector<std::string>> includes = {{"a", {"b"}}, {"b", {"a", "c"}}};
  EXPECT_TRUE(reaches("a", "c", includes));
  EXPECT_FALSE(reaches("a", "d", includes));
  EXPECT_GT(all_includes().size(), 100u);
}

}  // namespace
}  // namespace boxcam
