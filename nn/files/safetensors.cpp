#include "nn/files/safetensors.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/sha256.h"

namespace boxcam {
namespace {

using nlohmann::json;

static_assert(std::endian::native == std::endian::little, "weight files are little-endian and are read as they are");

constexpr uint64_t longest_header = 100'000'000;  // the reference implementation's limit
constexpr const char* metadata_key = "__metadata__";
constexpr const char* checksums_key = "tensors-crc32";  // {"fc.bias": "0f1e2d3c", ...} as text, for metadata are text

std::string crc32_digits(const void* bytes, size_t count) {
  char digits[9];
  std::snprintf(digits, sizeof digits, "%08lx", crc32_z(0, static_cast<const Bytef*>(bytes), count));
  return digits;
}

struct StoredName {
  StoredType type;
  const char* name;
};
constexpr StoredName stored_names[] = {
    {StoredType::f32, "F32"}, {StoredType::f64, "F64"}, {StoredType::f16, "F16"}, {StoredType::bf16, "BF16"},
    {StoredType::i64, "I64"}, {StoredType::i32, "I32"}, {StoredType::u8, "U8"},
};

float half_to_float(uint16_t half) {
  const uint32_t sign = uint32_t{half & 0x8000u} << 16, exponent = half >> 10 & 31u, mantissa = half & 0x3ffu;
  if (exponent == 0) return std::ldexp(static_cast<float>(mantissa), -24) * (sign ? -1.0f : 1.0f);
  const uint32_t wide = exponent == 31 ? 0xffu : exponent + 112;
  return std::bit_cast<float>(sign | wide << 23 | mantissa << 13);
}

float bfloat_to_float(uint16_t bits) { return std::bit_cast<float>(uint32_t{bits} << 16); }

DType dtype_in_memory(StoredType type) {
  switch (type) {
    case StoredType::f64: return DType::f64;
    case StoredType::i32: return DType::i32;
    case StoredType::u8: return DType::u8;
    default: return DType::f32;
  }
}

struct Entry {
  std::string name;
  StoredType type;
  Shape shape;
  uint64_t begin, end;  // bytes, counted from the end of the header
};

// One file being read; every message names it.
class Reader {
 public:
  explicit Reader(const std::string& path) : path_(path), file_(path), size_(file_.size()) {}

  TensorFile read() {
    TensorFile content;
    content.path = path_;
    const std::vector<Entry> entries = parse(header(), content.metadata);
    check_layout(entries);
    const auto checksums = take_checksums(entries, content.metadata);
    for (const Entry& entry : entries) {
      position_ = size_ - data_size_ + entry.begin;
      content.tensors.push_back(load(entry, checksums));
    }
    return content;
  }

  std::map<std::string, std::string> metadata() {
    std::map<std::string, std::string> metadata;
    take_checksums(parse(header(), metadata), metadata);
    return metadata;
  }

 private:
  /// Of a file that has them, one for each tensor; they leave the metadata, for they are no word about the content.
  std::map<std::string, std::string> take_checksums(const std::vector<Entry>& entries,
                                                    std::map<std::string, std::string>& metadata) const {
    const auto found = metadata.find(checksums_key);
    if (found == metadata.end()) return {};
    const auto flat = [](int depth, json::parse_event_t, json&) { return depth < 2; };  // it is a list of words
    const json listed = json::parse(found->second, flat, false);
    metadata.erase(found);
    std::map<std::string, std::string> checksums;
    for (const Entry& entry : entries) {
      const bool has = listed.is_object() && listed.contains(entry.name) && listed[entry.name].is_string();
      check(has, path_, " is damaged: its metadata list checksums, but none of tensor ", entry.name);
      checksums[entry.name] = listed[entry.name].get<std::string>();
    }
    return checksums;
  }

  std::string header() {
    check(size_ >= 8, path_, " is not a safetensors file: it has only ", size_, " bytes");
    uint64_t header_size = 0;
    bytes_to(reinterpret_cast<char*>(&header_size), sizeof header_size);
    check(header_size <= longest_header, path_, " is not a safetensors file: its header would have ", header_size,
          " bytes, more than the format allows");
    check(header_size <= size_ - 8, path_, " is truncated: its header should have ", header_size,
          " bytes, the file has ", size_ - 8, " after the length");
    data_size_ = size_ - 8 - header_size;
    std::string header(header_size, '\0');
    bytes_to(header.data(), header_size);
    check(header.starts_with('{'), path_, " is not a safetensors file: its header does not begin with '{'");
    return header;
  }

  void bytes_to(char* target, uint64_t count) {
    const size_t got = file_.read_at(position_, target, count);
    check(got == count, path_, ": expected ", count, " bytes, got ", got);
    position_ += got;
  }

  std::vector<Entry> parse(const std::string& header, std::map<std::string, std::string>& metadata) const {
    std::vector<std::string> names;  // json sorts its keys; the file's own order is kept here
    std::set<std::string> seen;
    const auto watch = [&](int depth, json::parse_event_t event, json& value) {
      const bool opens = event == json::parse_event_t::object_start || event == json::parse_event_t::array_start;
      check(!(opens && depth > 2), path_, ": the header is nested too deeply for a safetensors file");
      if (event == json::parse_event_t::key && depth == 1) {
        names.push_back(value.get<std::string>());
        check(seen.insert(names.back()).second, path_, ": the header names the tensor ", names.back(), " twice");
      }
      return true;
    };
    json object;
    try {
      object = json::parse(header, watch);
    } catch (const json::exception& error) {
      fail(path_, ": the header is not valid JSON (", error.what(), ")");
    }

    std::vector<Entry> entries;
    for (const std::string& name : names) {
      const json& value = object[name];
      check(value.is_object(), path_, ": the header's ", name, " is not an object");
      if (name != metadata_key) {
        entries.push_back(parse_entry(name, value));
        continue;
      }
      for (const auto& [key, text] : value.items()) {
        check(text.is_string(), path_, ": the metadata value ", key, " is not a string");
        metadata[key] = text.get<std::string>();
      }
    }
    return entries;
  }

  Entry parse_entry(const std::string& name, const json& value) const {
    const auto field = [&](const char* key) -> const json& {
      const auto found = value.find(key);
      check(found != value.end(), path_, ": tensor ", name, " has no ", key);
      return *found;
    };
    const auto numbers = [&](const char* key) {
      const json& list = field(key);
      check(list.is_array(), path_, ": the ", key, " of tensor ", name, " is not a list");
      std::vector<uint64_t> values;
      for (const json& number : list) {
        check(number.is_number_unsigned(), path_, ": the ", key, " of tensor ", name,
              " holds something that is not a count");
        values.push_back(number.get<uint64_t>());
      }
      return values;
    };

    Entry entry{name, StoredType::f32, {}, 0, 0};
    const json& dtype = field("dtype");
    const auto known = std::find_if(std::begin(stored_names), std::end(stored_names),
                                    [&](const StoredName& stored) { return dtype == stored.name; });
    check(known != std::end(stored_names), path_, ": tensor ", name, " has the dtype ",
          dtype.dump(-1, ' ', true, json::error_handler_t::replace),
          "; boxcam reads F32, F64, F16, BF16, I64, I32 and U8");
    entry.type = known->type;

    std::vector<int64_t> dims;
    for (const uint64_t extent : numbers("shape")) {
      check(extent <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max()), path_, ": the shape of tensor ", name,
            " is too large");
      dims.push_back(static_cast<int64_t>(extent));
    }
    check(is_countable(dims, item_size(entry.type)), path_, ": the shape of tensor ", name, " is too large");
    entry.shape = Shape(dims);
    const uint64_t bytes = static_cast<uint64_t>(entry.shape.numel()) * item_size(entry.type);

    const std::vector<uint64_t> offsets = numbers("data_offsets");
    check(offsets.size() == 2 && offsets[0] <= offsets[1], path_, ": tensor ", name,
          " needs two data_offsets, the second not below the first");
    entry.begin = offsets[0];
    entry.end = offsets[1];
    check(entry.end <= data_size_, path_, " is truncated or damaged: tensor ", name, " ends at byte ", entry.end,
          " of the data, of which the file has ", data_size_);
    check(entry.end - entry.begin == bytes, path_, ": tensor ", name, " ", known->name, entry.shape, " needs ", bytes,
          " bytes, its data_offsets hold ", entry.end - entry.begin);
    return entry;
  }

  // The format demands that the tensors cover the data exactly. This also bounds the memory they need.
  void check_layout(std::vector<Entry> entries) const {
    std::sort(entries.begin(), entries.end(),
              [](const Entry& a, const Entry& b) { return std::pair(a.begin, a.end) < std::pair(b.begin, b.end); });
    uint64_t position = 0;
    for (const Entry& entry : entries) {
      check(entry.begin == position, path_, ": tensor ", entry.name,
            entry.begin < position ? " overlaps" : " leaves a gap after", " the tensor before it (it begins at byte ",
            entry.begin, ", expected ", position, ")");
      position = entry.end;
    }
    check(position == data_size_, path_, ": ", data_size_ - position, " bytes after the last tensor belong to none");
  }

  FileTensor load(const Entry& entry, const std::map<std::string, std::string>& checksums) {
    const auto compare = [&](const void* bytes) {
      if (checksums.empty()) return;
      const std::string &expected = checksums.at(entry.name), found = crc32_digits(bytes, entry.end - entry.begin);
      check(found == expected, path_,
            " is damaged, or another program changed it and kept its checksums: that of tensor ", entry.name, " is ",
            found, ", expected ", expected);
    };
    if (entry.type == StoredType::f32 || entry.type == StoredType::f64) {  // straight to where they stay
      Tensor tensor = Tensor::empty(entry.shape, dtype_in_memory(entry.type));
      bytes_to(static_cast<char*>(tensor.raw_data()), entry.end - entry.begin);
      compare(tensor.raw_data());
      return {entry.name, tensor};
    }
    std::vector<char> bytes(entry.end - entry.begin);
    bytes_to(bytes.data(), bytes.size());
    compare(bytes.data());
    return decode_tensor(entry.name, entry.type, entry.shape, bytes);
  }

  std::string path_;
  InputFile file_;
  uint64_t size_, data_size_ = 0, position_ = 0;
};

StoredType stored_type(const FileTensor& entry) {
  if (entry.is_int64()) return StoredType::i64;
  switch (entry.tensor.dtype()) {
    case DType::f64: return StoredType::f64;
    case DType::i32: return StoredType::i32;
    case DType::u8: return StoredType::u8;
    case DType::bf16: return StoredType::bf16;
    case DType::f32: break;
  }
  return StoredType::f32;
}

const char* stored_name(StoredType type) {
  return std::find_if(std::begin(stored_names), std::end(stored_names),
                      [&](const StoredName& s) { return s.type == type; })
      ->name;
}

size_t byte_count(const FileTensor& entry) {
  return static_cast<size_t>(entry.shape().numel()) * item_size(stored_type(entry));
}

FileTensor on_host(const FileTensor& entry) {
  return entry.is_int64() ? entry : FileTensor(entry.name, entry.tensor.to(Device::cpu));
}

/// Of an entry that lies on the host.
std::span<const char> bytes_of(const FileTensor& entry) {
  const void* bytes = entry.is_int64() ? entry.int64.data() : entry.tensor.raw_data();
  return {static_cast<const char*>(bytes), byte_count(entry)};
}

// `order`: which tensor lies where in the data, as positions in content.tensors.
std::string make_header(const TensorFile& content, const std::vector<size_t>& order) {
  std::vector<size_t> begin(content.tensors.size());
  size_t position = 0;
  for (const size_t i : order) {
    begin[i] = position;
    position += byte_count(content.tensors[i]);
  }

  json checksums = json::object();
  for (const FileTensor& entry : content.tensors) {
    const std::span<const char> bytes = bytes_of(entry);
    checksums[entry.name] = crc32_digits(bytes.data(), bytes.size());
  }
  std::map<std::string, std::string> metadata = content.metadata;
  metadata[checksums_key] = checksums.dump();
  std::string header = "{";
  header += json(metadata_key).dump() + ":" + json(metadata).dump();
  for (size_t i = 0; i < content.tensors.size(); ++i) {
    const FileTensor& entry = content.tensors[i];
    header += ',';
    header += json(entry.name).dump() + ":{\"dtype\":\"" + stored_name(stored_type(entry)) +
              "\",\"shape\":" + json(entry.shape().dims()).dump() + ",\"data_offsets\":[" + std::to_string(begin[i]) +
              "," + std::to_string(begin[i] + byte_count(entry)) + "]}";
  }
  header += "}";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  return header;
}

}  // namespace

size_t item_size(StoredType type) {
  switch (type) {
    case StoredType::f64:
    case StoredType::i64: return 8;
    case StoredType::f16:
    case StoredType::bf16: return 2;
    case StoredType::u8: return 1;
    case StoredType::f32:
    case StoredType::i32: break;
  }
  return 4;
}

bool is_countable(const std::vector<int64_t>& extents, size_t item_size) {
  auto bytes = static_cast<int64_t>(item_size);
  return std::all_of(extents.begin(), extents.end(), [&](int64_t extent) {
    return extent >= 0 && !__builtin_mul_overflow(bytes, std::max<int64_t>(extent, 1), &bytes);
  });
}

FileTensor decode_tensor(const std::string& name, StoredType type, const Shape& shape, std::span<const char> bytes) {
  const size_t count = static_cast<size_t>(shape.numel());
  check(bytes.size() == count * item_size(type), "tensor ", name, " ", shape, " needs ", count * item_size(type),
        " bytes, found ", bytes.size());
  if (type == StoredType::i64) {
    std::vector<int64_t> values(count);
    if (count > 0) std::memcpy(values.data(), bytes.data(), bytes.size());
    return {name, shape, std::move(values)};
  }
  Tensor tensor = Tensor::empty(shape, dtype_in_memory(type));
  if (type == StoredType::f16 || type == StoredType::bf16) {
    const auto widen = type == StoredType::f16 ? half_to_float : bfloat_to_float;
    float* target = tensor.data<float>();
    for (size_t i = 0; i < count; ++i) {
      uint16_t bits;
      std::memcpy(&bits, bytes.data() + 2 * i, sizeof bits);
      target[i] = widen(bits);
    }
  } else if (count > 0) {
    std::memcpy(tensor.raw_data(), bytes.data(), bytes.size());
  }
  return {name, tensor};
}

const FileTensor* TensorFile::find(const std::string& name) const {
  const auto found = std::find_if(tensors.begin(), tensors.end(), [&](const FileTensor& t) { return t.name == name; });
  return found == tensors.end() ? nullptr : &*found;
}

const FileTensor& TensorFile::at(const std::string& name) const {
  const FileTensor* found = find(name);
  check(found != nullptr, path, " has no tensor ", name);
  return *found;
}

int64_t TensorFile::int64_at(const std::string& name) const {
  const FileTensor& entry = at(name);
  check(entry.is_int64() && entry.int64.size() == 1, path, ": tensor ", name, " should be one 64-bit integer");
  return entry.int64[0];
}

TensorFile read_safetensors(const std::string& path) { return Reader(path).read(); }

bool is_safetensors(const std::string& path) {
  if (!std::filesystem::exists(path)) return false;
  InputFile file(path);
  std::array<char, 9> start{};
  return file.read(start.data(), start.size()) == start.size() && start.back() == '{';
}

std::map<std::string, std::string> read_metadata(const std::string& path) {
  return is_safetensors(path) ? Reader(path).metadata() : std::map<std::string, std::string>();
}

std::string tensors_sha256(const TensorFile& content) {
  std::map<std::string, const FileTensor*> by_name;
  for (const FileTensor& entry : content.tensors) by_name[entry.name] = &entry;
  Sha256 hash;
  for (const auto& [name, entry] : by_name) {
    const json head = {name, stored_name(stored_type(*entry)), entry->shape().dims()};
    hash.add(head.dump(-1, ' ', true, json::error_handler_t::replace));
    const FileTensor here = on_host(*entry);
    hash.add(bytes_of(here).data(), bytes_of(here).size());
  }
  return hash.digits();
}

void write_safetensors(const std::string& path, const TensorFile& given) {
  TensorFile content;
  content.metadata = given.metadata;
  std::set<std::string> names;
  for (const FileTensor& entry : given.tensors) {
    check(entry.name != metadata_key && names.insert(entry.name).second, "cannot write ", path, ": the tensor name ",
          entry.name, entry.name == metadata_key ? " is reserved" : " is used twice");
    check(!entry.is_int64() || entry.int64_shape.numel() == static_cast<int64_t>(entry.int64.size()), "cannot write ",
          path, ": tensor ", entry.name, " ", entry.int64_shape, " has ", entry.int64.size(), " values");
    content.tensors.push_back(on_host(entry));
  }
  std::vector<size_t> order(content.tensors.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return item_size(stored_type(content.tensors[a])) > item_size(stored_type(content.tensors[b]));
  });
  std::string header;
  try {
    header = make_header(content, order);
  } catch (const json::exception&) {
    fail("cannot write ", path, ": a tensor name or a metadata text is not valid UTF-8");
  }

  AtomicFile file(path);
  const uint64_t header_size = header.size();
  file.write(&header_size, sizeof header_size);
  file.write(header);
  for (const size_t i : order) {
    const std::span<const char> bytes = bytes_of(content.tensors[i]);
    file.write(bytes.data(), bytes.size());
  }
  file.commit();
}

}  // namespace boxcam
