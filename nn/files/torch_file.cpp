#include "nn/files/torch_file.h"

#include <zip.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>

#include "engine/base/check.h"
#include "engine/base/file.h"
#include "nn/files/pickle.h"

namespace boxcam {
namespace {

using pickle::Dict, pickle::StorageView, pickle::StridedTensor, pickle::Unpickler, pickle::Value;

constexpr uint64_t longest_pickle = 16 << 20;  // that of ResNet-152 has 0.2 MB

struct Buffer {
  std::unique_ptr<char[]> bytes;
  size_t size = 0;

  explicit Buffer(size_t count) : bytes(new char[count]), size(count) {}  // not zeroed: it is filled at once
  std::span<const char> span() const { return {bytes.get(), size}; }
};

// Compressed entries, and many views of one storage, can ask for far more memory than the file has bytes. Genuine
// files stay near a factor of two.
class Budget {
 public:
  explicit Budget(const std::string& path) : path_(path), left_(std::filesystem::file_size(path) * 32 + (1 << 20)) {}

  void spend(uint64_t bytes) {
    check(bytes <= left_, path_,
          ": its tensors would need more than 32 times the file's size, which no weight file does");
    left_ -= bytes;
  }

 private:
  std::string path_;
  uint64_t left_;
};

const Value* lookup(const Dict& dict, std::string_view key) {
  const Value* found = nullptr;
  for (const auto& [name, value] : dict.items)
    if (const auto* text = name->as<std::string>(); text && *text == key) found = value;
  return found;
}

bool holds_tensors(const Dict& dict) {
  return std::any_of(dict.items.begin(), dict.items.end(),
                     [](const auto& item) { return item.second->template as<StridedTensor>() != nullptr; });
}

const Dict& find_state_dict(const Value& value, TensorFile& content) {
  const Dict* top = value.as<Dict>();
  check(top != nullptr, content.path, " holds no state dict: what was saved is no dict");
  for (const char* wrapper : {"state_dict", "model"}) {
    const Value* inner = lookup(*top, wrapper);
    const Dict* dict = inner ? inner->as<Dict>() : nullptr;
    if (dict && holds_tensors(*dict)) {
      content.notes.push_back(str("the weights are those under '", wrapper, "' in the file"));
      return *dict;
    }
  }
  check(holds_tensors(*top), content.path,
        " holds no state dict: neither the dict itself nor its 'state_dict' or 'model' has tensors");
  return *top;
}

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

// `storage`: the bytes of the whole storage that the tensor lives in.
FileTensor materialise(const std::string& name, const StridedTensor& tensor, std::span<const char> storage,
                       Budget& budget) {
  const Shape shape(tensor.sizes);
  const size_t size = item_size(tensor.storage.type), bytes = static_cast<size_t>(shape.numel()) * size;
  budget.spend(bytes);
  if (bytes == 0) return decode_tensor(name, tensor.storage.type, shape, {});
  const char* first = storage.data() + static_cast<size_t>(tensor.storage.first + tensor.offset) * size;
  if (row_major(tensor)) return decode_tensor(name, tensor.storage.type, shape, {first, bytes});

  const Buffer ordered(bytes);
  switch (size) {
    case 1: gather<1>(tensor, first, ordered.bytes.get()); break;
    case 2: gather<2>(tensor, first, ordered.bytes.get()); break;
    case 4: gather<4>(tensor, first, ordered.bytes.get()); break;
    default: gather<8>(tensor, first, ordered.bytes.get()); break;
  }
  return decode_tensor(name, tensor.storage.type, shape, ordered.span());
}

using Fetch = std::function<std::span<const char>(const StorageView&)>;

void add_tensors(const Value& saved, const Fetch& fetch, Budget& budget, TensorFile& content) {
  const Dict& dict = find_state_dict(saved, content);
  std::unordered_map<std::string, const Value*> latest;
  std::vector<std::string> order;
  for (const auto& [key, value] : dict.items) {
    const auto* name = key->as<std::string>();
    check(name != nullptr, content.path, " holds no state dict: a key is not a string");
    if (latest.insert_or_assign(*name, value).second) order.push_back(*name);
  }
  for (const std::string& name : order) {
    if (const auto* tensor = latest.at(name)->as<StridedTensor>())
      content.tensors.push_back(materialise(name, *tensor, fetch(tensor->storage), budget));
    else
      content.notes.push_back(str("the file's entry ", name, " is no tensor and was left out"));
  }
}

class ZipArchive {
 public:
  ZipArchive(const std::string& path, Budget& budget) : path_(path), budget_(budget) {
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

  // The whole entry; libzip checks its CRC at the end. `expected`: its size, where that is known.
  Buffer read(const std::string& name, std::optional<uint64_t> expected) const {
    zip_stat_t status;
    check(zip_stat(archive_.get(), name.c_str(), 0, &status) == 0 && (status.valid & ZIP_STAT_SIZE), path_,
          ": the archive has no entry ", name);
    check(!expected || status.size == *expected, path_, ": the entry ", name, " has ", status.size, " bytes, expected ",
          expected.value_or(0));
    check(expected || status.size <= longest_pickle, path_, ": the entry ", name, " is too long for a state dict");
    budget_.spend(status.size);
    const std::unique_ptr<zip_file_t, decltype(&zip_fclose)> entry(zip_fopen(archive_.get(), name.c_str(), 0),
                                                                   zip_fclose);
    check(entry != nullptr, path_, ": cannot read the entry ", name, ": ", zip_strerror(archive_.get()));
    Buffer buffer(status.size);
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
  Budget& budget_;
  std::unique_ptr<zip_t, Discard> archive_;
};

}  // namespace

TensorFile read_torch_zip(const std::string& path) {
  Budget budget(path);
  const ZipArchive archive(path, budget);
  const std::string root = archive.root();
  check(!archive.has(root + "constants.pkl"), path,
        " is a TorchScript program, not a state dict: save it with torch.save(model.state_dict(), ...)");
  if (archive.has(root + "byteorder")) {
    const Buffer order = archive.read(root + "byteorder", std::nullopt);
    check(std::string_view(order.bytes.get(), order.size) == "little", path, ": the numbers are not little-endian");
  }
  const Buffer program = archive.read(root + "data.pkl", std::nullopt);
  std::span<const char> rest = program.span();
  Unpickler unpickler(path);
  const Value& saved = unpickler.load(rest);

  std::map<std::string, Buffer> storages;
  const Fetch fetch = [&](const StorageView& storage) {
    auto found = storages.find(storage.key);
    if (found == storages.end()) {
      const uint64_t bytes = static_cast<uint64_t>(storage.numel) * item_size(storage.type);
      found = storages.emplace(storage.key, archive.read(root + "data/" + storage.key, bytes)).first;
    }
    return found->second.span();
  };
  TensorFile content;
  content.path = path;
  add_tensors(saved, fetch, budget, content);
  return content;
}

TensorFile read_torch_legacy(const std::string& path) {
  const std::string file = read_file(path);
  check(file.starts_with(legacy_torch_start), path, " does not begin as a legacy file of torch.save");
  std::span<const char> rest = std::span<const char>(file).subspan(legacy_torch_start.size());

  // Version of the format, facts about the machine, the object, the order of the storages.
  Unpickler unpickler(path);
  const auto* version = unpickler.load(rest).as<int64_t>();
  check(version && *version == 1001, path, ": expected version 1001 of torch's legacy format");
  const Dict* machine = unpickler.load(rest).as<Dict>();
  const Value* little = machine ? lookup(*machine, "little_endian") : nullptr;
  check(little && little->as<bool>() && *little->as<bool>(), path, ": the numbers are not little-endian");
  const Value& saved = unpickler.load(rest);
  const auto* keys = unpickler.load(rest).as<pickle::List>();
  check(keys != nullptr, path, ": the list of storages is damaged");

  std::map<std::string, std::span<const char>> storages;
  for (const Value* key : keys->items) {
    const auto* name = key->as<std::string>();
    const auto known = name ? unpickler.storages().find(*name) : unpickler.storages().end();
    check(known != unpickler.storages().end(), path, ": the list of storages names one that no tensor uses");
    const StorageView& storage = known->second;
    int64_t numel = 0;
    check(rest.size() >= sizeof numel, path, " is truncated: it ends before the storage ", storage.key);
    std::memcpy(&numel, rest.data(), sizeof numel);
    rest = rest.subspan(sizeof numel);
    check(numel == storage.numel, path, ": the storage ", storage.key, " has ", numel, " elements, expected ",
          storage.numel);
    const size_t bytes = static_cast<size_t>(numel) * item_size(storage.type);
    check(rest.size() >= bytes, path, " is truncated: the storage ", storage.key, " needs ", bytes, " bytes, ",
          rest.size(), " are left");
    storages[storage.key] = rest.first(bytes);
    rest = rest.subspan(bytes);
  }

  const Fetch fetch = [&](const StorageView& storage) {
    const auto found = storages.find(storage.key);
    check(found != storages.end(), path, ": the storage ", storage.key, " is missing");
    return found->second;
  };
  Budget budget(path);
  TensorFile content;
  content.path = path;
  add_tensors(saved, fetch, budget, content);
  return content;
}

}  // namespace boxcam
