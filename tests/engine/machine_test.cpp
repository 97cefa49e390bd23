// What a process may use of its machine.
#include "engine/machine.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <cstdlib>
#include <fstream>

#include "engine/settings.h"
#include "tests/temporary_folder.h"

namespace boxcam {
namespace {

void put(const std::filesystem::path& file, const std::string& text) {
  std::filesystem::create_directories(file.parent_path());
  std::ofstream(file) << text;
}

TEST(Machine, TheQuotaOfAGroupIsTheLeastOfItsOwnAndOfThoseAboveIt) {
  const TemporaryFolder folder;
  const std::string self = folder / "self", mount = folder / "fs";
  EXPECT_EQ(cpu_quota(self, mount), 0);  // no such file
  put(self, "0::/a/b\n");
  EXPECT_EQ(cpu_quota(self, mount), 0);
  put(mount + "/a/b/cpu.max", "max 100000\n");
  EXPECT_EQ(cpu_quota(self, mount), 0);
  put(mount + "/a/b/cpu.max", "350000 100000\n");
  EXPECT_EQ(cpu_quota(self, mount), 3.5);
  put(mount + "/a/cpu.max", "50000 100000\n");
  EXPECT_EQ(cpu_quota(self, mount), 0.5);
  put(mount + "/other/cpu.max", "1000 100000\n");
  EXPECT_EQ(cpu_quota(self, mount), 0.5);
}

TEST(Machine, AQuotaOfTheFirstVersion) {
  const TemporaryFolder folder;
  const std::string self = folder / "self", mount = folder / "fs";
  put(self, "12:memory:/x\n3:cpu,cpuacct:/a\n");
  put(mount + "/cpu/a/cpu.cfs_period_us", "100000\n");
  put(mount + "/cpu/a/cpu.cfs_quota_us", "-1\n");
  EXPECT_EQ(cpu_quota(self, mount), 0);
  put(mount + "/cpu/a/cpu.cfs_quota_us", "200000\n");
  EXPECT_EQ(cpu_quota(self, mount), 2);
}

TEST(Machine, AffinityIsRespected) {
  cpu_set_t before, one;
  ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
  EXPECT_LE(usable_processors(), CPU_COUNT(&before));
  CPU_ZERO(&one);
  for (int i = 0; i < CPU_SETSIZE; ++i)
    if (CPU_ISSET(i, &before)) {
      CPU_SET(i, &one);
      break;
    }
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  EXPECT_EQ(usable_processors(), 1);
  sched_setaffinity(0, sizeof before, &before);
}

TEST(Machine, ZeroThreadsAreThoseOfTheEnvironmentOrOfTheMachine) {
  const Settings before = settings();
  const char* value = std::getenv("OMP_NUM_THREADS");
  const std::string kept = value ? value : "";
  setenv("OMP_NUM_THREADS", "3,2", 1);
  set_setting(&Settings::threads, 0);
  EXPECT_EQ(threads(), 3);
  for (const char* none : {"", "0", "many"}) {
    setenv("OMP_NUM_THREADS", none, 1);
    set_setting(&Settings::threads, 0);
    EXPECT_EQ(threads(), usable_processors()) << none;
  }
  value ? setenv("OMP_NUM_THREADS", kept.c_str(), 1) : unsetenv("OMP_NUM_THREADS");
  set_settings(before);
}

TEST(Machine, SomeMemoryIsFree) { EXPECT_GT(usable_memory(), uint64_t{1} << 20); }

}  // namespace
}  // namespace boxcam
