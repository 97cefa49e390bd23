#include "apps/common/tensorboard/tensorboard.h"

#include <array>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "engine/base/check.h"
#include "engine/base/durable.h"
#include "engine/base/file.h"

#ifdef BOXCAM_HAS_PROTOBUF
#include <event.pb.h>
#endif

namespace boxcam {

namespace {

constexpr const char* kFileName = "events.out.tfevents.boxcam";
constexpr const char* kVersion = "brain.Event:2";

uint32_t crc_of_byte(uint32_t crc) {
  for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) ? 0x82F63B78u : 0u);
  return crc;
}

/// A checksum of checksums would be weak, so that records store them turned and shifted.
uint32_t masked_crc(std::string_view bytes) {
  const uint32_t crc = crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xA282EAD8u;
}

template <class T>
std::string little_endian(T value) {
  std::string bytes;
  for (size_t i = 0; i < sizeof value; ++i) bytes += static_cast<char>(value >> (8 * i) & 0xFF);
  return bytes;
}
template <class T>
T from_little_endian(std::string_view bytes) {
  T value = 0;
  for (size_t i = 0; i < sizeof value; ++i) value |= static_cast<T>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  return value;
}

/// A TFRecord: length, its checksum, data, their checksum.
std::string record_of(const std::string& data) {
  const std::string length = little_endian<uint64_t>(data.size());
  return length + little_endian(masked_crc(length)) + data + little_endian(masked_crc(data));
}

/// Whether a file ends in zeros, with nothing else from `at` on: what a disk shows of bytes that it did not get before
/// the power went.
bool ends_unwritten(std::string_view bytes, size_t at) {
  return bytes.ends_with('\0') && bytes.find_first_not_of('\0', at) == std::string_view::npos;
}

/// The data of a file's whole records.
std::vector<std::string> records_in(const std::string& file, const std::string& path) {
  constexpr size_t before = 12, after = 4;
  std::vector<std::string> records;
  const std::string_view bytes = file;
  for (size_t at = 0; bytes.size() - at >= before;) {
    const std::string_view head = bytes.substr(at, before);
    const bool good = from_little_endian<uint32_t>(head.substr(8)) == masked_crc(head.substr(0, 8));
    if (!good && ends_unwritten(bytes, at + before)) break;
    check(good, path, ": record ", records.size() + 1, " has a wrong checksum of its length");
    const auto length = from_little_endian<uint64_t>(head);
    const size_t left = bytes.size() - at - before;
    if (left < after || left - after < length) break;  // cut
    const std::string_view data = bytes.substr(at + before, length);
    const bool whole = from_little_endian<uint32_t>(bytes.substr(at + before + length)) == masked_crc(data);
    if (!whole && ends_unwritten(bytes, at + before + length + after)) break;
    check(whole, path, ": record ", records.size() + 1, " has a wrong checksum of its data");
    records.emplace_back(data);
    at += before + length + after;
  }
  return records;
}

double wall_time() {
  if (const char* settled = std::getenv("SOURCE_DATE_EPOCH")) {
    int64_t seconds = 0;
    const char* end = settled + std::strlen(settled);
    const auto [rest, error] = std::from_chars(settled, end, seconds);
    check(error == std::errc() && rest == end, "SOURCE_DATE_EPOCH expects whole seconds since 1970, found '", settled,
          "'");
    return static_cast<double>(seconds);
  }
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// "val_accuracy" -> "val/accuracy"; what names no split is of training.
std::string tag_of(const std::string& key) {
  for (const std::string split : {"train", "val", "test", "out_of_context"})
    if (key.starts_with(split + "_")) return split + "/" + key.substr(split.size() + 1);
  return "train/" + key;
}

bool is_of_test(const LoggedEvent& event) {
  for (const auto& [tag, value] : event.scalars)
    if (tag.starts_with("test/")) return true;
  return !event.image_tag.empty();
}

LoggedEvent at_step(int64_t step) { return {wall_time(), step}; }

#ifdef BOXCAM_HAS_PROTOBUF

std::string serialized(const LoggedEvent& from) {
  events::Event event;
  event.set_wall_time(from.wall_time);
  event.set_step(from.step);
  if (!from.file_version.empty()) event.set_file_version(from.file_version);
  for (const auto& [tag, number] : from.scalars) {
    auto* value = event.mutable_summary()->add_value();
    value->set_tag(tag);
    value->set_simple_value(number);
  }
  if (!from.image_tag.empty()) {
    auto* value = event.mutable_summary()->add_value();
    value->set_tag(from.image_tag);
    auto* image = value->mutable_image();
    // Width and height of a PNG: big-endian, behind its signature and the name of the first chunk.
    const auto side = [&](size_t at) {
      int32_t number = 0;
      for (size_t i = 0; i < 4; ++i) number = number << 8 | static_cast<unsigned char>(from.png.at(at + i));
      return number;
    };
    image->set_width(side(16));
    image->set_height(side(20));
    image->set_colorspace(3);
    image->set_encoded_image_string(from.png);
  }
  return event.SerializeAsString();
}

LoggedEvent parsed(const std::string& data, const std::string& path) {
  events::Event event;
  check(event.ParseFromString(data), path, " holds a record that is no event");
  LoggedEvent result{event.wall_time(), event.step(), event.file_version()};
  for (const auto& value : event.summary().value())
    if (value.has_image()) {
      result.image_tag = value.tag();
      result.png = value.image().encoded_image_string();
    } else {
      result.scalars.emplace_back(value.tag(), value.simple_value());
    }
  return result;
}

#else

[[noreturn]] std::string serialized(const LoggedEvent&) { fail("this build of boxcam writes no event files"); }
[[noreturn]] LoggedEvent parsed(const std::string&, const std::string&) {
  fail("this build of boxcam reads no event files");
}

#endif

}  // namespace

bool writes_events() {
#ifdef BOXCAM_HAS_PROTOBUF
  return true;
#else
  return false;
#endif
}

uint32_t crc32c(std::string_view bytes) {
  static const std::array<uint32_t, 256> table = [] {
    std::array<uint32_t, 256> all{};
    for (uint32_t i = 0; i < all.size(); ++i) all[i] = crc_of_byte(i);
    return all;
  }();
  uint32_t crc = ~0u;
  for (const char c : bytes) crc = (crc >> 8) ^ table[(crc ^ static_cast<unsigned char>(c)) & 0xFF];
  return ~crc;
}

std::vector<LoggedEvent> read_events(const std::string& path) {
  std::vector<LoggedEvent> events;
  for (const std::string& data : records_in(read_file(path), path)) events.push_back(parsed(data, path));
  return events;
}

EventFile::EventFile(const std::string& folder, int64_t epochs) : path_(folder + "/" + kFileName) {
  std::error_code error;
  std::string kept;
  if (std::filesystem::exists(path_, error))
    for (const LoggedEvent& event : read_events(path_))
      if (event.step <= epochs && !is_of_test(event)) kept += record_of(serialized(event));
  if (kept.empty()) {
    LoggedEvent first = at_step(0);
    first.file_version = kVersion;
    kept = record_of(serialized(first));
  }
  write_file(path_, {kept});
}

void EventFile::append(const LoggedEvent& event) const { append_to_file(path_, record_of(serialized(event))); }

void EventFile::add_epoch(const nlohmann::json& line) {
  LoggedEvent event = at_step(line.at("epoch").get<int64_t>() + 1);
  for (const auto& [key, value] : line.items())
    if (value.is_number() && key != "epoch" && key != "seconds" && key != "images_per_second")
      event.scalars.emplace_back(tag_of(key), value.get<float>());
  append(event);
}

void EventFile::add_test(const nlohmann::json& test, const std::string& sheet) {
  const int64_t step = test.at("best_epoch").get<int64_t>() + 1;
  LoggedEvent event = at_step(step);
  for (const auto& [key, value] : test.items())
    if (value.is_number() && key != "best_epoch") event.scalars.emplace_back(tag_of(key), value.get<float>());
  append(event);
  LoggedEvent overlays = at_step(step);
  overlays.image_tag = "test/overlays";
  overlays.png = read_file(sheet, "image");
  append(overlays);
}

}  // namespace boxcam
