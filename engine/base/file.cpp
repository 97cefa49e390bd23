#include "engine/base/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <thread>
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

namespace {

/// Whether the file that a descriptor is open on is the one that `path` names, and no link to it.
bool is_at(int descriptor, const std::string& path) {
  struct stat opened {
  }, named{};
  return ::fstat(descriptor, &opened) == 0 && ::lstat(path.c_str(), &named) == 0 && opened.st_ino == named.st_ino &&
         opened.st_dev == named.st_dev;
}

/// Makes room at `path`: what a process that died left there is removed, or a link. False where a process is at work
/// there, which holds its file's lock; an error has an errno that is not 0.
bool remove_what_died(const std::string& path) {
  const int there = ::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (there < 0 && errno != ELOOP && errno != ENOENT) return true;
  const bool is_link = there < 0 && errno == ELOOP;
  const bool busy = there >= 0 && ::flock(there, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  errno = 0;
  // The lock may be free because its file has just taken its place, and what is here now is another's.
  if (is_link || (there >= 0 && !busy && is_at(there, path)))
    if (::unlink(path.c_str()) == 0 || errno == ENOENT) errno = 0;
  const int reason = errno;
  if (there >= 0) ::close(there);
  errno = reason;
  return !busy;
}

/// A new file at `path`, locked for as long as it is open; a process that is at work there is waited for. -1 where
/// errno says why not.
int open_anew(const std::string& path) {
  constexpr auto longest = std::chrono::seconds(10);
  const auto begun = std::chrono::steady_clock::now();
  while (true) {
    const int made = open_to_write(path, O_EXCL);
    if (made >= 0) {
      while (::flock(made, LOCK_EX) != 0 && errno == EINTR) {
      }
      if (is_at(made, path)) return made;  // else it was taken for a dead process' before it was locked
      ::close(made);
    } else if (errno != EEXIST) {
      return -1;
    } else if (const bool free = remove_what_died(path); errno != 0) {
      return -1;
    } else if (!free) {
      if (std::chrono::steady_clock::now() - begun > longest) {
        errno = EBUSY;
        return -1;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }
}

}  // namespace

AtomicFile::AtomicFile(const std::string& path, Unfinished unfinished)
    : path_(path), partial_(path + ".partial"), unfinished_(unfinished) {
  descriptor_ = unfinished == Unfinished::stays ? open_to_write(partial_, O_APPEND) : open_anew(partial_);
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
  check(flushed, "cannot write ", path_, ": ", std::strerror(errno));
  done_ = ::rename(partial_.c_str(), path_.c_str()) == 0;  // before the check, whose arguments have no order
  check(done_, "cannot write ", path_, ": ", std::strerror(errno));
  // Only now: the lock goes with it. What a file system still has to say of a file that is on the disk is too late.
  ::close(std::exchange(descriptor_, -1));
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
