#include "nn/files/sha256.h"

#include <openssl/evp.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <vector>

#include "engine/base/check.h"

namespace boxcam {

std::string sha256_of_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  check(file.good(), "cannot read ", path, ": ", std::strerror(errno));
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  bool good = context && EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1;
  std::vector<char> block(1 << 20);
  while (good && file) {
    file.read(block.data(), static_cast<std::streamsize>(block.size()));
    good = EVP_DigestUpdate(context.get(), block.data(), static_cast<size_t>(file.gcount())) == 1;
  }
  check(!file.bad(), "cannot read ", path);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  good = good && EVP_DigestFinal_ex(context.get(), digest, &length) == 1;
  check(good, "libcrypto could not compute the SHA-256 of ", path);

  std::string digits;
  for (unsigned int i = 0; i < length; ++i)
    for (const int nibble : {digest[i] >> 4, digest[i] & 15}) digits += "0123456789abcdef"[nibble];
  return digits;
}

}  // namespace boxcam
