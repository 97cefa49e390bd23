#include "apps/common/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

namespace boxcam {

FolderLock::FolderLock(const std::string& folder, bool make_file) {
  const auto locked = [this](int descriptor) {
    if (descriptor < 0) return false;
    if (::flock(descriptor, LOCK_EX | LOCK_NB) == 0) {
      descriptor_ = descriptor;
      return true;
    }
    taken_ = errno == EWOULDBLOCK;
    ::close(descriptor);
    return false;
  };
  const int own = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (locked(own) || own < 0 || taken_) return;
  locked(::open((folder + "/" + kFile).c_str(), O_RDWR | O_CLOEXEC | (make_file ? O_CREAT : 0), 0644));
}

FolderLock::~FolderLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace boxcam
