#include "models/weights.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "engine/base/check.h"
#include "engine/base/sha256.h"
#include "nn/files/torch_file.h"
#include "tests/weight_fixtures.h"

namespace boxcam {
namespace {

using Names = std::vector<std::string>;

// --- Reading ---------------------------------------------------------------------------------------------------------

void expect_all_kinds(const TensorFile& file) {
  Names names;
  for (const FileTensor& entry : file.tensors) {
    names.push_back(entry.name);
    expect_formula(entry);
  }
  EXPECT_EQ(names, (Names{"f32", "f64", "f16", "bf16", "i64", "counter", "i32", "u8", "empty", "channels_last",
                          "view.a", "view.b", "parameter"}));
  EXPECT_EQ(file.at("channels_last").shape(), (Shape{2, 3, 2, 2}));
  EXPECT_EQ(file.at("counter").shape(), Shape{});
  EXPECT_EQ(file.at("empty").shape(), (Shape{0, 3}));
  EXPECT_EQ(file.at("f64").tensor.dtype(), DType::f64);
  EXPECT_TRUE(file.notes.empty());
}

TEST(Weights, ReadsEveryKindOfTensorFromEveryFormat) {
  for (const char* name : {"zip.pth", "zip64.pth", "legacy.pth"}) {
    SCOPED_TRACE(name);
    expect_all_kinds(read_weights(weight_fixture(name)));
  }
  EXPECT_EQ(read_weights(weight_fixture("all-kinds.safetensors")).tensors.size(), 13u);
}

TEST(Weights, TheContentDecidesNotTheExtension) {
  const TemporaryFolder folder;
  for (const char* name : {"zip.pth", "legacy.pth", "all-kinds.safetensors"}) {
    std::filesystem::copy_file(weight_fixture(name), folder / (std::string(name) + ".bin"));
    EXPECT_EQ(read_weights(folder / (std::string(name) + ".bin")).tensors.size(), 13u);
  }
}

TEST(Weights, UnwrapsStateDictsAndModulePrefixes) {
  const std::pair<const char*, const char*> cases[] = {{"wrapped.pth", "'state_dict'"},
                                                       {"wrapped-legacy.pth", "'model'"}};
  for (const auto& [name, wrapper] : cases) {
    const TensorFile file = read_weights(weight_fixture(name));
    ASSERT_EQ(file.tensors.size(), 2u);
    EXPECT_EQ(file.tensors[0].name, "a");
    for (const FileTensor& entry : file.tensors) expect_formula(entry);
    ASSERT_EQ(file.notes.size(), 2u);
    EXPECT_NE(file.notes[0].find(wrapper), std::string::npos) << file.notes[0];
    EXPECT_NE(file.notes[1].find("'module.'"), std::string::npos) << file.notes[1];
  }
}

TEST(Weights, NothingInAFileIsExecuted) {
  for (const char* name : {"calls-system.pth", "calls-system-legacy.pth"})
    expect_error([&] { read_weights(weight_fixture(name)); }, {name, "refuses the pickle global posix.system"});
  EXPECT_FALSE(std::filesystem::exists("this-must-not-exist"));
}

TEST(Weights, RefusesWhatItDoesNotReadAndSaysWhatItIs) {
  const auto fixture = [](const char* name, const Names& parts) {
    expect_error([&] { read_weights(weight_fixture(name)); }, parts);
  };
  fixture("protocol-4.pth", {"protocol-4.pth", "pickle protocol 4", "protocol 2"});
  fixture("protocol-4-legacy.pth", {"protocol-4-legacy.pth", "pickle of protocol 4"});
  fixture("no-state-dict.pth", {"no-state-dict.pth", "holds no state dict"});

  const TemporaryFolder folder;
  const auto content = [&](const std::string& bytes, const Names& parts) {
    const std::string path = write_bytes(folder / "file.pth", bytes);
    expect_error([&] { read_weights(path); }, parts);
  };
  content("", {"file.pth", "it is empty"});
  content("\n <!DOCTYPE html><html>", {"file.pth", "HTML page"});
  content("<html><head>", {"HTML page"});
  content("version https://git-lfs.github.com/spec/v1\n", {"Git LFS pointer"});
  content("\x1f\x8b\x08 and so on", {"gzip"});
  content("\x80\x02}q.", {"not one of torch.save"});
  content("some words and no more", {"file.pth", "safetensors", ".pth"});
  content("PK\x03\x04 and then nothing", {"file.pth", "zip archive"});
  expect_error([&] { read_weights(folder / "absent.pth"); }, {"absent.pth", "No such file"});
  expect_error([&] { read_weights(folder / ""); }, {"it is not a regular file"});
}

TEST(Weights, DamagedFilesEndInError) {
  for (const char* name : {"zip.pth", "zip64.pth", "legacy.pth", "wrapped.pth", "wrapped-legacy.pth"})
    damage(weight_fixture(name), [](const std::string& path) { read_weights(path); });
}

// --- Pickles put together by hand ------------------------------------------------------------------------------------

std::string short_text(const std::string& text) { return "U" + std::string(1, static_cast<char>(text.size())) + text; }
std::string long_integer(int64_t value) {
  return "\x8a\x08" + std::string(reinterpret_cast<const char*>(&value), sizeof value);
}

// A legacy file whose object is `object`, with one storage "0" of the bytes of `values`.
std::string legacy_file(const std::string& object, const std::vector<float>& values = {}) {
  const std::string start = "\x80\x02";
  std::string bytes(legacy_torch_start);
  bytes += start + "M\xe9\x03.";
  bytes += start + "}" + short_text("little_endian") + "\x88s.";
  bytes += start + object + ".";
  bytes += start + "]" + (values.empty() ? "" : short_text("0") + "a") + ".";
  if (values.empty()) return bytes;
  const int64_t numel = static_cast<int64_t>(values.size());
  bytes.append(reinterpret_cast<const char*>(&numel), sizeof numel);
  bytes.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
  return bytes;
}

std::string storage_id(int64_t numel, const std::string& view = "N") {
  return "(" + short_text("storage") + "ctorch\nFloatStorage\n" + short_text("0") + short_text("cpu") +
         long_integer(numel) + view + "tQ";
}

std::string tensor_of(const std::string& storage, int64_t offset, const std::vector<int64_t>& sizes,
                      const std::vector<int64_t>& strides) {
  std::string bytes = "ctorch._utils\n_rebuild_tensor\n(" + storage + long_integer(offset);
  for (const auto& list : {sizes, strides}) {
    bytes += "(";
    for (const int64_t n : list) bytes += long_integer(n);
    bytes += "t";
  }
  return bytes + "tR";
}

TEST(Pickle, ReadsWhatPython2AndOldTorchWrote) {
  const TemporaryFolder folder;
  const std::string view = "(" + short_text("v") + long_integer(2) + long_integer(3) + "t";
  const std::string pair = "]" + short_text("w") + "a" + tensor_of(storage_id(6, view), 1, {2}, {1}) + "a";
  const std::string path =
      write_bytes(folder / "old.pth", legacy_file("ccollections\nOrderedDict\n(]" + pair + "atR", {0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(read_weights(path).at("w").tensor.to_vector(), (std::vector<double>{3, 4}));
}

TEST(Pickle, RefusesByName) {
  const TemporaryFolder folder;
  const auto refuses = [&](const std::string& object, const Names& parts, const std::vector<float>& values = {}) {
    const std::string path = write_bytes(folder / "bad.pth", legacy_file(object, values));
    Names all = parts;
    all.push_back(path);
    expect_error([&] { read_weights(path); }, all);
  };
  const auto in_dict = [](const std::string& value) { return "}" + short_text("w") + value + "s"; };
  refuses("cos\nsystem\n(" + short_text("touch this-must-not-exist") + "tR", {"refuses the pickle global os.system"});
  refuses("cbuiltins\neval\n", {"refuses the pickle global builtins.eval"});
  refuses("ctorch\nFloatStorage\n)R", {"calls a storage type"});
  refuses("ccollections\nOrderedDict\n)\x81", {"refuses the pickle instruction 0x81"});
  refuses("h\x05", {"recalls what it never stored"});
  refuses("t", {"damaged"});
  refuses("(t)R", {"damaged"});
  refuses("NNs", {"damaged"});
  refuses("}", {"holds no state dict"});
  refuses(long_integer(1), {"holds no state dict"});

  const std::vector<float> four = {1, 2, 3, 4};
  const int64_t huge = int64_t{1} << 62;
  refuses(in_dict(tensor_of(storage_id(4), 0, {5}, {1})), {"[5]", "storage 0 of 4 elements"}, four);
  refuses(in_dict(tensor_of(storage_id(4), 3, {2}, {1})), {"does not lie within"}, four);
  refuses(in_dict(tensor_of(storage_id(4), 0, {2}, {4})), {"does not lie within"}, four);
  refuses(in_dict(tensor_of(storage_id(4), 0, {1000000, 1000000}, {0, 0})), {"does not lie within"}, four);
  refuses(in_dict(tensor_of(storage_id(4), 0, {2, 2}, {huge / 16, huge / 16})), {"does not lie within"}, four);
  refuses(in_dict(tensor_of(storage_id(4), -1, {1}, {1})), {"in a way that torch.save does not"}, four);
  refuses(in_dict(tensor_of(storage_id(4), 0, {-1}, {1})), {"in a way that torch.save does not"}, four);
  refuses(in_dict(tensor_of(storage_id(4), 0, {1, 1}, {1})), {"in a way that torch.save does not"}, four);
  refuses(in_dict(tensor_of(storage_id(huge), 0, {1}, {1})), {"refers to a storage"}, four);
  refuses(in_dict(tensor_of(storage_id(5), 0, {1}, {1})), {"the storage 0 has 4 elements, expected 5"}, four);
  const std::string view = "(" + short_text("v") + long_integer(2) + long_integer(3) + "t";
  refuses(in_dict(tensor_of(storage_id(4, view), 0, {1}, {1})), {"view of the storage 0"}, four);
  EXPECT_FALSE(std::filesystem::exists("this-must-not-exist"));
}

TEST(Pickle, AFileCannotAskForMoreThanItsSizeJustifies) {
  const TemporaryFolder folder;
  std::string values;
  for (int i = 0; i < 1'100'000; ++i) values += "N";
  expect_error([&] { read_weights(write_bytes(folder / "many.pth", legacy_file("(" + values + "t"))); },
               {"more than 1000000 values"});

  // A hundred thousand views of one storage.
  const std::vector<float> storage(1000, 1.0f);
  std::string views = "}(" + short_text("w") + tensor_of(storage_id(1000), 0, {1000}, {1}) + "q\x01";
  for (int i = 0; i < 100'000; ++i) views += short_text(std::to_string(i)) + "h\x01";
  expect_error([&] { read_weights(write_bytes(folder / "views.pth", legacy_file(views + "u", storage))); },
               {"more than 32 times the file's size"});

  // A dict within itself is no reason to walk in circles.
  const std::string loop = "}q\x01" + short_text("state_dict") + "h\x01s";
  expect_error([&] { read_weights(write_bytes(folder / "loop.pth", legacy_file(loop))); }, {"holds no state dict"});
}

// --- The digest in the name ------------------------------------------------------------------------------------------

TEST(Weights, ChecksTheDigestInTheFileName) {
  const TemporaryFolder folder;
  EXPECT_EQ(sha256_of_file(write_bytes(folder / "abc", "abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");

  const std::string source = weight_fixture("zip.pth"), digest = sha256_of_file(source).substr(0, 8);
  const auto copy_as = [&](const std::string& name) {
    std::filesystem::copy_file(source, folder / name, std::filesystem::copy_options::overwrite_existing);
    return folder / name;
  };
  EXPECT_TRUE(read_weights(copy_as("mine-" + digest + ".pth")).notes.empty());
  EXPECT_TRUE(read_weights(copy_as("mine-best.pth")).notes.empty());
  const TensorFile dated = read_weights(copy_as("resnet50-20240101.pth"));
  ASSERT_EQ(dated.notes.size(), 1u);
  EXPECT_NE(dated.notes[0].find(digest), std::string::npos) << dated.notes[0];
  expect_error([&] { read_weights(copy_as("resnet50-0676ba61.pth")); },
               {"resnet50-0676ba61.pth", "torchvision", digest, "expected 0676ba61"});
}

// --- Loading ---------------------------------------------------------------------------------------------------------

// A convolution, its batch norm, a deeper block and a head.
std::vector<NamedTensor> small_model(int64_t classes, DType dtype = DType::f32) {
  const auto values = [&](const Shape& shape) { return Tensor::full(shape, -7, dtype); };
  using Role = NamedTensor::Role;
  using Layout = NamedTensor::Layout;
  return {{"conv1.weight", values({2, 2, 3, 4}), Role::parameter, Layout::convolution},
          {"bn1.weight", values({2})},
          {"bn1.running_mean", values({2}), Role::buffer},
          {"bn1.num_batches_tracked", Tensor::zeros({}, DType::i32), Role::counter},
          {"layer1.0.conv1.weight", values({3, 1, 1, 2}), Role::parameter, Layout::convolution},
          {"layer10.weight", values({1})},
          {"fc.weight", values({classes, 3}), Role::parameter, Layout::plain, true},
          {"fc.bias", values({classes}), Role::parameter, Layout::plain, true}};
}

// The tensors of a file that fits small_model(5): the values are 0, 1, 2, ... in the file's layout.
TensorFile small_file() {
  TensorFile file;
  file.path = "small.pth";
  const std::pair<const char*, Shape> entries[] = {
      {"fc.weight", {5, 3}},   {"fc.bias", {5}},          {"conv1.weight", {2, 4, 2, 3}},         {"bn1.weight", {2}},
      {"layer10.weight", {1}}, {"bn1.running_mean", {2}}, {"layer1.0.conv1.weight", {3, 2, 1, 1}}};
  for (const auto& [name, shape] : entries) {
    std::vector<float> values(static_cast<size_t>(shape.numel()));
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
    file.tensors.emplace_back(name, Tensor::from(shape, values));
  }
  file.tensors.emplace_back("bn1.num_batches_tracked", Shape{}, std::vector<int64_t>{12});
  return file;
}

void remove(TensorFile& file, const std::string& name) {
  std::erase_if(file.tensors, [&](const FileTensor& entry) { return entry.name == name; });
}

Tensor tensor_in(const std::vector<NamedTensor>& model, const std::string& name) {
  return std::find_if(model.begin(), model.end(), [&](const NamedTensor& t) { return t.name == name; })->tensor;
}

void expect_untouched(const std::vector<NamedTensor>& model) {
  for (const NamedTensor& entry : model)
    for (const double value : entry.tensor.to_vector()) EXPECT_EQ(value, entry.tensor.ndim() ? -7 : 0) << entry.name;
}

TEST(LoadWeights, ByNameWithConvolutionsTurned) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    const auto model = small_model(5, dtype);
    const LoadReport report = load_weights(model, small_file());
    EXPECT_EQ(report.loaded.size(), model.size());
    EXPECT_TRUE(report.started_fresh.empty());
    const std::vector<double> weight = tensor_in(model, "conv1.weight").to_vector();
    for (int o = 0; o < 2; ++o)
      for (int i = 0; i < 4; ++i)
        for (int y = 0; y < 2; ++y)
          for (int x = 0; x < 3; ++x) EXPECT_EQ(weight[((o * 2 + y) * 3 + x) * 4 + i], ((o * 4 + i) * 2 + y) * 3 + x);
    EXPECT_EQ(tensor_in(model, "fc.bias").to_vector(), (std::vector<double>{0, 1, 2, 3, 4}));
    EXPECT_EQ(tensor_in(model, "bn1.num_batches_tracked").item(), 12);
    EXPECT_EQ(summary(report), "8 tensors were loaded from small.pth");
  }
}

TEST(LoadWeights, ReplacesOnlyAHeadForOtherClasses) {
  const auto model = small_model(4);
  const LoadReport report = load_weights(model, small_file());
  EXPECT_EQ(report.started_fresh, (Names{"fc.weight", "fc.bias"}));
  EXPECT_EQ(report.mis_shaped, (Names{"fc.weight (file [5, 3], model [4, 3])", "fc.bias (file [5], model [4])"}));
  EXPECT_EQ(tensor_in(model, "fc.bias").to_vector(), (std::vector<double>(4, -7)));
  EXPECT_EQ(tensor_in(model, "bn1.weight").to_vector(), (std::vector<double>{0, 1}));
  EXPECT_NE(summary(report).find("head"), std::string::npos);

  const auto other = small_model(4);
  expect_error([&] { load_weights(other, small_file(), {{}, false}); }, {"fc.weight (file [5, 3], model [4, 3])"});
  expect_untouched(other);
}

TEST(LoadWeights, ListsAllThatDoesNotFitAndCopiesNothing) {
  TensorFile file = small_file();
  remove(file, "bn1.weight");
  remove(file, "conv1.weight");
  file.tensors.emplace_back("conv1.weight", Tensor::zeros({2, 2, 3, 4}));
  file.tensors.emplace_back("layer5.bias", Tensor::zeros({2}));
  remove(file, "bn1.running_mean");
  file.tensors.emplace_back("bn1.running_mean", Tensor::zeros({2}, DType::i32));
  const auto model = small_model(5);
  expect_error([&] { load_weights(model, file); },
               {"small.pth does not fit the model", "1 of the model's 8 tensors missing in the file: bn1.weight",
                "1 unexpected in the file: layer5.bias", "conv1.weight (file [2, 2, 3, 4], model [2, 4, 2, 3])",
                "another kind of number: bn1.running_mean"});
  expect_untouched(model);

  TensorFile other;
  other.path = "other.pth";
  for (int i = 0; i < 20; ++i) other.tensors.emplace_back(str("features.", i), Tensor::zeros({1}));
  expect_error([&] { load_weights(model, other); },
               {"other.pth belongs to another model", "20 unexpected", "features.7 and 12 more"});
  expect_untouched(model);
}

TEST(LoadWeights, PartsMayBeMissingOnlyWhenAskedFor) {
  TensorFile file = small_file();
  remove(file, "layer1.0.conv1.weight");
  remove(file, "fc.weight");
  remove(file, "fc.bias");
  remove(file, "bn1.num_batches_tracked");
  const auto model = small_model(5);
  expect_error([&] { load_weights(model, file); }, {"layer1.0.conv1.weight, fc.weight, fc.bias"});
  expect_error([&] { load_weights(model, file, {{"layer1"}}); }, {"missing in the file: fc.weight, fc.bias"});
  expect_untouched(model);

  const LoadReport report = load_weights(model, file, {{"layer1", "fc"}});
  EXPECT_EQ(report.started_fresh, (Names{"layer1.0.conv1.weight", "fc.weight", "fc.bias"}));
  EXPECT_EQ(report.loaded, (Names{"conv1.weight", "bn1.weight", "bn1.running_mean", "layer10.weight"}));
  EXPECT_NE(summary(report).find("3 started fresh (layer1.0.conv1.weight"), std::string::npos) << summary(report);

  remove(file, "layer10.weight");
  expect_error([&] { load_weights(model, file, {{"layer1", "fc"}}); }, {"missing in the file: layer10.weight"});
  expect_error([&] { load_weights(model, file, {{"layer2", "fc"}}); }, {"'layer2'", "did you mean layer1"});
}

TEST(LoadWeights, BatchCountersMayComeAndGo) {
  auto model = small_model(5);
  TensorFile file = small_file();
  std::erase_if(model, [](const NamedTensor& entry) { return entry.name == "bn1.num_batches_tracked"; });
  EXPECT_EQ(load_weights(model, file).unexpected, (Names{"bn1.num_batches_tracked"}));

  remove(file, "bn1.num_batches_tracked");
  file.tensors.emplace_back("bn1.num_batches_tracked", Shape{}, std::vector<int64_t>{int64_t{1} << 40});
  expect_error([&] { load_weights(small_model(5), file); }, {"another kind of number: bn1.num_batches_tracked"});
}

TEST(ExportWeights, RoundTripsThroughAFileInTorchvisionsLayout) {
  const TemporaryFolder folder;
  const auto model = small_model(5);
  load_weights(model, small_file());
  const TensorFile exported = export_weights(model);
  EXPECT_EQ(exported.at("conv1.weight").shape(), (Shape{2, 4, 2, 3}));
  EXPECT_EQ(exported.at("conv1.weight").tensor.to_vector(), small_file().at("conv1.weight").tensor.to_vector());
  EXPECT_EQ(exported.int64_at("bn1.num_batches_tracked"), 12);
  tensor_in(model, "bn1.weight").copy_from(Tensor::zeros({2}));
  EXPECT_EQ(exported.at("bn1.weight").tensor.to_vector(), (std::vector<double>{0, 1}));  // a copy, not a view

  write_safetensors(folder / "model.safetensors", exported);
  const auto again = small_model(5);
  EXPECT_EQ(load_weights(again, read_weights(folder / "model.safetensors")).loaded.size(), again.size());
  EXPECT_EQ(tensor_in(again, "conv1.weight").to_vector(), tensor_in(model, "conv1.weight").to_vector());
}

// --- Files of real networks, where they are at hand ------------------------------------------------------------------

TEST(Weights, ReadsTheImageNetTrunks) {
  const std::filesystem::path folder = std::filesystem::path(BOXCAM_SOURCE_DIR) / ".." / "shared" / "weights";
  const std::pair<const char*, size_t> files[] = {{"resnet18-imagenet-trunk.safetensors", 96},
                                                  {"resnet50-v1-imagenet-trunk.safetensors", 215}};
  for (const auto& [name, tensors] : files) {
    if (!std::filesystem::exists(folder / name)) GTEST_SKIP() << "no " << name;
    const TensorFile file = read_weights((folder / name).string());
    EXPECT_EQ(file.tensors.size(), tensors) << name;
    EXPECT_EQ(file.at("conv1.weight").shape(), (Shape{64, 3, 7, 7}));
    EXPECT_EQ(file.find("fc.weight"), nullptr);
  }
}

}  // namespace
}  // namespace boxcam
