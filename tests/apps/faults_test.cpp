// Calls that fail inside boxcam's programs, through the library that scripts/faults preloads. Here are those that once
// ended a program, or let it go on with less than it should have; scripts/faults fails every call.
#include <gtest/gtest.h>

#include <cstdlib>
#include <set>
#include <sstream>

#include "tests/programs.h"

namespace boxcam {
namespace {

class Faults : public testing::Test {
 protected:
  Faults() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skipped_ = true;  // its allocator is the one that must be preloaded
#endif
  }
  void SetUp() override {
    if (skipped_) GTEST_SKIP() << "the sanitizer replaces the same functions";
  }

  /// `what`: a variable of tests/faults/faults.cpp without its prefix, and its value.
  Outcome run(const std::string& program, const Arguments& arguments,
              const std::pair<std::string, std::string>& what) const {
    const std::string variable = "BOXCAM_FAULTS_" + what.first;
    setenv("LD_PRELOAD", BOXCAM_BINARY_DIR "/tests/libboxcam_faults.so", 1);
    setenv("BOXCAM_FAULTS_PROGRAM", program.c_str(), 1);
    setenv("BOXCAM_FAULTS_FOLDER", folder_.path().c_str(), 1);
    setenv(variable.c_str(), what.second.c_str(), 1);
    Program started(program, words_of(arguments));
    unsetenv("LD_PRELOAD");
    unsetenv(variable.c_str());
    return started.finish();
  }

  const TemporaryFolder folder_;
  bool skipped_ = false;
};

void expect_sentence(const Outcome& outcome) {
  EXPECT_EQ(outcome.status, 1) << outcome.err;
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  EXPECT_EQ(outcome.err.find("std::"), std::string::npos) << outcome.err;
}

TEST_F(Faults, AThreadLessIsNoneThatIsNeeded) {
  write_photographs(folder_);
  const Arguments options = with(tiny_run(), {{"--data", "open-images:" + folder_.path().string()},
                                              {"--train-images", "0"},
                                              {"--val-images", "0"},
                                              {"--epochs", "1"},
                                              {"--loader-threads", "2"}});
  train(folder_ / "whole", options);
  for (const std::string number : {"1", "4"}) {  // of those that look into the files
    const std::string folder = folder_ / number;
    const Outcome outcome = run("train", with(options, {{"--output", folder}}), {"FAIL", "thread:" + number});
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_TRUE(bytes_of(folder + "/last.safetensors") == bytes_of(folder_ / "whole/last.safetensors"));
  }
}

TEST_F(Faults, NoMemoryIsOneSentenceWhereverItEnds) {
  const std::set<std::string> calls = {"1", "20", "500", "3000", "6000", "20000", "60000", "100000"};
  for (const std::string& call : calls) {
    const Outcome outcome = run("train", with(tiny_run(), {{"--output", folder_ / call}}), {"FAIL", "alloc:" + call});
    if (outcome.status != 0 && outcome.status != 128 + SIGSEGV) expect_sentence(outcome);  // of oneDNN: reliability.md
    EXPECT_NE(outcome.status, 128 + SIGABRT) << call;
  }
}

TEST_F(Faults, AReadThatFailsIsNeverTheEndOfAFile) {
  train(folder_ / "run");
  const Arguments options = {{"--checkpoint", folder_ / "run/best.safetensors"}, {"--json", folder_ / "json"}};
  const Outcome whole = run("evaluate", options, {"COUNT", folder_ / "counts"});
  ASSERT_EQ(whole.status, 0) << whole.err;
  std::filesystem::remove(folder_ / "json");
  std::istringstream counts(bytes_of(folder_ / "counts"));
  std::string kind;
  int reads = 0;
  while (counts >> kind && kind != "read") counts >> reads;
  counts >> reads;
  ASSERT_GT(reads, 2);
  for (int n = 1; n <= reads; ++n) {
    expect_sentence(run("evaluate", options, {"FAIL", "read:" + std::to_string(n)}));
    EXPECT_FALSE(std::filesystem::exists(folder_ / "json")) << n;
  }
}

TEST_F(Faults, EveryLineOfAnEpochIsOnTheDiskBeforeItsCheckpoint) {
  const Outcome outcome = run("train", with(tiny_run(), {{"--output", folder_ / "run"}}), {"JOURNAL", folder_ / "j"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const std::string journal = bytes_of(folder_ / "j");
  int lines = 0;
  for (size_t at = 0; (at = journal.find("run/epochs.jsonl\n", at)) != std::string::npos; ++at) {
    const size_t begin = journal.rfind("open ", at) + 5;
    const std::string number = journal.substr(begin, journal.find(' ', begin) - begin);
    const size_t written = journal.find("write " + number + " ", at),
                 synced = journal.find("sync " + number + "\n", at);
    if (written == std::string::npos) continue;  // opened to be read
    ++lines;
    EXPECT_LT(written, synced);
    EXPECT_LT(synced, journal.find("checkpoint.safetensors.partial\n", at));
  }
  EXPECT_EQ(lines, 2);
}

}  // namespace
}  // namespace boxcam
