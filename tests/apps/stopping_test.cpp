// How a training run is stopped, by people, schedulers, pipes and accidents: it saves, says how to go on, and loses
// nothing.
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>

#include "tests/programs.h"

namespace boxcam {
namespace {

const std::vector<std::string> kFiles = {"best.safetensors", "last.safetensors", "checkpoint.safetensors"};

void expect_same_files(const std::string& a, const std::string& b) {
  for (const std::string& name : kFiles) EXPECT_TRUE(bytes_of(a + "/" + name) == bytes_of(b + "/" + name)) << name;
}

Outcome resume(const std::string& run) { return run_program("train", {{"--resume", ""}, {"--output", run}}); }

const Arguments kLonger = {{"--epochs", "12"}, {"--lambda", "1"}};

TEST(Stopping, EverySignalThatAsksToStopSavesAndLeaves) {
  const TemporaryFolder folder;
  train(folder / "whole", kLonger);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGXCPU}) {
    const std::string run = folder / std::to_string(signal);
    Program program("train", words_of(with(with(tiny_run(), kLonger), {{"--output", run}})));
    program.wait_for("epoch 1/");
    program.interrupt(signal);
    const Outcome stopped = program.finish();
    EXPECT_EQ(stopped.status, 128 + signal);
    EXPECT_TRUE(contains(stopped.err, "train --resume --output " + run));
    EXPECT_EQ(resume(run).status, 0);
    expect_same_files(folder / "whole", run);
  }
}

TEST(Stopping, ASignalThatWasIgnoredAtTheStartStaysIgnored) {  // nohup
  const TemporaryFolder folder;
  std::signal(SIGHUP, SIG_IGN);
  Program program("train", words_of(with(with(tiny_run(), kLonger), {{"--output", folder / "run"}})));
  std::signal(SIGHUP, SIG_DFL);
  program.wait_for("epoch 1/");
  program.interrupt(SIGHUP);
  EXPECT_EQ(program.finish().status, 0);
}

TEST(Stopping, AClosedPipeDoesNotEndARun) {
  const TemporaryFolder folder;
  train(folder / "whole", kLonger);
  std::string words;
  for (const std::string& word : words_of(with(with(tiny_run(), kLonger), {{"--output", folder / "piped"}})))
    words += " '" + word + "'";
  const std::string command = "(" BOXCAM_BINARY_DIR "/apps/train" + words + "; echo $? > '" + (folder / "status") +
                              "') 2>&1 | head -c 1 > /dev/null";
  ASSERT_EQ(std::system(command.c_str()), 0);
  EXPECT_EQ(bytes_of(folder / "status"), "0\n");
  expect_same_files(folder / "whole", folder / "piped");
}

// An error that is no fault of the weights: everything that was trained is kept.
TEST(Stopping, APictureThatVanishesCostsNothingThatWasTrained) {
  const TemporaryFolder folder;
  write_photographs(folder);
  const Arguments options = with(
      kLonger, {{"--data", "open-images:" + folder.path().string()}, {"--train-images", "0"}, {"--val-images", "0"}});
  train(folder / "whole", options);
  Program program("train", words_of(with(with(tiny_run(), options), {{"--output", folder / "run"}})));
  program.wait_for("epoch 1/");
  std::filesystem::rename(folder / "validation/validation103.png", folder / "kept.png");
  const Outcome stopped = program.finish();
  EXPECT_EQ(stopped.status, 1);
  EXPECT_EQ(std::count(stopped.err.begin(), stopped.err.end(), '\n'), 1) << stopped.err;
  for (const std::string part : {"validation103.png", "saved", "train --resume --output "})
    EXPECT_TRUE(contains(stopped.err, part));
  std::filesystem::rename(folder / "kept.png", folder / "validation/validation103.png");
  EXPECT_EQ(resume(folder / "run").status, 0);
  expect_same_files(folder / "whole", folder / "run");
}

TEST(Stopping, AFileThatMayNotGrowIsAnErrorAndNotADeath) {
  const TemporaryFolder folder;
  std::string words;
  for (const std::string& word : words_of(with(tiny_run(), {{"--output", folder / "run"}}))) words += " '" + word + "'";
  const std::string command =
      "ulimit -f 64; " BOXCAM_BINARY_DIR "/apps/train" + words + " 2> '" + (folder / "err") + "'";
  const int status = std::system(command.c_str());
  EXPECT_EQ(WEXITSTATUS(status), 1);
  EXPECT_TRUE(contains(bytes_of(folder / "err"), "cannot write " + (folder / "run/checkpoint.safetensors")));
}

}  // namespace
}  // namespace boxcam
