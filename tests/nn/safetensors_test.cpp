#include "nn/files/safetensors.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <limits>

#include "engine/base/check.h"
#include "tests/weight_fixtures.h"

namespace boxcam {
namespace {

std::string with_header(const std::string& header, size_t data_bytes) {
  const uint64_t size = header.size();
  return std::string(reinterpret_cast<const char*>(&size), sizeof size) + header + std::string(data_bytes, '\0');
}

TEST(Safetensors, ReadsEveryDtypeThatTheReferenceWrote) {
  const TensorFile file = read_safetensors(weight_fixture("all-kinds.safetensors"));
  ASSERT_EQ(file.tensors.size(), 13u);
  for (const FileTensor& entry : file.tensors) expect_formula(entry);
  EXPECT_EQ(file.at("f16").tensor.dtype(), DType::f32);
  EXPECT_EQ(file.at("bf16").tensor.dtype(), DType::f32);
  EXPECT_EQ(file.at("f64").tensor.dtype(), DType::f64);
  EXPECT_EQ(file.at("i32").tensor.dtype(), DType::i32);
  EXPECT_EQ(file.at("u8").tensor.dtype(), DType::u8);
  EXPECT_EQ(file.at("empty").shape(), (Shape{0, 3}));
  EXPECT_EQ(file.at("counter").shape(), Shape{});
  EXPECT_EQ(file.find("absent"), nullptr);
  expect_error([&] { file.at("absent"); }, {"all-kinds.safetensors", "absent"});
  expect_error([&] { file.int64_at("f64"); }, {"all-kinds.safetensors", "f64"});
}

/// A file's bytes as they would be without the checksums of its tensors.
std::string without_checksums(const std::string& bytes) {
  uint64_t size = 0;
  std::memcpy(&size, bytes.data(), sizeof size);
  std::string header = bytes.substr(sizeof size, size);
  const size_t begin = header.find(",\"tensors-crc32\":\""), end = header.find("}\"", begin);
  EXPECT_NE(end, std::string::npos) << header;
  header.erase(begin, end + 2 - begin);
  header.erase(header.find_last_not_of(' ') + 1);
  header.resize((header.size() + 7) / 8 * 8, ' ');
  return with_header(header, 0) + bytes.substr(sizeof size + size);
}

// The proof that other software reads what boxcam writes: but for the checksums in the metadata these are the bytes
// that the reference implementation wrote.
TEST(Safetensors, WritesTheBytesOfTheReference) {
  const TemporaryFolder folder;
  const TensorFile file = read_safetensors(weight_fixture("reference.safetensors"));
  EXPECT_EQ(file.metadata.at("made by"), "the \"reference\"");
  write_safetensors(folder / "copy.safetensors", file);
  EXPECT_EQ(without_checksums(bytes_of(folder / "copy.safetensors")),
            bytes_of(weight_fixture("reference.safetensors")));
}

TEST(Safetensors, WidensHalfAndBfloatExactly) {
  const std::vector<uint16_t> half = {0x0000, 0x8000, 0x0001, 0x83ff, 0x0400, 0x3c00, 0xc000, 0x7bff, 0x7c00, 0xfc00};
  const double infinity = std::numeric_limits<double>::infinity();
  const std::vector<double> expected = {0, -0.0, 0x1p-24, -1023 * 0x1p-24, 0x1p-14, 1, -2, 65504, infinity, -infinity};
  const Shape shape{static_cast<int64_t>(half.size())};
  const std::span<const char> bytes(reinterpret_cast<const char*>(half.data()), 2 * half.size());
  EXPECT_EQ(decode_tensor("h", StoredType::f16, shape, bytes).tensor.to_vector(), expected);

  const std::vector<uint16_t> bfloat = {0x3f80, 0xc040, 0x0001, 0x7f80};
  const std::span<const char> more(reinterpret_cast<const char*>(bfloat.data()), 2 * bfloat.size());
  EXPECT_EQ(decode_tensor("b", StoredType::bf16, {4}, more).tensor.to_vector(),
            (std::vector<double>{1, -3, 0x1p-133, infinity}));
}

TEST(Safetensors, RoundTripKeepsOrderValuesAndBytes) {
  const TemporaryFolder folder;
  TensorFile file;
  file.tensors.emplace_back("bytes", Tensor::from<uint8_t>({3}, std::vector<uint8_t>{1, 2, 255}));
  file.tensors.emplace_back("z", Tensor::from<float>({2, 1}, std::vector<float>{1.5f, -0.0f}));
  file.tensors.emplace_back("a \"b\" \xc3\xa9", Tensor::scalar(0.1, DType::f64));
  file.tensors.emplace_back("big", Shape{2}, std::vector<int64_t>{INT64_MIN, INT64_MAX});
  file.tensors.emplace_back("step", Shape{}, std::vector<int64_t>{7});
  file.metadata = {{"b", "2"}, {"a", "line\n"}};
  write_safetensors(folder / "one", file);
  write_safetensors(folder / "two", file);
  EXPECT_EQ(bytes_of(folder / "one"), bytes_of(folder / "two"));

  const TensorFile back = read_safetensors(folder / "one");
  EXPECT_EQ(back.path, folder / "one");
  EXPECT_EQ(back.metadata, file.metadata);
  ASSERT_EQ(back.tensors.size(), file.tensors.size());
  for (size_t i = 0; i < file.tensors.size(); ++i) {
    EXPECT_EQ(back.tensors[i].name, file.tensors[i].name);
    EXPECT_EQ(back.tensors[i].shape(), file.tensors[i].shape());
    EXPECT_EQ(back.tensors[i].int64, file.tensors[i].int64);
    if (!back.tensors[i].is_int64()) {
      EXPECT_EQ(back.tensors[i].tensor.to_vector(), file.tensors[i].tensor.to_vector());
    }
  }
  EXPECT_EQ(back.int64_at("step"), 7);

  write_safetensors(folder / "empty", TensorFile{});
  EXPECT_TRUE(read_safetensors(folder / "empty").tensors.empty());
}

TEST(Safetensors, AChangedBitIsFoundAndTheTensorNamed) {
  const TemporaryFolder folder;
  TensorFile file;
  file.tensors.emplace_back("bytes", Tensor::from<uint8_t>({3}, std::vector<uint8_t>{1, 2, 255}));
  file.tensors.emplace_back("fc.weight", Tensor::from<float>({2, 1}, std::vector<float>{1.5f, -0.0f}));
  file.tensors.emplace_back("step", Shape{}, std::vector<int64_t>{7});
  const std::string path = folder / "file.safetensors";
  write_safetensors(path, file);
  const std::string whole = bytes_of(path);
  const size_t data = whole.size() - 19;  // by size of their items: step, fc.weight, bytes
  for (size_t at = data; at < whole.size(); ++at) {
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 16);
    write_bytes(path, changed);
    const std::string name = at < data + 8 ? "tensor step" : at < data + 16 ? "tensor fc.weight" : "tensor bytes";
    expect_error([&] { read_safetensors(path); }, {path, "is damaged", name});
  }
  // A list of checksums that lacks one, and one that is none.
  std::string renamed = whole;
  renamed.replace(renamed.find("\\\"step\\\":"), 8, "\\\"stop\\\"");
  write_bytes(path, renamed);
  expect_error([&] { read_safetensors(path); }, {path, "is damaged", "none of tensor step"});
  expect_error([&] { read_metadata(path); }, {path, "is damaged", "none of tensor step"});
  const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
  write_bytes(path, with_header(R"({"__metadata__":{"tensors-crc32":"{\"w\":)" + deep +
                                    R"(}"},"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
                                1));
  expect_error([&] { read_safetensors(path); }, {path, "none of tensor w"});
  write_bytes(path, whole);
  EXPECT_TRUE(read_metadata(path).empty());
}

TEST(Safetensors, RefusesBrokenHeadersByName) {
  const TemporaryFolder folder;
  const auto refuses = [&](const std::string& bytes, const std::vector<std::string>& parts) {
    const std::string path = write_bytes(folder / "broken.safetensors", bytes);
    std::vector<std::string> all = parts;
    all.push_back(path);
    expect_error([&] { read_safetensors(path); }, all);
  };
  const auto tensor = [](const std::string& dtype, const std::string& shape, const std::string& offsets) {
    return R"({"w":{"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
  };
  refuses("", {"only 0 bytes"});
  refuses(std::string(8, '\xff'), {"more than the format allows"});
  refuses(with_header("{}", 0).substr(0, 9), {"truncated"});
  refuses(with_header("[]", 0), {"'{'"});
  refuses(with_header("{\"w\":", 0), {"not valid JSON"});
  refuses(with_header("{\"w\":[[[[[[]]]]]]}", 0), {"too deeply"});
  refuses(with_header("{\"w\":1}", 0), {"w is not an object"});
  refuses(with_header("{\"w\":{}}", 0), {"tensor w has no dtype"});
  refuses(with_header("{\"__metadata__\":{\"k\":1}}", 0), {"metadata value k"});
  refuses(with_header(tensor("\"C64\"", "[1]", "[0,8]"), 8), {"tensor w has the dtype \"C64\"", "BF16"});
  refuses(with_header(tensor("32", "[1]", "[0,4]"), 4), {"tensor w has the dtype 32"});
  refuses(with_header(tensor("\"F32\"", "[-1]", "[0,4]"), 4), {"shape of tensor w"});
  refuses(with_header(tensor("\"F32\"", "[1.5]", "[0,4]"), 4), {"shape of tensor w"});
  refuses(with_header(tensor("\"F32\"", "7", "[0,4]"), 4), {"shape of tensor w is not a list"});
  refuses(with_header(tensor("\"F32\"", "[4294967296,4294967296]", "[0,4]"), 4), {"shape of tensor w is too large"});
  refuses(with_header(tensor("\"F32\"", "[18446744073709551615]", "[0,4]"), 4), {"shape of tensor w is too large"});
  for (const char* shape : {"[9223372036854775807,2,0]", "[0,4294967296,4294967296]", "[4611686018427387904,0,4]"})
    refuses(with_header(tensor("\"U8\"", shape, "[0,0]"), 0), {"shape of tensor w is too large"});
  refuses(with_header(tensor("\"F32\"", "[1]", "[4,0]"), 4), {"tensor w", "data_offsets"});
  refuses(with_header(tensor("\"F32\"", "[1]", "[0]"), 4), {"tensor w", "data_offsets"});
  refuses(with_header(tensor("\"F32\"", "[3]", "[0,8]"), 8), {"tensor w F32[3] needs 12 bytes", "hold 8"});
  refuses(with_header(tensor("\"F32\"", "[2]", "[0,8]"), 7),
          {"truncated or damaged", "tensor w ends at byte 8", "has 7"});
  refuses(with_header(tensor("\"F32\"", "[1]", "[4,8]"), 8), {"tensor w leaves a gap"});
  refuses(with_header(tensor("\"F32\"", "[1]", "[0,4]"), 6), {"2 bytes after the last tensor"});
  const std::string two = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                          R"("b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})";
  refuses(with_header(two, 12), {"tensor b overlaps"});
  refuses(with_header(R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},)"
                      R"("a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})",
                      0),
          {"names the tensor a twice"});
  expect_error([&] { read_safetensors(folder / "absent"); }, {folder / "absent", "No such file"});
}

TEST(Safetensors, DamagedFilesEndInError) {
  damage(weight_fixture("all-kinds.safetensors"), [](const std::string& path) { read_safetensors(path); });
}

TEST(Safetensors, AFailedWriteKeepsTheOldFile) {
  const TemporaryFolder folder;
  const std::string path = folder / "model.safetensors";
  TensorFile file;
  file.tensors.emplace_back("w", Tensor::full({100000}, 1.0));
  write_safetensors(path, file);
  const std::string before = bytes_of(path);

  // A disk that is full halfway.
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &limit), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{200000, limit.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const std::string message = error_of([&] { write_safetensors(path, file); });
  setrlimit(RLIMIT_FSIZE, &limit);
  std::signal(SIGXFSZ, handler);
  EXPECT_NE(message.find(path), std::string::npos) << message;
  EXPECT_EQ(bytes_of(path), before);
  EXPECT_FALSE(std::filesystem::exists(path + ".partial"));
}

TEST(Safetensors, WriteErrorsNameTheFile) {
  const TemporaryFolder folder;
  TensorFile file;
  file.tensors.emplace_back("w", Tensor::scalar(1));
  const auto refuses = [&](const std::string& path, const std::vector<std::string>& parts) {
    expect_error([&] { write_safetensors(path, file); }, parts);
  };
  refuses(folder / "no/such/folder.safetensors", {"cannot write", "no/such/folder.safetensors", "No such file"});
  std::filesystem::create_directories(folder / "taken/inside");
  refuses(folder / "taken", {"cannot write", "taken"});
  EXPECT_FALSE(std::filesystem::exists(folder / "taken.partial"));
  if (geteuid() != 0) {  // root may write anywhere
    using std::filesystem::perms, std::filesystem::perm_options;
    std::filesystem::permissions(folder.path(), perms::owner_write, perm_options::remove);
    refuses(folder / "model.safetensors", {"cannot write", "model.safetensors", "Permission denied"});
    std::filesystem::permissions(folder.path(), perms::owner_write, perm_options::add);
  }
  file.tensors.emplace_back("w", Tensor::scalar(2));
  refuses(folder / "twice", {"the tensor name w is used twice"});
  file.tensors.back().name = "__metadata__";
  refuses(folder / "reserved", {"__metadata__ is reserved"});
  file.tensors.back().name = "\xff";
  refuses(folder / "utf8", {"not valid UTF-8"});
  file.tensors.pop_back();
  file.tensors.emplace_back("n", Shape{2}, std::vector<int64_t>{1});
  refuses(folder / "count", {"tensor n [2] has 1 values"});
  EXPECT_FALSE(std::filesystem::exists(folder / "count"));
}

}  // namespace
}  // namespace boxcam
