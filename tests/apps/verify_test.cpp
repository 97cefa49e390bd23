// train --verify: a run repeated is the same bit by bit, and where it is not the first difference is told; and
// evaluate --identity.
#include <gtest/gtest.h>

#include "engine/base/sha256.h"
#include "tests/programs.h"

namespace boxcam {
namespace {

using nlohmann::json;

const Arguments kOptions = {{"--lambda", "2"}, {"--augment", "flip"}, {"--epochs", "2"}};

Outcome verify(const std::string& run, const Arguments& more = {}) {
  return run_program("train", with({{"--verify", run}}, more));
}

/// Replaces the first `from` in a file of the run.
void change(const std::string& path, const std::string& from, const std::string& to) {
  std::string text = bytes_of(path);
  ASSERT_NE(text.find(from), std::string::npos) << path;
  write_bytes(path, text.replace(text.find(from), from.size(), to));
}

TEST(Verify, ARunIsRepeatedAndNothingOfItIsTouched) {
  const TemporaryFolder folder;
  train(folder / "run", kOptions);
  const std::string before = bytes_of(folder / "run/run.json") + bytes_of(folder / "run/proof.jsonl");
  const Outcome whole = verify(folder / "run");
  EXPECT_EQ(whole.status, 0) << whole.err;
  EXPECT_TRUE(contains(whole.out, "the same bits after steps 1, 2")) << whole.out;
  EXPECT_TRUE(contains(whole.out, "in 2 epochs, the same weights at the end and the same test")) << whole.out;
  const Outcome part = verify(folder / "run", {{"--verify-steps", "2"}, {"--output", folder / "kept"}});
  EXPECT_EQ(part.status, 0) << part.err;
  EXPECT_TRUE(contains(part.out, "the same bits after steps 1, 2\n")) << part.out;
  EXPECT_EQ(bytes_of(folder / "kept/proof.jsonl"),
            bytes_of(folder / "run/proof.jsonl").substr(0, bytes_of(folder / "kept/proof.jsonl").size()));
  EXPECT_EQ(bytes_of(folder / "run/run.json") + bytes_of(folder / "run/proof.jsonl"), before);
}

TEST(Verify, AnInterruptedRunLeavesTheSameProof) {
  const TemporaryFolder folder;
  const Arguments options = with(kOptions, {{"--epochs", "20"}});
  train(folder / "whole", options);
  train_and_interrupt(with(with(tiny_run(), options), {{"--output", folder / "parts"}}));
  const Outcome unfinished = verify(folder / "parts");
  EXPECT_EQ(unfinished.status, 1);
  EXPECT_TRUE(contains(unfinished.err, "is not finished")) << unfinished.err;
  EXPECT_EQ(run_program("train", {{"--resume", ""}, {"--output", folder / "parts"}}).status, 0);
  EXPECT_EQ(bytes_of(folder / "whole/proof.jsonl"), bytes_of(folder / "parts/proof.jsonl"));
}

TEST(Verify, TheFirstDifferenceIsTold) {
  const TemporaryFolder folder;
  train(folder / "run", kOptions);
  const auto refuses = [&](const std::vector<std::string>& parts, const Arguments& more = {}, int status = 1) {
    const Outcome result = verify(folder / "run", more);
    EXPECT_EQ(result.status, status) << result.out;
    for (const std::string& part : parts) EXPECT_TRUE(contains(result.err, part)) << result.err;
  };
  refuses({"--verify: the run in", "--lambda is \"3\", was \"2\""}, {{"--lambda", "3"}});
  refuses({"contradicts --resume"}, {{"--resume", ""}}, 2);
  change(folder / "run/test.json", "\"test_accuracy\": 0", "\"test_accuracy\": 3");
  refuses({"test_accuracy in test.json is", "recorded 3", "program and machine are the same"});
  change(folder / "run/epochs.jsonl", "\"val_loss\":", "\"val_loss\":9");
  refuses({"val_loss of epoch 1 is", "recorded 9"});
  change(folder / "run/proof.jsonl", "\"state\":\"", "\"state\":\"x");
  change(folder / "run/run.json", "\"processor\": \"", "\"processor\": \"Another ");
  refuses({"the state after step 1 is", "recorded x", "not as it was: processor was Another"});
  // Of a run that kept no proof, less than an epoch cannot be told from anything.
  write_bytes(folder / "run/proof.jsonl", "");
  refuses({"recorded nothing of its first 1 steps"}, {{"--verify-steps", "1"}});
  const Outcome alone = run_program("train", {{"--verify-steps", "1"}});
  EXPECT_EQ(alone.status, 2);
  EXPECT_TRUE(contains(alone.err, "--verify-steps: needs --verify")) << alone.err;
}

TEST(Identity, TellsTheFileAndTheRunBesideIt) {
  const TemporaryFolder folder;
  train(folder / "run", kOptions);
  const std::string file = folder / "run/last.safetensors";
  const Outcome result = run_program("evaluate", {{"--identity", file}});
  ASSERT_EQ(result.status, 0) << result.err;
  const json identity = json::parse(result.out), run = json::parse(bytes_of(folder / "run/run.json"));
  EXPECT_EQ(identity["sha256"], sha256_of_file(file));
  EXPECT_EQ(identity["tensors-sha256"], identity["says"]["tensors-sha256"]);
  EXPECT_EQ(identity["says"]["model"], "resnet-mini");
  EXPECT_EQ(identity["run"]["identity"], run["identity"]);
  EXPECT_EQ(identity["run"]["data"], run["data"]);
  for (const char* key : {"boxcam", "commit", "flags", "c_library", "processor", "threads"})
    EXPECT_TRUE(run["identity"].contains(key)) << key;
  // A bit of a weight is another one.
  std::string bytes = bytes_of(file);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  write_bytes(file, bytes);
  const Outcome damaged = run_program("evaluate", {{"--identity", file}});
  EXPECT_EQ(damaged.status, 1);
  EXPECT_TRUE(contains(damaged.err, file + " is damaged")) << damaged.err;
}

}  // namespace
}  // namespace boxcam
