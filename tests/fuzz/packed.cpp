// A packed data set, as far as the masks of its boxes. A checksum that is 0 is computed here, so that a changed file is
// not refused for that alone.
#include "nn/data/packed.h"

#include <zlib.h>

#include <cstring>

#include "engine/base/check.h"
#include "nn/data/image.h"
#include "tests/fuzz/target.h"
#include "xai/boxes.h"

namespace boxcam::fuzz {
namespace {

// Where nn/data/packed.h says these numbers lie.
constexpr size_t kPrefix = 40, kIndexChecksum = 12, kHeaderBytes = 16, kIndexBytes = 24, kFileBytes = 32;

template <class T>
T number(const std::string& bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}
template <class T>
void put(std::string& bytes, size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

uint32_t checksum_of(const std::string& bytes, size_t from, size_t count) {
  return static_cast<uint32_t>(crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data() + from), count));
}

void complete_entry(std::string& bytes, size_t at) {
  auto entry = number<PackedEntry>(bytes, at);
  const uint64_t size = uint64_t{3} * entry.height * entry.width + uint64_t{entry.boxes} * sizeof(Box) +
                        entry.id_bytes + entry.source_bytes;
  if (entry.checksum != 0 || entry.offset > at || size > at - entry.offset) return;
  entry.checksum = checksum_of(bytes, entry.offset, size);
  put(bytes, at, entry);
}

std::string completed(std::string bytes) {
  if (bytes.size() < kPrefix || number<uint32_t>(bytes, kIndexChecksum) != 0) return bytes;
  put<uint64_t>(bytes, kFileBytes, bytes.size());
  const auto index = number<uint64_t>(bytes, kIndexBytes), header = number<uint64_t>(bytes, kHeaderBytes);
  if (index > bytes.size() - kPrefix || header > index) return bytes;
  const size_t begin = bytes.size() - index;
  for (size_t at = begin + header; at + sizeof(PackedEntry) <= bytes.size(); at += sizeof(PackedEntry))
    complete_entry(bytes, at);
  put(bytes, kIndexChecksum, checksum_of(bytes, begin, index));
  return bytes;
}

void load(const Dataset& data, int64_t index) {
  const Sample sample = data.load(index);
  const Image& image = sample.image;
  require(image.pixels.size() == static_cast<size_t>(image.height) * static_cast<size_t>(image.width) * 3,
          "an image has its pixels");
  constexpr int side = 8;
  const Tensor masks = box_masks({prepare(sample, {.image_size = side}, nullptr).boxes}, side, side, 1);
  require(masks.shape() == Shape{1, side, side}, "a sample's boxes make a mask");
}

}  // namespace

void run(std::string_view input) {
  const auto file = std::make_shared<PackedFile>(write("packed", completed(std::string(input))));
  for (const PackedSplit& split : file->splits()) {
    const auto data = packed_dataset(file, split.name);
    look_at(*data);
    for (int64_t i = 0; i < data->size(); ++i) try {
        load(*data, i);
      } catch (const Error&) {  // one that is damaged; the others may be whole
      }
  }
}

}  // namespace boxcam::fuzz
