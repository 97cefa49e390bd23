// Stands for libFuzzer: runs a target once on each of its seeds, or on the files and folders that it is given. Every
// input has to be taken or refused in time; what would end libFuzzer ends this too.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "engine/base/file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace boxcam {
namespace {

namespace fs = std::filesystem;

constexpr double kLongest = 10;  // seconds an input may take

std::vector<std::string> places;

std::vector<std::string> inputs() {
  std::vector<std::string> files;
  for (const std::string& place : places) {
    if (!fs::is_directory(place))
      files.push_back(place);
    else
      for (const auto& entry : fs::directory_iterator(place)) files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

TEST(Fuzz, Replay) {
  const std::vector<std::string> files = inputs();
  ASSERT_FALSE(files.empty());
  for (const std::string& file : files) {
    SCOPED_TRACE(file);
    std::cout << file << std::endl;  // of a crash the last line tells the input
    const std::string input = read_file(file, "input");
    const auto begin = std::chrono::steady_clock::now();
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()), input.size());
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    EXPECT_LT(seconds.count(), kLongest);
  }
}

}  // namespace
}  // namespace boxcam

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  boxcam::places.assign(argv + 1, argv + argc);
  std::istringstream seeds(BOXCAM_FUZZ_SEEDS);
  for (std::string seed; argc == 1 && std::getline(seeds, seed, '|');) boxcam::places.push_back(seed);
  return RUN_ALL_TESTS();
}
