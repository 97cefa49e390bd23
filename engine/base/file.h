// Reading files whole, and writing them so that nothing the user had is lost.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace boxcam {

/// A file that is open to be read. Throws Error naming the path and the system's reason, "cannot read image a.png:
/// ...", where `what` is "image", also where it is no regular file: a pipe would be waited for, and a device has no
/// end.
class InputFile {
 public:
  explicit InputFile(const std::string& path, const std::string& what = "");
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  uint64_t size() const { return size_; }  ///< when it was opened
  /// What follows what was read last; fewer bytes at the end of the file alone. Gives their number.
  size_t read(void* to, size_t count);
  size_t read_at(uint64_t position, void* to, size_t count) const;  ///< the same, from anywhere, by any thread

 private:
  std::string failed_;  // "cannot read image a.png: "
  int descriptor_ = -1;
  uint64_t size_ = 0, position_ = 0;
};

/// All bytes of a file. Throws Error as InputFile does.
std::string read_file(const std::string& path, const std::string& what = "");

/// A new file beside `path`, called `path`.partial, that takes its place in one step when all is written, or vanishes:
///
///   AtomicFile file(path);
///   file.write(bytes);
///   file.commit();
///
/// Neither goes through a link: one in the place of `path` is replaced, one in that of `path`.partial refused or
/// removed. Everything throws Error naming the path and the system's reason.
class AtomicFile {
 public:
  /// What is not committed vanishes; or it stays, and the next of the same path and kind goes on behind it.
  enum class Unfinished { vanishes, stays };
  explicit AtomicFile(const std::string& path, Unfinished unfinished = Unfinished::vanishes);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* bytes, size_t count);
  void write(std::string_view bytes) { write(bytes.data(), bytes.size()); }
  void write_at(uint64_t position, const void* bytes, size_t count);  ///< over what was written; of what vanishes only
  void clear();                                                       ///< nothing is written yet
  uint64_t size() const;                                              ///< written so far
  const std::string& partial() const { return partial_; }             ///< where that lies
  void commit();  ///< `path` is complete, on the disk too: the machine may go down now

 private:
  std::string path_, partial_;
  Unfinished unfinished_;
  int descriptor_ = -1;
  bool done_ = false;
};

/// Writes the pieces one after another, as an AtomicFile.
void write_file(const std::string& path, const std::vector<std::string_view>& pieces);

/// For outputs that come at the end of long work: throws Error, naming the option, when there is something at `path`
/// already, which is the user's, or, with the system's reason, when an AtomicFile could not write it; leaves nothing.
/// An empty path is none.
void check_new_file(const std::string& option, const std::string& path);

}  // namespace boxcam
