// Bytes and entries that are to outlast the power: what AtomicFile and the files that grow are made of.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace boxcam {

/// Writes all bytes where the descriptor stands. False where errno says why not.
bool write_all(int descriptor, const void* bytes, size_t count);

/// A descriptor to write to a file that is there, or made (O_CREAT is added to `flags`); -1 where errno says why not.
/// Never through a link: a name that is one, a file that has a second name, and what is no file are refused (ELOOP,
/// EMLINK, EINVAL), so that a folder from a stranger cannot say where the bytes go.
int open_to_write(const std::string& path, int flags);

/// Adds `bytes` to the end of a file, which is made where there is none, and waits until the disk has them. Throws
/// Error naming the path and the system's reason.
void append_to_file(const std::string& path, std::string_view bytes);

/// Waits until the disk has the entry of what was made at `path`, as far as the file system can do that.
void sync_entry(const std::string& path);

}  // namespace boxcam
