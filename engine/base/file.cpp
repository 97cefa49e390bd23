#include "engine/base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/durable.h"

namespace boxcam {

std::string read_file(const std::string& path, const std::string& what) {
  const std::string failed = str("cannot read ", what, what.empty() ? "" : " ", path, ": ");
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  check(!error, failed, error.message());
  std::string bytes(size, '\0');
  std::ifstream file(path, std::ios::binary);
  check(file.good(), failed, std::strerror(errno));
  file.read(bytes.data(), static_cast<std::streamsize>(size));
  check(file.gcount() == static_cast<std::streamsize>(size), failed, "got ", file.gcount(), " of ", size, " bytes");
  return bytes;
}

AtomicFile::AtomicFile(const std::string& path, Unfinished unfinished)
    : path_(path), partial_(path + ".partial"), unfinished_(unfinished) {
  // What vanishes is made anew, whatever an earlier process, or somebody else, left in its place.
  if (unfinished == Unfinished::vanishes) ::unlink(partial_.c_str());
  descriptor_ = open_to_write(partial_, unfinished == Unfinished::stays ? O_APPEND : O_EXCL);
  check(descriptor_ >= 0, "cannot write ", path_, ": ", std::strerror(errno));
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!done_ && unfinished_ == Unfinished::vanishes) ::unlink(partial_.c_str());
}

void AtomicFile::write(const void* bytes, size_t count) {
  const bool good = write_all(descriptor_, bytes, count);  // before the check, whose arguments have no order
  check(good, "cannot write ", path_, ": ", std::strerror(errno));
}

void AtomicFile::write_at(uint64_t position, const void* bytes, size_t count) {
  const auto seek = [&](off_t offset, int whence) {
    const bool moved = ::lseek(descriptor_, offset, whence) >= 0;
    check(moved, "cannot write ", path_, ": ", std::strerror(errno));
  };
  seek(static_cast<off_t>(position), SEEK_SET);
  write(bytes, count);
  seek(0, SEEK_END);
}

void AtomicFile::clear() {
  const bool emptied = ::ftruncate(descriptor_, 0) == 0 && ::lseek(descriptor_, 0, SEEK_SET) == 0;
  check(emptied, "cannot write ", path_, ": ", std::strerror(errno));
}

uint64_t AtomicFile::size() const {
  struct stat status {};
  const bool known = ::fstat(descriptor_, &status) == 0;
  check(known, "cannot write ", path_, ": ", std::strerror(errno));
  return static_cast<uint64_t>(status.st_size);
}

void AtomicFile::commit() {
  const bool flushed = ::fsync(descriptor_) == 0;
  const bool closed = ::close(std::exchange(descriptor_, -1)) == 0;
  check(flushed && closed, "cannot write ", path_, ": ", std::strerror(errno));
  done_ = ::rename(partial_.c_str(), path_.c_str()) == 0;  // before the check, whose arguments have no order
  check(done_, "cannot write ", path_, ": ", std::strerror(errno));
  sync_entry(path_);  // where that cannot be done, the file is still whole
}

void write_file(const std::string& path, const std::vector<std::string_view>& pieces) {
  AtomicFile file(path);
  for (const std::string_view piece : pieces) file.write(piece);
  file.commit();
}

void check_new_file(const std::string& option, const std::string& path) {
  if (path.empty()) return;
  std::error_code error;
  check(!std::filesystem::exists(std::filesystem::symlink_status(path, error)), option, ": ", path,
        " exists already; choose another name, or remove it first");
  try {
    const AtomicFile probe(path);
  } catch (const Error& e) {
    fail(option, ": ", e.what());
  }
}

}  // namespace boxcam
