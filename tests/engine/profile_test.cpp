// The profiler: what it counts, and that it knows every kernel.
#include "engine/profile.h"

#include <gtest/gtest.h>

#include <cstring>

#include "engine/backend/kernels.h"
#include "engine/ops.h"

namespace boxcam {
namespace {

TEST(Profile, CountsCallsTimeAndBytesByKernelAndShapes) {
  const Tensor a = Tensor::full({8, 4}, 1), b = Tensor::full({4, 2}, 1);
  set_profiling(true);
  for (int i = 0; i < 3; ++i) matmul(a, b);
  exp(a);
  set_profiling(false);
  exp(a);  // not counted
  const std::vector<ProfileRow> rows = profile();
  ASSERT_EQ(rows.size(), 2u);
  const ProfileRow& product = rows[rows[0].kernel == "matmul" ? 0 : 1];
  EXPECT_EQ(product.kernel, "matmul");
  EXPECT_EQ(product.shapes, "[8, 4] [4, 2] [8, 2]");
  EXPECT_EQ(product.calls, 3);
  EXPECT_EQ(product.bytes, 3 * 4 * (32 + 8 + 16));
  EXPECT_GT(product.seconds, 0);
  const std::string table = profile_table(1);
  EXPECT_NE(table.find("| matmul | 3 |"), std::string::npos) << table;
  EXPECT_NE(table.find("| outside the kernels |"), std::string::npos) << table;
}

TEST(Profile, CountsWaitsAsPartOfWhatIsOutsideTheKernels) {
  set_profiling(true);
  for (int i = 0; i < 2; ++i) const ProfiledWait wait("a friend");
  set_profiling(false);
  { const ProfiledWait wait("a friend"); }  // not counted
  const std::vector<ProfileWait> waits = profile_waits();
  ASSERT_EQ(waits.size(), 1u);
  EXPECT_EQ(waits[0].what, "a friend");
  EXPECT_EQ(waits[0].times, 2);
  EXPECT_GT(waits[0].seconds, 0);
  const std::string table = profile_table(1);
  EXPECT_NE(table.find("| outside the kernels |  | 1000.0 | 100.0 % | | |\n| of it waiting for a friend | 2 | "),
            std::string::npos)
      << table;
}

TEST(Profile, BeginsWithNothing) {
  set_profiling(true);
  exp(Tensor::full({2}, 1));
  { const ProfiledWait wait("nothing"); }
  set_profiling(true);
  set_profiling(false);
  EXPECT_TRUE(profile().empty());
  EXPECT_TRUE(profile_waits().empty());
}

TEST(Profile, NamesEveryKernel) {
  set_profiling(true);
  const Kernels timed = kernels(Device::cpu);
  set_profiling(false);
  static_assert(sizeof(Kernels) % sizeof(void*) == 0);
  for (size_t i = 0; i < sizeof(Kernels) / sizeof(void*); ++i) {
    void* entry = nullptr;
    std::memcpy(&entry, reinterpret_cast<const char*>(&timed) + i * sizeof(void*), sizeof entry);
    EXPECT_NE(entry, nullptr) << "entry " << i << " of the kernel table is missing in engine/profile.cpp";
  }
}

}  // namespace
}  // namespace boxcam
