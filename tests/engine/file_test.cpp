// Files: read whole, written whole or not at all.
#include "engine/base/file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "engine/base/check.h"
#include "engine/base/durable.h"
#include "engine/base/sha256.h"

namespace boxcam {
namespace {

namespace fs = std::filesystem;

struct File : testing::Test {
  File() : folder(fs::temp_directory_path() / ("boxcam_file_" + std::to_string(getpid()))), path(folder / "a") {
    fs::create_directories(folder);
  }
  ~File() override { fs::remove_all(folder); }
  void write_bytes_of_a_dead_process() const { std::ofstream(path + ".partial") << "half of"; }
  bool alone() const { return std::distance(fs::directory_iterator(folder), {}) == 1; }

  const fs::path folder;
  const std::string path;
};

template <class F>
std::string message_of(F&& action) {
  try {
    action();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST_F(File, TakesItsPlaceInOneStep) {
  write_file(path, {"old"});
  {
    AtomicFile file(path);
    file.write("____ new");
    file.write_at(0, "very", 4);
    file.write(" bytes");
    EXPECT_EQ(read_file(path), "old");
    file.commit();
  }
  EXPECT_EQ(read_file(path), "very new bytes");
  EXPECT_TRUE(alone());
}

TEST_F(File, StaysForTheNextWhereItIsToldTo) {
  const auto stays = AtomicFile::Unfinished::stays;
  { AtomicFile(path, stays).write("one, "); }
  EXPECT_FALSE(fs::exists(path));
  {
    AtomicFile file(path, stays);
    EXPECT_EQ(file.size(), 5u);
    file.write("two");
    EXPECT_EQ(read_file(file.partial()), "one, two");
    file.commit();
  }
  EXPECT_EQ(read_file(path), "one, two");
  {
    AtomicFile file(path, stays);
    file.write("three");
    file.clear();
    file.write("four");
    file.commit();
  }
  EXPECT_EQ(read_file(path), "four");
  EXPECT_TRUE(alone());
}

TEST_F(File, GrowsAtItsEnd) {
  append_to_file(path, "one");
  append_to_file(path, " two");
  EXPECT_EQ(read_file(path), "one two");
  EXPECT_EQ(message_of([&] { append_to_file(folder, "three"); }),
            "cannot write " + folder.string() + ": Is a directory");
}

TEST_F(File, IsNeverWrittenThroughALink) {
  const std::string victim = folder / "victim", kept = "what somebody had";
  write_file(victim, {kept});
  // What vanishes is made anew beside the link; what stays, and what grows, is the user's and is not removed.
  fs::create_symlink(victim, path + ".partial");
  write_file(path, {"new"});
  EXPECT_EQ(read_file(path), "new");
  EXPECT_FALSE(fs::exists(fs::symlink_status(path + ".partial")));
  fs::create_symlink(victim, path + ".partial");
  EXPECT_EQ(message_of([&] { AtomicFile(path, AtomicFile::Unfinished::stays).write("new"); }),
            "cannot write " + path + ": Too many levels of symbolic links");
  fs::create_symlink(victim, path + ".log");
  EXPECT_NE(message_of([&] { append_to_file(path + ".log", "more"); }), "");
  fs::create_hard_link(victim, path + ".second");
  EXPECT_EQ(message_of([&] { append_to_file(path + ".second", "more"); }),
            "cannot write " + path + ".second: Too many links");
  EXPECT_EQ(read_file(victim), kept);
  fs::remove(path);
  fs::create_symlink(victim, path);
  write_file(path, {"in its place"});
  EXPECT_FALSE(fs::is_symlink(path));
  EXPECT_EQ(read_file(victim), kept);
}

TEST_F(File, IsReadInPiecesAndFromAnywhere) {
  write_file(path, {"0123456789"});
  InputFile file(path);
  EXPECT_EQ(file.size(), 10u);
  char bytes[8] = {};
  EXPECT_EQ(file.read(bytes, 4), 4u);
  EXPECT_EQ(file.read_at(8, bytes + 4, 4), 2u);
  EXPECT_EQ(std::string(bytes), "012389");
  EXPECT_EQ(file.read(bytes, 8), 6u);
  EXPECT_EQ(std::string(bytes, 6), "456789");
  EXPECT_EQ(file.read(bytes, 8), 0u);
}

TEST_F(File, WritersOfOnePathWaitForEachOther) {
  constexpr int writers = 4, times = 50;
  const auto text_of = [](int writer) { return std::string(20'000 + writer, static_cast<char>('a' + writer)); };
  std::vector<std::thread> threads;
  for (int w = 0; w < writers; ++w)
    threads.emplace_back([&, w] {
      for (int i = 0; i < times; ++i) write_file(path, {text_of(w), "\n"});
    });
  for (std::thread& thread : threads) thread.join();
  const std::string found = read_file(path);
  EXPECT_EQ(found, text_of(found[0] - 'a') + "\n");
  EXPECT_TRUE(alone());
  write_bytes_of_a_dead_process();
  write_file(path, {"new"});
  EXPECT_EQ(read_file(path), "new");
  EXPECT_TRUE(alone());
}

TEST_F(File, VanishesUnlessItIsCommitted) {
  write_file(path, {"o", "", "ld"});
  { AtomicFile(path).write("new"); }
  EXPECT_EQ(message_of([&] { check_new_file("--output", path); }),
            "--output: " + path + " exists already; choose another name, or remove it first");
  check_new_file("--output", path + "2");
  check_new_file("--output", "");
  EXPECT_EQ(read_file(path), "old");
  EXPECT_TRUE(alone());
}

TEST_F(File, ErrorsNamePathAndReason) {
  const std::string nowhere = path + "/b", reason = nowhere + ": No such file or directory";
  EXPECT_EQ(message_of([&] { read_file(nowhere); }), "cannot read " + reason);
  EXPECT_EQ(message_of([&] { read_file(nowhere, "image"); }), "cannot read image " + reason);
  EXPECT_EQ(message_of([&] { read_file(folder); }), "cannot read " + folder.string() + ": Is a directory");
  const std::string pipe = folder / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(message_of([&] { read_file(pipe, "image"); }), "cannot read image " + pipe + ": it is not a regular file");
  EXPECT_EQ(message_of([&] { sha256_of_file(pipe); }), "cannot read " + pipe + ": it is not a regular file");
  fs::remove(pipe);
  EXPECT_EQ(message_of([&] { write_file(nowhere, {"x"}); }), "cannot write " + reason);
  EXPECT_EQ(message_of([&] { check_new_file("--html", nowhere); }), "--html: cannot write " + reason);
  fs::create_directory(path);
  EXPECT_EQ(message_of([&] { write_file(path, {"x"}); }), "cannot write " + path + ": Is a directory");
  EXPECT_TRUE(alone());
}

}  // namespace
}  // namespace boxcam
