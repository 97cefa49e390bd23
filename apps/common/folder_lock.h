// One process at a time in a folder.
#pragma once

#include <string>

namespace boxcam {

/// Holds the lock of a folder for as long as it lives; a process that dies gives it back. The lock is the folder's own,
/// so that nothing is left behind. Network file systems lock what is open for writing alone, which a folder cannot be:
/// there it is that of a file in it, kFile. File systems that cannot lock do without.
class FolderLock {
 public:
  static constexpr const char* kFile = ".lock";

  /// `make_file`: whether kFile may be made where it is needed.
  explicit FolderLock(const std::string& folder, bool make_file = true);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

  /// Whether another process holds it, so that this one does not.
  bool taken() const { return taken_; }

 private:
  int descriptor_ = -1;
  bool taken_ = false;
};

}  // namespace boxcam
