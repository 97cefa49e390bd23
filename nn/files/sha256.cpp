#include "nn/files/sha256.h"

#include <openssl/evp.h>

#include "engine/base/check.h"
#include "engine/base/file.h"

namespace boxcam {

std::string sha256_of_file(const std::string& path) {
  const std::string bytes = read_file(path);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  const bool good = EVP_Digest(bytes.data(), bytes.size(), digest, &length, EVP_sha256(), nullptr) == 1;
  check(good, "libcrypto could not compute the SHA-256 of ", path);

  std::string digits;
  for (unsigned int i = 0; i < length; ++i)
    for (const int nibble : {digest[i] >> 4, digest[i] & 15}) digits += "0123456789abcdef"[nibble];
  return digits;
}

}  // namespace boxcam
