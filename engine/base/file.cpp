#include "engine/base/file.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "engine/base/check.h"

namespace boxcam {

void check_writable(const std::string& option, const std::string& path) {
  const std::string partial = path + ".partial";
  const bool opened = std::ofstream(partial, std::ios::binary).good();
  const std::string reason = std::strerror(errno);
  check(opened, option, ": cannot write ", path, ": ", reason);
  std::filesystem::remove(partial);
}

void write_file(const std::string& path, const std::vector<std::string_view>& pieces) {
  const std::string partial = path + ".partial";
  std::ofstream file(partial, std::ios::binary);
  check(file.good(), "cannot write ", path, ": ", std::strerror(errno));
  for (const std::string_view piece : pieces) file.write(piece.data(), static_cast<std::streamsize>(piece.size()));
  file.close();
  std::error_code error;
  if (file.good()) std::filesystem::rename(partial, path, error);
  if (!file.good() || error) {
    const std::string reason = error ? error.message() : std::strerror(errno);
    std::filesystem::remove(partial, error);
    fail("cannot write ", path, ": ", reason);
  }
}

}  // namespace boxcam
