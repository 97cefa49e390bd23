// SHA-256: of weight files, whose names carry it (torchvision), of tensors and of data sets, by which equal ones are
// told.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace boxcam {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void add(const void* bytes, size_t count);
  void add(std::string_view bytes) { add(bytes.data(), bytes.size()); }
  /// 64 lower-case hexadecimal digits of all that was added; nothing may be added afterwards.
  std::string digits();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Throws Error naming the file when it cannot be read.
std::string sha256_of_file(const std::string& path);

}  // namespace boxcam
