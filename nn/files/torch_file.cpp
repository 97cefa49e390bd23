#include "nn/files/torch_file.h"

#include <zip.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>

#include "engine/base/check.h"
#include "engine/base/file.h"

namespace boxcam {
namespace {

using pickle::StridedTensor, pickle::Value;

// Compressed entries, and many views of one storage, can ask for far more memory than the file has bytes. Genuine
// files stay near a factor of two.
constexpr uint64_t most_memory = 32;

struct Buffer {
  std::unique_ptr<char[]> bytes;
  size_t size = 0;

  explicit Buffer(size_t count) : bytes(new char[count]), size(count) {}  // not zeroed: it is filled at once
  std::span<const char> span() const { return {bytes.get(), size}; }
};

// Elements of `size` bytes, gathered into row-major order.
template <size_t size>
void gather(const StridedTensor& tensor, const char* source, char* target) {
  const int axes = static_cast<int>(tensor.sizes.size());
  std::vector<int64_t> index(axes, 0);
  const int64_t count = Shape(tensor.sizes).numel();
  int64_t at = 0;
  for (int64_t i = 0; i < count; ++i) {
    std::memcpy(target + i * size, source + at * size, size);
    for (int axis = axes - 1; axis >= 0; --axis) {  // advance like an odometer
      at += tensor.strides[axis];
      if (++index[axis] < tensor.sizes[axis]) break;
      at -= tensor.strides[axis] * tensor.sizes[axis];
      index[axis] = 0;
    }
  }
}

bool row_major(const StridedTensor& tensor) {
  int64_t expected = 1;
  for (size_t axis = tensor.sizes.size(); axis-- > 0;) {
    if (tensor.sizes[axis] != 1 && tensor.strides[axis] != expected) return false;
    expected *= tensor.sizes[axis];
  }
  return true;
}

class ZipArchive {
 public:
  explicit ZipArchive(const std::string& path) : path_(path) {
    int code = 0;
    archive_.reset(zip_open(path.c_str(), ZIP_RDONLY, &code));
    if (archive_) return;
    zip_error_t error;
    zip_error_init_with_code(&error, code);
    const std::string reason = zip_error_strerror(&error);
    zip_error_fini(&error);
    fail(path, " is a truncated or damaged zip archive: ", reason);
  }

  bool has(const std::string& name) const { return zip_name_locate(archive_.get(), name.c_str(), 0) >= 0; }

  // "archive/" of the entry archive/data.pkl.
  std::string root() const {
    constexpr std::string_view ending = "/data.pkl";
    std::optional<std::string> found;
    const zip_int64_t count = zip_get_num_entries(archive_.get(), 0);
    for (zip_int64_t i = 0; i < count; ++i) {
      const char* name = zip_get_name(archive_.get(), static_cast<zip_uint64_t>(i), 0);
      if (!name || !std::string_view(name).ends_with(ending)) continue;
      check(!found, path_, " is a zip archive with several entries .../data.pkl; one was expected");
      found = std::string(name, std::strlen(name) - ending.size() + 1);
    }
    check(found.has_value(), path_, " is a zip archive, but not one of torch.save: it has no entry .../data.pkl");
    return *found;
  }

  uint64_t size_of(const std::string& name) const {
    zip_stat_t status;
    check(zip_stat(archive_.get(), name.c_str(), 0, &status) == 0 && (status.valid & ZIP_STAT_SIZE), path_,
          ": the archive has no entry ", name);
    const bool known = (status.valid & ZIP_STAT_COMP_METHOD) &&
                       (status.comp_method == ZIP_CM_STORE || status.comp_method == ZIP_CM_DEFLATE);
    check(known, path_, ": the entry ", name, " is compressed by method ", status.comp_method,
          ", expected 0 or 8 (stored or deflated), as torch.save and zip write");
    return status.size;
  }

  // The whole entry, of size_of(name) bytes; libzip checks its CRC at the end.
  Buffer read(const std::string& name, uint64_t size) const {
    const std::unique_ptr<zip_file_t, decltype(&zip_fclose)> entry(zip_fopen(archive_.get(), name.c_str(), 0),
                                                                   zip_fclose);
    check(entry != nullptr, path_, ": cannot read the entry ", name, ": ", zip_strerror(archive_.get()));
    Buffer buffer(size);
    size_t filled = 0;
    char beyond;  // reading on past the end is what makes libzip compare the CRC
    while (true) {
      const bool full = filled == buffer.size;
      const zip_int64_t got = full ? zip_fread(entry.get(), &beyond, 1)
                                   : zip_fread(entry.get(), buffer.bytes.get() + filled, buffer.size - filled);
      check(got >= 0 && !(full && got > 0), path_, " is damaged: the entry ", name, " cannot be read (",
            got < 0 ? zip_file_strerror(entry.get()) : "it is longer than stated", ")");
      if (full) return buffer;
      check(got > 0, path_, " is truncated: the entry ", name, " ends after ", filled, " of ", buffer.size, " bytes");
      filled += static_cast<size_t>(got);
    }
  }

 private:
  struct Discard {
    void operator()(zip_t* archive) const { zip_discard(archive); }
  };
  std::string path_;
  std::unique_ptr<zip_t, Discard> archive_;
};

class ZipFile : public TorchFile {
 public:
  explicit ZipFile(const std::string& path) : TorchFile(path), archive_(path), root_(archive_.root()) {
    check(!archive_.has(root_ + "constants.pkl"), path,
          " is a TorchScript program; two lines of Python make a state dict of it:",
          recipe(str("import torch; saved = torch.jit.load(", pickle::python_text(path), ", map_location='cpu')"),
                 "saved.state_dict()"));
    if (archive_.has(root_ + "byteorder")) {
      const Buffer order = read(root_ + "byteorder");
      check(std::string_view(order.bytes.get(), order.size) == "little", path, ": the numbers are not little-endian");
    }
    const Buffer program = read(root_ + "data.pkl");
    std::span<const char> rest = program.span();
    look_into(unpickler_.load(rest));
  }

 private:
  Buffer read(const std::string& name) {
    const uint64_t size = archive_.size_of(name);
    spend(size);
    return archive_.read(name, size);
  }

  std::span<const char> numbers_of(const pickle::Storage& storage) override {
    auto found = storages_.find(storage.key);
    if (found == storages_.end()) {
      const std::string name = root_ + "data/" + storage.key;
      const uint64_t expected = static_cast<uint64_t>(storage.numel) * storage.type->item_size;
      const uint64_t size = archive_.size_of(name);
      check(size == expected, path_, ": the entry ", name, " has ", size, " bytes, expected ", expected);
      found = storages_.emplace(storage.key, read(name)).first;
    }
    return found->second.span();
  }

  ZipArchive archive_;
  std::string root_;
  std::map<std::string, Buffer> storages_;  // those read so far: tensors may share one
};

class LegacyFile : public TorchFile {
 public:
  explicit LegacyFile(const std::string& path) : TorchFile(path), file_(read_file(path)) {
    check(is_legacy_torch(file_), path, " does not begin as a legacy file of torch.save");
    // The magic number, the version of the format, facts about the machine, the object, the order of the storages.
    std::span<const char> rest(file_);
    unpickler_.load(rest);
    const auto* version = unpickler_.load(rest).as<int64_t>();
    check(version && *version == 1001, path, ": expected version 1001 of torch's legacy format");
    const auto* machine = unpickler_.load(rest).as<pickle::Dict>();
    check(machine && is_little_endian(*machine), path, ": the numbers are not little-endian");
    const Value& saved = unpickler_.load(rest);
    const auto* keys = unpickler_.load(rest).as<pickle::List>();
    check(keys != nullptr, path, ": the list of storages is damaged");
    for (const Value* key : keys->items) find_storage(key->as<std::string>(), rest);
    look_into(saved);
  }

 private:
  static bool is_little_endian(const pickle::Dict& machine) {
    for (const auto& [key, value] : machine.items)
      if (const auto* name = key->as<std::string>(); name && *name == "little_endian")
        return value->as<bool>() && *value->as<bool>();
    return false;
  }

  // The next storage of the file, at the front of `rest`.
  void find_storage(const std::string* key, std::span<const char>& rest) {
    const auto known = key ? unpickler_.storages().find(*key) : unpickler_.storages().end();
    check(known != unpickler_.storages().end(), path_, ": the list of storages names one that no tensor uses");
    const pickle::Storage& storage = known->second;
    const size_t item_size = storage.type->item_size;
    check(item_size > 0, path_, " holds numbers of the type ", storage.type->name, ", whose size is not known");
    int64_t numel = 0;
    check(rest.size() >= sizeof numel, path_, " is truncated: it ends before the storage ", storage.key);
    std::memcpy(&numel, rest.data(), sizeof numel);
    rest = rest.subspan(sizeof numel);
    check(numel == storage.numel, path_, ": the storage ", storage.key, " has ", numel, " elements, expected ",
          storage.numel);
    const size_t bytes = static_cast<size_t>(numel) * item_size;
    check(rest.size() >= bytes, path_, " is truncated: the storage ", storage.key, " needs ", bytes, " bytes, ",
          rest.size(), " are left");
    storages_[storage.key] = rest.first(bytes);
    rest = rest.subspan(bytes);
  }

  std::span<const char> numbers_of(const pickle::Storage& storage) override {
    const auto found = storages_.find(storage.key);
    check(found != storages_.end(), path_, ": the storage ", storage.key, " is missing");
    return found->second;
  }

  std::string file_;
  std::map<std::string, std::span<const char>> storages_;
};

}  // namespace

bool is_legacy_torch(std::string_view start) {
  constexpr std::string_view magic{"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x2e", 13};
  constexpr size_t opening = 2, frame = 9;  // the protocol; since 4 the length of a frame follows
  if (start.size() < opening || start[0] != '\x80' || start[1] < 2 || start[1] > 5) return false;
  start.remove_prefix(opening);
  if (start.starts_with('\x95')) start.remove_prefix(std::min(frame, start.size()));
  return start.starts_with(magic);
}

std::unique_ptr<TorchFile> TorchFile::open_zip(const std::string& path) { return std::make_unique<ZipFile>(path); }
std::unique_ptr<TorchFile> TorchFile::open_legacy(const std::string& path) {
  return std::make_unique<LegacyFile>(path);
}

TorchFile::TorchFile(const std::string& path)
    : path_(path), unpickler_(path), budget_(std::filesystem::file_size(path) * most_memory + (1 << 20)) {}

void TorchFile::spend(uint64_t bytes) {
  check(bytes <= budget_, path_, ": its content would need more than ", most_memory,
        " times the file's size, which no weight file does");
  budget_ -= bytes;
}

void TorchFile::look_into(const Value& saved) {
  saved_ = &saved;
  dicts_.emplace(saved, path_, [this](uint64_t bytes) { spend(bytes); });
}

FileTensor TorchFile::read(const std::string& name, const StridedTensor& tensor) {
  const Shape shape(tensor.sizes);
  const pickle::Storage& storage = *tensor.view.storage;
  const size_t size = storage.type->item_size, bytes = static_cast<size_t>(shape.numel()) * size;
  spend(bytes);
  if (bytes == 0) return decode_tensor(name, tensor.type(), shape, {});
  const char* first = numbers_of(storage).data() + static_cast<size_t>(tensor.view.first + tensor.offset) * size;
  if (row_major(tensor)) return decode_tensor(name, tensor.type(), shape, {first, bytes});

  const Buffer ordered(bytes);
  switch (size) {
    case 1: gather<1>(tensor, first, ordered.bytes.get()); break;
    case 2: gather<2>(tensor, first, ordered.bytes.get()); break;
    case 4: gather<4>(tensor, first, ordered.bytes.get()); break;
    default: gather<8>(tensor, first, ordered.bytes.get()); break;
  }
  return decode_tensor(name, tensor.type(), shape, ordered.span());
}

std::string recipe(const std::string& load, const std::string& expression) {
  return str("\n  ", load, "\n  torch.save(", expression, ", 'weights.pth')");
}

}  // namespace boxcam
