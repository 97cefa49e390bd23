// SHA-256 of files: torchvision puts the first digits into the names of its weight files.
#pragma once

#include <string>

namespace boxcam {

/// 64 lower-case hexadecimal digits. Throws Error naming the file when it cannot be read.
std::string sha256_of_file(const std::string& path);

}  // namespace boxcam
