#include "engine/base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/durable.h"

namespace boxcam {

// Without O_NONBLOCK a pipe would wait for its other end.
InputFile::InputFile(const std::string& path, const std::string& what)
    : failed_(str("cannot read ", what, what.empty() ? "" : " ", path, ": ")),
      descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
  check(descriptor_ >= 0, failed_, std::strerror(errno));
  struct stat status {};
  const bool known = ::fstat(descriptor_, &status) == 0;
  const bool regular = known && S_ISREG(status.st_mode);
  const std::string reason = !known                    ? std::strerror(errno)
                             : S_ISDIR(status.st_mode) ? std::strerror(EISDIR)
                                                       : "it is not a regular file";
  if (!regular) ::close(descriptor_);
  check(regular, failed_, reason);
  size_ = static_cast<uint64_t>(status.st_size);
}

InputFile::~InputFile() { ::close(descriptor_); }

size_t InputFile::read(void* to, size_t count) {
  const size_t got = read_at(position_, to, count);
  position_ += got;
  return got;
}

size_t InputFile::read_at(uint64_t position, void* to, size_t count) const {
  size_t done = 0;
  while (done < count) {
    const ssize_t got =
        ::pread(descriptor_, static_cast<char*>(to) + done, count - done, static_cast<off_t>(position + done));
    if (got < 0 && errno == EINTR) continue;
    check(got >= 0, failed_, std::strerror(errno));
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  return done;
}

std::string read_file(const std::string& path, const std::string& what) {
  InputFile file(path, what);
  std::string bytes(file.size(), '\0');
  const size_t got = file.read(bytes.data(), bytes.size());
  check(got == bytes.size(), "cannot read ", what, what.empty() ? "" : " ", path, ": got ", got, " of ", bytes.size(),
        " bytes");
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
