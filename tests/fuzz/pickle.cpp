// A pickle by itself, and the dicts that are looked for in it.
#include "nn/files/pickle.h"

#include "engine/base/check.h"
#include "nn/files/tensor_dicts.h"
#include "tests/fuzz/target.h"

namespace boxcam::fuzz {

void run(std::string_view input) {
  pickle::Unpickler unpickler("input");
  std::span<const char> rest(input);
  const pickle::Value& saved = unpickler.load(rest);
  uint64_t budget = input.size() * 32 + (1 << 20);  // as a TorchFile's
  const pickle::TensorDicts dicts(saved, "input", [&](uint64_t bytes) {
    check(bytes <= budget, "too many names");
    budget -= bytes;
  });
  for (const pickle::TensorDicts::Entries& dict : dicts.all()) {
    dicts.where(dict);
    dicts.python(dict);
  }
}

}  // namespace boxcam::fuzz
