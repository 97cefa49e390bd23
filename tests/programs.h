// Running boxcam's programs as a user does: arguments in, exit status and both streams out. And small data for them.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "engine/machine.h"
#include "nn/data/image.h"
#include "tests/weight_fixtures.h"

namespace boxcam {

/// Options by name; a flag has the value "".
using Arguments = std::map<std::string, std::string>;

inline Arguments with(Arguments base, const Arguments& more) {
  for (const auto& [name, value] : more) base[name] = value;
  return base;
}

/// A run of a fraction of a second: 4 batches in each of 2 epochs.
inline Arguments tiny_run() {
  return {{"--model", "resnet-mini"}, {"--image-size", "32"}, {"--batch", "8"},        {"--epochs", "2"},
          {"--train-images", "32"},   {"--val-images", "16"}, {"--test-images", "16"}, {"--threads", "1"}};
}

/// Whether `--device cuda` works here.
inline bool has_gpu() {
  try {
    cuda_device_name();
    return true;
  } catch (const Error&) {
    return false;
  }
}

struct Outcome {
  int status = -1;  ///< the exit status, or 128 + the signal that ended the program
  std::string out, err;
};

inline testing::AssertionResult contains(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "no '" << part << "' in: " << text;
}

/// A program that runs beside the test.
class Program {
 public:
  Program(const std::string& name, std::vector<std::string> words) {
    words.insert(words.begin(), std::string(BOXCAM_BINARY_DIR) + "/apps/" + name);
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    const std::string out = folder_ / "out", err = folder_ / "err";
    child_ = fork();
    if (child_ != 0) return;
    dup2(open(out.c_str(), O_WRONLY | O_CREAT, 0600), STDOUT_FILENO);
    dup2(open(err.c_str(), O_WRONLY | O_CREAT, 0600), STDERR_FILENO);
    setenv("OMP_WAIT_POLICY", "passive", 1);  // tests share their processors
    execv(argv[0], argv.data());
    _exit(127);
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  ~Program() {
    if (child_ > 0) finish();
  }

  /// Until standard output contains `text`, or the program has ended.
  void wait_for(const std::string& text) {
    await([&] { return bytes_of(folder_ / "out").find(text) != std::string::npos; });
  }
  void interrupt(int signal = SIGINT) const {
    if (child_ > 0) kill(child_, signal);
  }
  Outcome finish() {
    await([] { return false; });
    return {status_, bytes_of(folder_ / "out"), bytes_of(folder_ / "err")};
  }

 private:
  void await(const std::function<bool()>& ready) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(5);
    while (child_ > 0) {
      int status = 0;
      if (waitpid(child_, &status, WNOHANG) == child_) {
        status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        child_ = 0;
        return;
      }
      if (std::filesystem::exists(folder_ / "out") && ready()) return;
      if (std::chrono::steady_clock::now() > deadline) {
        ADD_FAILURE() << "the program did not end";
        kill(child_, SIGKILL);
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }

  TemporaryFolder folder_;
  pid_t child_ = 0;
  int status_ = -1;
};

inline std::vector<std::string> words_of(const Arguments& arguments) {
  std::vector<std::string> words;
  for (const auto& [name, value] : arguments) {
    words.push_back(name);
    if (!value.empty()) words.push_back(value);
  }
  return words;
}

inline Outcome run_program(const std::string& name, const Arguments& arguments,
                           const std::vector<std::string>& more = {}) {
  std::vector<std::string> words = words_of(arguments);
  words.insert(words.end(), more.begin(), more.end());
  return Program(name, words).finish();
}

/// A tiny training run that must succeed.
inline Outcome train(const std::string& output, const Arguments& more = {}) {
  const Outcome result = run_program("train", with(with(tiny_run(), more), {{"--output", output}}));
  EXPECT_EQ(result.status, 0) << result.err;
  return result;
}

/// A run that stopped after its first epochs, so that resuming has something to do.
inline void train_and_interrupt(const Arguments& options) {
  Program program("train", words_of(options));
  program.wait_for("epoch 1/");
  program.interrupt();
  ASSERT_EQ(program.finish().status, 130);
}

/// A JSON file.
inline nlohmann::json json_of(const std::string& path) { return nlohmann::json::parse(bytes_of(path)); }

/// The lines of a run's epochs.jsonl, without what depends on the clock.
inline std::vector<nlohmann::json> epochs_of(const std::string& run) {
  std::vector<nlohmann::json> lines;
  std::istringstream text(bytes_of(run + "/epochs.jsonl"));
  for (std::string line; std::getline(text, line);) {
    lines.push_back(nlohmann::json::parse(line));
    for (const char* key : {"seconds", "images_per_second"}) lines.back().erase(key);
  }
  return lines;
}

/// Photographs in the official OpenImages layout, `count` to a split: a coloured square, the box, on grey. Planes,
/// ships and cars in turn; every fourth image shows nothing. One of the training images is a JPEG.
inline void write_photographs(const TemporaryFolder& folder, int count = 16,
                              const std::vector<std::string>& splits = {"train", "validation"}) {
  const std::string mids[] = {"/m/0cmf2", "/m/019jd", "/m/0k4j"};
  std::ofstream(folder / "class-descriptions-boxable.csv") << "/m/0cmf2,Airplane\n/m/019jd,Boat\n/m/0k4j,Car\n";
  for (const std::string& split : splits) {
    std::filesystem::create_directories(folder / split);
    std::ofstream csv(folder / ((split == "train" ? "oidv6-train" : split) + "-annotations-bbox.csv"));
    csv << "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf\n";
    for (int i = 0; i < count; ++i) {
      const std::string id = split + std::to_string(100 + i);
      if (i == 0 && split == "train") {
        std::filesystem::copy_file(std::string(BOXCAM_SOURCE_DIR) + "/tests/fixtures/rgb.jpg",
                                   folder / (split + "/" + id + ".jpg"));
      } else {
        Image image(40, 60);
        std::fill(image.pixels.begin(), image.pixels.end(), 128);
        for (int y = 10; y < 30; ++y)
          for (int x = 15; x < 45 && i % 4 < 3; ++x) image.at(y, x)[i % 4] = 255;
        write_png(folder / (split + "/" + id + ".png"), image);
      }
      if (i % 4 < 3) csv << id << ",xclick," << mids[i % 4] << ",1,0.25,0.75,0.25,0.75,0,0,0\n";
    }
  }
}

}  // namespace boxcam
