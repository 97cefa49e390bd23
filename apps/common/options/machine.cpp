#include "apps/common/options/machine.h"

#include <iostream>

#include "apps/common/program.h"
#include "engine/machine.h"

namespace boxcam {

void declare_seed(OptionTable& table, RunOptions& o) {
  table.group("Machine");
  table.whole("--seed", o.seed, "of fresh weights, order and augmentation");
}

void declare_cpu(OptionTable& table, RunOptions& o) {
  table.group("Machine");
  table.whole("--threads", o.threads, between(0, 1024),
              "CPU threads; 0: OMP_NUM_THREADS, else all that affinity and the container's quota allow; results depend "
              "on it bit by bit");
  table.word("--conv-algorithm", o.conv_algorithm, "auto: Winograd where the library has it and it is faster");
  table.word("--precision", o.precision,
             "of activations and convolutions; weights, statistics, CAMs and losses are always f32");
  table.text("--profile", o.profile,
             "write the time and bytes of each kernel, and waits for the loader, to this file, as a Markdown table");
  table.unrecorded();
}

void declare_device(OptionTable& table, RunOptions& o) {
  table.group("Machine");
  table.word("--device", o.device, "what computes");
  table.flag("--allow-tf32", o.allow_tf32, "cuda: f32 convolutions and matrix products may round to TF32");
  table.flag("--fast-algorithms", o.fast_algorithms,
             "cuda: time cuDNN's reproducible engines and take the fastest, which may differ from run to run");
}

void apply(const RunOptions& options) {
  if (!options.profile.empty()) start_profile(options.profile);
  set_settings({options.threads, options.conv_algorithm, options.allow_tf32, options.fast_algorithms});
  if (options.device == Device::cuda) {
    try {
      cuda_device_name();
    } catch (const Error& e) {
      fail("--device cuda: ", e.what(), "; use --device cpu");
    }
  }
  if (options.precision == DType::bf16 && options.device == Device::cpu)
    check(cpu_has_bf16(), "--precision bf16: expected a processor with AVX-512 BF16 and a build with oneDNN, found ",
          processor_name(), " and oneDNN ", onednn_version(), "; use --precision f32");
  if (options.precision == DType::bf16 && options.device == Device::cuda)
    check(cuda_has_bf16(), "--precision bf16: expected a GPU of compute capability 8.0 or more, found ",
          cuda_device_name(), "; use --precision f32");
  if (options.device == Device::cpu && onednn_version() == "none")
    std::cerr << "note: boxcam was built without oneDNN and computes with plain loops: training will be slow\n";
}

}  // namespace boxcam
