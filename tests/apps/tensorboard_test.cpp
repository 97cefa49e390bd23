// train --tensorboard: its file read back, by boxcam and by TensorBoard's own reader where that is installed.
#include <gtest/gtest.h>

#include <cstdlib>
#include <sstream>

#include "apps/common/tensorboard/tensorboard.h"
#include "tests/programs.h"

namespace boxcam {
namespace {

using nlohmann::json;

TEST(EventFileChecksum, IsCastagnolis) {
  EXPECT_EQ(crc32c("123456789"), 0xE3069283u);            // the check value of CRC-32C
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAu);  // RFC 3720, B.4
  EXPECT_EQ(crc32c(""), 0u);
}

class Events : public testing::Test {
 protected:
  void SetUp() override {
    if (!writes_events()) GTEST_SKIP() << "a build without protobuf";
    setenv("SOURCE_DATE_EPOCH", "1700000000", 1);
  }
  void TearDown() override { unsetenv("SOURCE_DATE_EPOCH"); }

  static json line(int epoch) {
    return {{"epoch", epoch},
            {"loss", 0.5 + epoch},
            {"val_accuracy", 0.25},
            {"val_content_heatmap", nullptr},
            {"seconds", 7.5}};
  }
  std::string file_in(const std::string& name) const { return folder_ / name + "/events.out.tfevents.boxcam"; }
  std::string new_folder(const std::string& name) const {
    std::filesystem::create_directories(folder_ / name);
    return folder_ / name;
  }
  const TemporaryFolder folder_;
};

TEST_F(Events, HaveEachEpochsNumbersAndNoClock) {
  const std::string folder = new_folder("a");
  EventFile events(folder, 0);
  for (int epoch = 0; epoch < 2; ++epoch) events.add_epoch(line(epoch));
  const auto read = read_events(file_in("a"));
  ASSERT_EQ(read.size(), 3u);
  EXPECT_EQ(read[0].file_version, "brain.Event:2");
  for (int epoch = 0; epoch < 2; ++epoch) {
    const LoggedEvent& e = read[static_cast<size_t>(epoch) + 1];
    EXPECT_EQ(e.step, epoch + 1);
    EXPECT_EQ(e.wall_time, 1700000000);
    const std::vector<std::pair<std::string, float>> expected = {{"train/loss", 0.5f + static_cast<float>(epoch)},
                                                                 {"val/accuracy", 0.25f}};
    EXPECT_EQ(e.scalars, expected);
  }
}

TEST_F(Events, OfARepeatedEpochAreNotThereTwice) {
  const std::string sheet = write_bytes(folder_ / "sheet.png", png_bytes(Image(3, 5)));
  const json test = {{"best_epoch", 1}, {"test_accuracy", 0.5}};
  EventFile straight(new_folder("straight"), 0);
  for (int epoch = 0; epoch < 3; ++epoch) straight.add_epoch(line(epoch));
  straight.add_test(test, sheet);

  const std::string folder = new_folder("resumed");
  EventFile first(folder, 0);
  for (int epoch = 0; epoch < 2; ++epoch) first.add_epoch(line(epoch));
  write_bytes(file_in("resumed"), bytes_of(file_in("resumed")) + "\x11\0\0");  // killed while it wrote
  EventFile second(folder, 1);  // its checkpoint is that of the first epoch
  for (int epoch = 1; epoch < 3; ++epoch) second.add_epoch(line(epoch));
  second.add_test(test, sheet);
  EventFile third(folder, 3);  // killed after the test
  third.add_test(test, sheet);
  EXPECT_TRUE(bytes_of(file_in("straight")) == bytes_of(file_in("resumed")));
  const auto read = read_events(file_in("resumed"));
  EXPECT_EQ(read.back().image_tag, "test/overlays");
  EXPECT_EQ(read.back().png, bytes_of(sheet));
  EXPECT_EQ(read.back().step, 2);
}

TEST_F(Events, AreRefusedWhereAByteIsWrong) {
  EventFile events(new_folder("a"), 0);
  events.add_epoch(line(0));
  const std::string bytes = bytes_of(file_in("a"));
  for (size_t at = 0; at < bytes.size(); ++at) {
    std::string wrong = bytes;
    wrong[at] = static_cast<char>(wrong[at] ^ 4);
    write_bytes(file_in("a"), wrong);
    try {
      read_events(file_in("a"));
      ADD_FAILURE() << "byte " << at;
    } catch (const Error& e) {
      EXPECT_TRUE(contains(e.what(), "has a wrong checksum"));
    }
  }
}

TEST_F(Events, TimesThatAreNoNumberAreRefused) {
  setenv("SOURCE_DATE_EPOCH", "yesterday", 1);
  try {
    EventFile events(new_folder("a"), 0);
    ADD_FAILURE();
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "SOURCE_DATE_EPOCH expects whole seconds since 1970, found 'yesterday'");
  }
}

TEST_F(Events, OfARunAreItsEpochsAndItsTest) {
  train(folder_ / "run", {{"--tensorboard", ""}});
  train(folder_ / "again", {{"--tensorboard", ""}});
  EXPECT_TRUE(bytes_of(file_in("run")) == bytes_of(file_in("again")));
  const auto read = read_events(file_in("run"));
  ASSERT_EQ(read.size(), 5u);  // version, two epochs, test, overlays
  std::istringstream text(bytes_of(folder_ / "run/epochs.jsonl"));
  size_t at = 1;
  for (std::string row; std::getline(text, row); ++at) {
    const json epoch = json::parse(row);
    std::map<std::string, float> scalars(read[at].scalars.begin(), read[at].scalars.end());
    EXPECT_EQ(scalars.at("val/accuracy"), epoch["val_accuracy"].get<float>());
    EXPECT_EQ(scalars.at("train/cross_entropy"), epoch["cross_entropy"].get<float>());
    EXPECT_FALSE(scalars.contains("train/seconds"));
  }
  EXPECT_TRUE(read[4].png == bytes_of(folder_ / "run/overlays.png"));
}

TEST_F(Events, AnEndThatTheDiskDidNotGetIsNone) {
  train(folder_ / "run", {{"--tensorboard", ""}});
  const std::string whole = bytes_of(file_in("run"));
  const size_t records = read_events(file_in("run")).size();
  for (const size_t lost : {1, 30, 3000}) {  // of the last record, the overlays
    write_bytes(file_in("run"), whole.substr(0, whole.size() - lost) + std::string(lost, '\0'));
    EXPECT_EQ(read_events(file_in("run")).size(), records - 1) << lost;
  }
  write_bytes(file_in("run"), whole + std::string(40, '\0'));
  EXPECT_EQ(read_events(file_in("run")).size(), records);
  std::string other = whole;
  other[14] ^= 1;  // but no bytes are wrong for that reason
  EXPECT_THROW(read_events(write_bytes(file_in("run"), other)), Error);
}

/// Writes what TensorBoard's reader finds: a line for each scalar, and the size of the picture.
constexpr const char* kReader = R"(
import sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
e = EventAccumulator(sys.argv[1])
e.Reload()
for s in e.Scalars("val/accuracy"):
    print("%d %.9g %d" % (s.step, s.value, s.wall_time))
for i in e.Images("test/overlays"):
    print("overlays", i.width, i.height, len(i.encoded_image_string))
)";

TEST_F(Events, TensorBoardsOwnReaderReadsThem) {
  const char* chosen = std::getenv("BOXCAM_PYTHON");
  const std::string python = chosen ? chosen : "python3";
  if (std::system((python + " -c 'import tensorboard' > /dev/null 2>&1").c_str()) != 0)
    GTEST_SKIP() << python << " has no tensorboard (BOXCAM_PYTHON names another Python)";
  const std::string run = folder_ / "run", script = write_bytes(folder_ / "read.py", kReader);
  train(run, {{"--tensorboard", ""}});
  ASSERT_EQ(std::system((python + " " + script + " " + run + " > " + run + "/found 2> /dev/null").c_str()), 0);
  std::string expected;
  std::istringstream text(bytes_of(run + "/epochs.jsonl"));
  char row_text[64];
  for (std::string row; std::getline(text, row);) {
    const json epoch = json::parse(row);
    std::snprintf(row_text, sizeof row_text, "%d %.9g 1700000000\n", epoch["epoch"].get<int>() + 1,
                  static_cast<double>(epoch["val_accuracy"].get<float>()));
    expected += row_text;
  }
  const Image sheet = read_image(run + "/overlays.png");
  std::snprintf(row_text, sizeof row_text, "overlays %d %d %zu\n", sheet.width, sheet.height,
                bytes_of(run + "/overlays.png").size());
  EXPECT_EQ(bytes_of(run + "/found"), expected + row_text);
}

TEST(EventFiles, AreRefusedByABuildWithoutProtobuf) {
  if (writes_events()) GTEST_SKIP() << "this build has protobuf";
  const TemporaryFolder folder;
  const Outcome outcome = run_program("train", {{"--tensorboard", ""}, {"--output", folder / "run"}});
  EXPECT_EQ(outcome.status, 2);
  EXPECT_TRUE(contains(outcome.err, "--tensorboard: this build has no protobuf"));
}

}  // namespace
}  // namespace boxcam
