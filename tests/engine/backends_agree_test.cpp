// Walks the kernel table: every entry of every device, f32, f64 and bf16, against the CPU's f64 loops, which are the
// definition. An entry without a case is a red test, and so is a kernel that leaves a hole in its output.
#include <set>

#include "engine/settings.h"
#include "tests/kernel_cases.h"

namespace boxcam {
namespace {

void expect_the_whole_table(Device device, DType dtype) {
  for (const Case& c : all_cases()) {
    if (dtype == DType::bf16 && !c.takes_bf16()) continue;
    const Tensors expected = c.run({cpu_kernels(), Device::cpu, DType::f64});
    // cuDNN rounds the weights' gradient to the activations' type.
    const bool rounded = device == Device::cuda && c.kernel == "conv2d_weight_grad";
    expect_agreement(c.run({kernels(device), device, dtype}), expected, dtype,
                     str(c.kernel, " on ", name(device), " in ", dtype), rounded);
  }
}

TEST(BackendsAgree, EveryEntryOfTheTableHasACase) {
  std::set<size_t> covered;
  for (const Case& c : all_cases()) EXPECT_TRUE(covered.insert(c.slot).second) << c.kernel << " has two cases";
  for (size_t slot = 0; slot < sizeof(Kernels) / sizeof(void (*)()); ++slot)
    EXPECT_TRUE(covered.contains(slot)) << "entry " << slot << " (from 0) of struct Kernels has no case in this file";
}

TEST(BackendsAgree, NoEntryOfTheCpuTableIsEmpty) {
  const Kernels& table = cpu_kernels();
  for (size_t slot = 0; slot < sizeof(Kernels) / sizeof(void (*)()); ++slot)
    EXPECT_NE((reinterpret_cast<void (*const*)()>(&table))[slot], nullptr) << "entry " << slot << " of cpu/table.cpp";
}

TEST(BackendsAgree, CpuSinglePrecision) {
  for (const int count : {1, 2}) {
    set_setting(&Settings::threads, count);
    expect_the_whole_table(Device::cpu, DType::f32);
  }
  set_setting(&Settings::threads, 0);
}

TEST(BackendsAgree, CpuSinglePrecisionWithoutWinograd) {
  set_setting(&Settings::conv_algorithm, ConvAlgorithm::direct);
  expect_the_whole_table(Device::cpu, DType::f32);
  set_setting(&Settings::conv_algorithm, ConvAlgorithm::automatic);
}

// Without bf16 convolutions in the processor these go through f32.
TEST(BackendsAgree, CpuBf16) { expect_the_whole_table(Device::cpu, DType::bf16); }

TEST(BackendsAgree, CpuDoublePrecisionOnTwoThreads) {
  std::vector<Tensors> one;
  set_setting(&Settings::threads, 1);
  for (const Case& c : all_cases()) one.push_back(c.run({cpu_kernels(), Device::cpu, DType::f64}));
  set_setting(&Settings::threads, 2);
  for (size_t i = 0; const Case& c : all_cases())
    expect_agreement(c.run({cpu_kernels(), Device::cpu, DType::f64}), one[i++], DType::f64, c.kernel);
  set_setting(&Settings::threads, 0);
}

TEST(BackendsAgree, Cuda) {
  try {
    cuda_kernels();
  } catch (const Error& e) {
    GTEST_SKIP() << "the CUDA table was not walked; cuda_twins_test ran its kernels' bodies on the CPU. " << e.what();
  }
  const Kernels& table = cuda_kernels();
  for (size_t slot = 0; slot < sizeof(Kernels) / sizeof(void (*)()); ++slot)
    EXPECT_NE((reinterpret_cast<void (*const*)()>(&table))[slot], nullptr) << "entry " << slot << " of cuda/table.cpp";
  for (const DType dtype : {DType::f32, DType::f64, DType::bf16}) expect_the_whole_table(Device::cuda, dtype);
  set_setting(&Settings::fast_algorithms, true);
  expect_the_whole_table(Device::cuda, DType::f32);
  set_setting(&Settings::fast_algorithms, false);
}

}  // namespace
}  // namespace boxcam
