#include "engine/base/sha256.h"

#include <openssl/evp.h>

#include <vector>

#include "engine/base/check.h"
#include "engine/base/file.h"

namespace boxcam {

namespace {
void check_crypto(bool good) { check(good, "libcrypto could not compute a SHA-256"); }
}  // namespace

struct Sha256::State {
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context{EVP_MD_CTX_new(), EVP_MD_CTX_free};
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  check_crypto(state_->context && EVP_DigestInit_ex(state_->context.get(), EVP_sha256(), nullptr) == 1);
}
Sha256::~Sha256() = default;

void Sha256::add(const void* bytes, size_t count) {
  check_crypto(EVP_DigestUpdate(state_->context.get(), bytes, count) == 1);
}

std::string Sha256::digits() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  check_crypto(EVP_DigestFinal_ex(state_->context.get(), digest, &length) == 1);
  std::string digits;
  for (unsigned int i = 0; i < length; ++i)
    for (const int nibble : {digest[i] >> 4, digest[i] & 15}) digits += "0123456789abcdef"[nibble];
  return digits;
}

std::string sha256_of_file(const std::string& path) {
  InputFile file(path);
  Sha256 hash;
  std::vector<char> block(1 << 20);
  while (const size_t got = file.read(block.data(), block.size())) hash.add(block.data(), got);
  return hash.digits();
}

}  // namespace boxcam
