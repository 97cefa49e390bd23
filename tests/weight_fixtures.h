// What safetensors_test and weights_test share: the fixtures' values and folders, and damage done to files.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "nn/files/safetensors.h"
#include "tests/temporary_folder.h"

namespace boxcam {

inline std::string weight_fixture(const std::string& name) {
  return std::string(BOXCAM_SOURCE_DIR) + "/tests/fixtures/weights/" + name;
}

/// The formula of fixtures/make_weight_fixtures.py before the division by 8 and the shifts.
inline std::vector<int64_t> formula(const std::string& name, int64_t count) {
  int64_t sum = 0;
  for (const unsigned char c : name) sum += c;
  std::vector<int64_t> values;
  for (int64_t i = 0; i < count; ++i) values.push_back((7 * i + 13 * sum) % 31 - 15);
  return values;
}

inline void expect_formula(const FileTensor& entry) {
  const std::vector<int64_t> numbers = formula(entry.name, entry.shape().numel());
  if (entry.is_int64()) {
    std::vector<int64_t> expected;
    for (const int64_t n : numbers) expected.push_back(n + (int64_t{1} << 40));
    EXPECT_EQ(entry.int64, expected) << entry.name;
    return;
  }
  std::vector<double> expected;
  for (const int64_t n : numbers) {
    const DType dtype = entry.tensor.dtype();
    expected.push_back(dtype == DType::i32  ? static_cast<double>(n)
                       : dtype == DType::u8 ? static_cast<double>(n + 15)
                                            : static_cast<double>(n) / 8);
  }
  EXPECT_EQ(entry.tensor.to_vector(), expected) << entry.name;
}

/// The message of the Error that `action` throws; a failed test when it throws none.
inline std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "no Error was thrown";
  return "";
}

inline void expect_error(const std::function<void()>& action, const std::vector<std::string>& parts) {
  const std::string message = error_of(action);
  for (const std::string& part : parts) EXPECT_NE(message.find(part), std::string::npos) << part << " | " << message;
}

/// Cuts the file at every length, which must end in Error, then flips bytes at random, which must end in Error or in a
/// result (a changed number is none of the reader's business). Anything else, a crash included, fails the test.
inline void damage(const std::string& path, const std::function<void(const std::string&)>& read) {
  const TemporaryFolder folder;
  const std::string bytes = bytes_of(path), name = std::filesystem::path(path).filename().string();
  for (size_t length = 0; length < bytes.size(); ++length) {
    const std::string cut = write_bytes(folder / name, bytes.substr(0, length));
    EXPECT_THROW(read(cut), Error) << name << " cut to " << length << " bytes";
  }
  std::mt19937 random(7);
  size_t refused = 0;
  constexpr size_t rounds = 1500;
  for (size_t round = 0; round < rounds; ++round) {
    std::string changed = bytes;
    for (size_t flips = 1 + random() % 4; flips > 0; --flips)
      changed[random() % changed.size()] = static_cast<char>(random());
    try {
      read(write_bytes(folder / name, changed));
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, rounds / 10) << name;
}

}  // namespace boxcam
