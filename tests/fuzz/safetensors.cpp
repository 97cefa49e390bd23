// What is read is written and read again: the same tensors and metadata.
#include "nn/files/safetensors.h"

#include "tests/fuzz/target.h"

namespace boxcam::fuzz {

void run(std::string_view input) {
  const std::string path = write("first.safetensors", input);
  const TensorFile first = read_safetensors(path);
  require(read_metadata(path) == first.metadata, "the metadata alone are those of the whole file");
  const std::string again = path + ".again";
  write_safetensors(again, first);
  const TensorFile second = read_safetensors(again);
  require(tensors_sha256(first) == tensors_sha256(second) && first.metadata == second.metadata,
          "what was read is read again after it was written");
}

}  // namespace boxcam::fuzz
