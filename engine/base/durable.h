// Bytes and entries that are to outlast the power: what AtomicFile and the files that grow are made of.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace boxcam {

/// Writes all bytes where the descriptor stands. False where errno says why not.
bool write_all(int descriptor, const void* bytes, size_t count);

/// Adds `bytes` to the end of a file, which is made where there is none, and waits until the disk has them. Throws
/// Error naming the path and the system's reason.
void append_to_file(const std::string& path, std::string_view bytes);

/// Waits until the disk has the entry of what was made at `path`, as far as the file system can do that.
void sync_entry(const std::string& path);

}  // namespace boxcam
