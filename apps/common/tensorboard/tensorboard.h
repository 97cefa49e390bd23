// Event files for TensorBoard: a run's numbers epoch by epoch, and at its end the test's and the sheet of overlays.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apps/common/json.h"

namespace boxcam {

/// Whether this build can write event files: it needs protobuf.
bool writes_events();

/// CRC-32C (Castagnoli), as records of event files have it.
uint32_t crc32c(std::string_view bytes);

/// One event, as far as boxcam writes them.
struct LoggedEvent {
  double wall_time = 0;
  int64_t step = 0;
  std::string file_version{};  ///< of the first event alone
  std::vector<std::pair<std::string, float>> scalars{};
  std::string image_tag{}, png{};
};

/// The events of a file. A last record that is cut, as a kill leaves it, is left out; throws Error, naming the file and
/// the record, where a checksum is wrong.
std::vector<LoggedEvent> read_events(const std::string& path);

/// A run's event file. Steps are epochs, counted from 1. Wall times are the clock's, or SOURCE_DATE_EPOCH: then equal
/// runs have equal files.
class EventFile {
 public:
  /// Opens or makes the file in a run's folder that has `epochs` epochs behind it: events of later ones, and of a test,
  /// are taken out, since they are going to come again. Throws Error where it cannot be written or SOURCE_DATE_EPOCH is
  /// no number.
  EventFile(const std::string& folder, int64_t epochs);

  /// A line of epochs.jsonl: "train_accuracy" becomes train/accuracy. Without what depends on the clock.
  void add_epoch(const nlohmann::json& line);
  /// test.json, and the PNG file of the sheet, at the epoch that was tested.
  void add_test(const nlohmann::json& test, const std::string& sheet);

 private:
  void append(const LoggedEvent& event) const;

  std::string path_;
};

}  // namespace boxcam
