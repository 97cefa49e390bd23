// boxcam as other projects find it: installed, with find_package, and beside them, with add_subdirectory.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <string>

#include "tests/weight_fixtures.h"

namespace boxcam {
namespace {

namespace fs = std::filesystem;

const std::string kSource = BOXCAM_SOURCE_DIR, kBinary = BOXCAM_BINARY_DIR, kCMake = BOXCAM_CMAKE_COMMAND;
/// The same compiler, flags and libraries as this build's.
const std::string kSettings = " -C '" + kBinary + "/tests/package_settings.cmake' -G '" + BOXCAM_CMAKE_GENERATOR + "'";

/// What a command of the shell says, which must end well.
std::string said_by(const std::string& command) {
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  std::string text;
  std::array<char, 4096> piece;
  while (pipe && fgets(piece.data(), piece.size(), pipe)) text += piece.data();
  EXPECT_TRUE(pipe && pclose(pipe) == 0) << command << "\n" << text;
  return text;
}

std::string quoted(const std::string& path) { return "'" + path + "'"; }

class Package : public testing::Test {
 protected:
  void SetUp() override {
    if (!fs::exists(kCMake) || !fs::exists(kBinary + "/cmake_install.cmake"))
      GTEST_SKIP() << "this build was carried to another machine: no " << kCMake << " or no " << kBinary;
    fs::create_directories(root());  // with a space in its name
  }
  std::string root() const { return folder_ / "a place"; }
  std::string configure(const std::string& options) const {
    return said_by(quoted(kCMake) + kSettings + " -S " + quoted(kSource + "/tests/package") + " -B " +
                   quoted(root() + "/build") + " " + options);
  }

 private:
  const TemporaryFolder folder_;
};

TEST_F(Package, AProjectBuildsAndRunsWithTheInstalledOne) {
  said_by(quoted(kCMake) + " --install " + quoted(kBinary) + " --prefix " + quoted(root() + "/first"));
  fs::rename(root() + "/first", root() + "/prefix");  // it may be moved
  configure("-DCMAKE_PREFIX_PATH=" + quoted(root() + "/prefix"));
  said_by(quoted(kCMake) + " --build " + quoted(root() + "/build"));
  EXPECT_EQ(said_by(quoted(root() + "/build/consumer")), "CAM [1, 64, 64]\n");

  // Nothing points back into the source tree or the build.
  for (const auto& entry : fs::recursive_directory_iterator(root() + "/prefix")) {
    if (entry.path().extension() != ".cmake" && entry.path().extension() != ".h") continue;
    const std::string text = bytes_of(entry.path());
    EXPECT_EQ(text.find(kSource), std::string::npos) << entry.path();
    EXPECT_EQ(text.find(kBinary), std::string::npos) << entry.path();
  }
  said_by(quoted(root() + "/prefix/bin/boxcam-train") + " --help");
}

TEST_F(Package, AnotherMinorVersionIsRefused) {
  said_by(quoted(kCMake) + " --install " + quoted(kBinary) + " --prefix " + quoted(root() + "/prefix"));
  fs::create_directories(root() + "/asks");
  std::ofstream(root() + "/asks/CMakeLists.txt")
      << "cmake_minimum_required(VERSION 3.25)\nproject(asks LANGUAGES CXX)\n"
      << "find_package(boxcam 99.0 CONFIG QUIET)\nif(NOT boxcam_FOUND)\n  message(STATUS \"refused\")\nendif()\n";
  const std::string said =
      said_by(quoted(kCMake) + kSettings + " -S " + quoted(root() + "/asks") + " -B " + quoted(root() + "/asks/build") +
              " -DCMAKE_PREFIX_PATH=" + quoted(root() + "/prefix"));
  EXPECT_NE(said.find("refused"), std::string::npos) << said;
}

TEST_F(Package, BesideAProjectItIsLibrariesAlone) {
  configure("-DBOXCAM_CUDA=OFF -DBOXCAM_SOURCE=" + quoted(kSource));
  const std::string cache = bytes_of(root() + "/build/CMakeCache.txt");
  for (const std::string option : {"APPS", "TESTS", "BENCH", "INSTALL"})
    EXPECT_NE(cache.find("BOXCAM_" + option + ":BOOL=OFF"), std::string::npos) << option;
}

}  // namespace
}  // namespace boxcam
