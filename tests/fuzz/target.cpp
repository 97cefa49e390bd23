#include "tests/fuzz/target.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <random>

#include "engine/base/check.h"
#include "nn/data/dataset.h"

namespace boxcam::fuzz {

namespace fs = std::filesystem;

namespace {

struct OwnFolder {
  OwnFolder() : path(fs::temp_directory_path() / ("boxcam-fuzz-" + std::to_string(std::random_device{}()))) {
    fs::create_directories(path);
  }
  ~OwnFolder() {
    std::error_code error;
    fs::remove_all(path, error);
  }
  const fs::path path;
};

}  // namespace

void require(bool condition, const char* promise) {
  if (condition) return;
  std::fprintf(stderr, "a promise was broken: %s\n", promise);
  std::abort();
}

const fs::path& folder() {
  static const OwnFolder own;
  return own.path;
}

std::string write(const std::string& name, std::string_view bytes) {
  const fs::path path = folder() / name;
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  if (!file.is_open()) {
    fs::create_directories(path.parent_path());
    file.open(path, std::ios::binary | std::ios::trunc);
  }
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  require(file.good(), "the input can be written to a temporary file");
  return path.string();
}

std::vector<std::string_view> parts_of(std::string_view input, size_t count) {
  constexpr std::string_view separator = "%%\n";
  std::vector<std::string_view> parts(count);
  for (std::string_view& part : parts) {
    const size_t end = &part == &parts.back() ? input.npos : input.find(separator);
    part = input.substr(0, end);
    input.remove_prefix(end == input.npos ? input.size() : end + separator.size());
  }
  return parts;
}

void look_at(const Dataset& data) {
  const auto classes = static_cast<int64_t>(data.classes().size());
  data.describe();
  data.content();
  data.identity();
  data.notes();
  for (int64_t i = 0; i < data.size(); ++i) {
    data.group(i);
    require(data.label(i) >= 0 && data.label(i) < classes, "a label is the number of a class");
  }
}

}  // namespace boxcam::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    boxcam::fuzz::run({reinterpret_cast<const char*>(data), size});
  } catch (const boxcam::Error& error) {
    boxcam::fuzz::require(*error.what() != '\0', "an error says something");
  }
  return 0;
}
