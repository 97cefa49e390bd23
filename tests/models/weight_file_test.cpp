// Weight files as people have them: what is read, what is left out and said, what is refused, and that a file is never
// run, whatever it asks for.
#include "models/weight_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "engine/base/check.h"
#include "engine/base/sha256.h"
#include "models/models.h"
#include "models/weights.h"
#include "tests/weight_fixtures.h"

namespace boxcam {
namespace {

using Names = std::vector<std::string>;

const Names kAllKinds = {"f32", "f64",   "f16",           "bf16",   "i64",    "counter",  "i32",
                         "u8",  "empty", "channels_last", "view.a", "view.b", "parameter"};

Names names_in(const TensorFile& file) {
  Names names;
  for (const FileTensor& entry : file.tensors) names.push_back(entry.name);
  return names;
}

// --- Files of PyTorch ------------------------------------------------------------------------------------------------

void expect_all_kinds(const TensorFile& file) {
  for (const FileTensor& entry : file.tensors) expect_formula(entry);
  EXPECT_EQ(names_in(file), kAllKinds);
  EXPECT_EQ(file.at("channels_last").shape(), (Shape{2, 3, 2, 2}));
  EXPECT_EQ(file.at("counter").shape(), Shape{});
  EXPECT_EQ(file.at("empty").shape(), (Shape{0, 3}));
  EXPECT_EQ(file.at("f64").tensor.dtype(), DType::f64);
  EXPECT_TRUE(file.notes.empty());
}

TEST(WeightFiles, ReadsEveryKindOfTensorFromEveryFormat) {
  for (const char* name : {"zip.pth", "zip64.pth", "legacy.pth"}) {
    SCOPED_TRACE(name);
    expect_all_kinds(read_weights(weight_fixture(name), kAllKinds));
  }
  EXPECT_EQ(read_weights(weight_fixture("all-kinds.safetensors"), kAllKinds).tensors.size(), 13u);
}

TEST(WeightFiles, TheContentDecidesNotTheExtension) {
  const TemporaryFolder folder;
  for (const char* name : {"zip.pth", "legacy.pth", "protocol-4-legacy.pth", "all-kinds.safetensors"}) {
    std::filesystem::copy_file(weight_fixture(name), folder / (std::string(name) + ".bin"));
    Names names = kAllKinds;
    names.push_back("a");
    EXPECT_FALSE(read_weights(folder / (std::string(name) + ".bin"), names).tensors.empty());
  }
}

TEST(WeightFiles, UnwrapsStateDictsAndModulePrefixes) {
  const std::pair<const char*, const char*> cases[] = {{"wrapped.pth", "'state_dict'"},
                                                       {"wrapped-legacy.pth", "'model'"}};
  for (const auto& [name, wrapper] : cases) {
    const TensorFile file = read_weights(weight_fixture(name), {"a", "b"});
    ASSERT_EQ(names_in(file), (Names{"a", "b"}));
    for (const FileTensor& entry : file.tensors) expect_formula(entry);
    ASSERT_EQ(file.notes.size(), 2u);
    EXPECT_NE(file.notes[0].find(wrapper), std::string::npos) << file.notes[0];
    EXPECT_NE(file.notes[1].find("'module.'"), std::string::npos) << file.notes[1];
  }
}

TEST(WeightFiles, AForeignObjectBesideTheWeightsIsSkippedUnexecuted) {
  for (const char* name : {"foreign-2.pth", "foreign-3.pth", "foreign-4.pth", "foreign-5.pth"}) {
    SCOPED_TRACE(name);
    const TensorFile file = read_weights(weight_fixture(name), {"a", "b"});
    EXPECT_EQ(names_in(file), (Names{"a", "b"}));
    for (const FileTensor& entry : file.tensors) expect_formula(entry);
    EXPECT_EQ(file.notes, (Names{"the weights were taken from 'model_state_dict'"}));
  }
  for (const char* name : {"calls-system.pth", "calls-system-legacy.pth"})
    EXPECT_EQ(read_weights(weight_fixture(name), {"a"}).notes, (Names{"an entry that is no tensor was left out: b"}));
  EXPECT_FALSE(std::filesystem::exists("this-must-not-exist"));
}

TEST(WeightFiles, AForeignObjectInsideTheWeightsIsRefusedByName) {
  for (const char* name : {"calls-system.pth", "calls-system-legacy.pth"})
    expect_error(
        [&] {
          read_weights(weight_fixture(name), {"a", "b"});
        },
        {name, "entry b is to be made by posix.system", "nothing in a weight file is executed"});
  EXPECT_FALSE(std::filesystem::exists("this-must-not-exist"));
}

TEST(WeightFiles, AWholePickledModelHasTheNamesOfItsStateDict) {
  const Names names = {
      "a.weight", "a.bias", "b.0.weight", "b.0.bias", "b.0.running_mean", "b.0.running_var", "b.0.num_batches_tracked"};
  const TensorFile file = read_weights(weight_fixture("whole-model.pth"), names);
  EXPECT_EQ(names_in(file), names);
  for (const FileTensor& entry : file.tensors) expect_formula(entry);
  EXPECT_EQ(file.notes, (Names{"the weights were taken from a pickled torch.nn.modules.container.Sequential"}));
}

TEST(WeightFiles, RefusesWhatItDoesNotReadAndSaysWhatItIs) {
  const auto fixture = [](const char* name, const Names& parts) {
    expect_error([&] { read_weights(weight_fixture(name), {"a"}); }, parts);
  };
  fixture("no-state-dict.pth", {"no-state-dict.pth", "holds no state dict"});

  const TemporaryFolder folder;
  const auto content = [&](const std::string& bytes, const Names& parts) {
    const std::string path = write_bytes(folder / "file.pth", bytes);
    expect_error([&] { read_weights(path, {"a"}); }, parts);
  };
  content("", {"file.pth", "it is empty"});
  content("\n <!DOCTYPE html><html>", {"file.pth", "HTML page"});
  content("<html><head>", {"HTML page"});
  content("version https://git-lfs.github.com/spec/v1\n", {"Git LFS pointer"});
  content("\x1f\x8b\x08 and so on", {"gzip"});
  content("\x80\x02}q.", {"not one of torch.save"});
  content("\x80\x04\x95", {"not one of torch.save"});
  content("some words and no more", {"file.pth", "safetensors", ".pth"});
  content("PK\x03\x04 and then nothing", {"file.pth", "zip archive"});
  expect_error([&] { read_weights(folder / "absent.pth", {"a"}); }, {"absent.pth", "No such file"});
  expect_error([&] { read_weights(folder / "", {"a"}); }, {"cannot read the weights", "Is a directory"});
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  expect_error([&] { read_weights(folder / "pipe", {"a"}); }, {"pipe: it is not a regular file"});
  expect_error([&] { read_metadata(folder / "pipe"); }, {"pipe: it is not a regular file"});
}

TEST(WeightFiles, AnArchiveIsStoredOrDeflated) {
  const std::string seed = std::string(BOXCAM_SOURCE_DIR) + "/tests/fuzz/seeds/pth_zip/bzip2";
  expect_error([&] { read_weights(seed, {"a"}); },
               {"the entry a/data.pkl is compressed by method 12, expected 0 or 8"});
}

TEST(WeightFiles, DamagedFilesEndInError) {
  Names names = kAllKinds;
  for (const char* name : {"a", "b", "a.weight", "b.0.weight"}) names.push_back(name);
  for (const char* name : {"zip.pth", "zip64.pth", "legacy.pth", "wrapped.pth", "wrapped-legacy.pth", "foreign-2.pth",
                           "foreign-4.pth", "foreign-5.pth", "whole-model.pth"})
    damage(weight_fixture(name), [&](const std::string& path) { read_weights(path, names); });
}

// --- Pickles put together by hand ------------------------------------------------------------------------------------

template <class T>
std::string bytes_of_number(T value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof value);
}
std::string text(const std::string& letters) {
  return "X" + bytes_of_number(static_cast<uint32_t>(letters.size())) + letters;
}
std::string integer(int64_t value) { return "\x8a\x08" + bytes_of_number(value); }

using Pairs = std::vector<std::pair<std::string, std::string>>;
std::string dict_of(const Pairs& items) {
  std::string bytes = "}(";
  for (const auto& [name, value] : items) bytes += text(name) + value;
  return bytes + "u";
}
std::string global(const std::string& module, const std::string& name) { return "c" + module + "\n" + name + "\n"; }
/// As an object of that class is pickled, with these attributes.
std::string object(const std::string& name, const Pairs& attributes) {
  return global("some_module", name) + ")\x81" + dict_of(attributes) + "b";
}

// A legacy file whose object is `object`, with one storage "0" of the bytes of `values`.
std::string legacy_file(const std::string& object, const std::vector<float>& values = {}, char protocol = 2) {
  const std::string start = {'\x80', protocol};
  std::string bytes = start + "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
  bytes += start + "M\xe9\x03.";
  bytes += start + dict_of({{"little_endian", "\x88"}}) + ".";
  bytes += start + object + ".";
  bytes += start + "]" + (values.empty() ? "" : text("0") + "a") + ".";
  if (values.empty()) return bytes;
  bytes += bytes_of_number(static_cast<int64_t>(values.size()));
  return bytes.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
}

std::string storage_id(int64_t numel, const std::string& view = "N") {
  return "(" + text("storage") + global("torch", "FloatStorage") + text("0") + text("cpu") + integer(numel) + view +
         "tQ";
}

std::string tensor_of(const std::string& storage, int64_t offset, const std::vector<int64_t>& sizes,
                      const std::vector<int64_t>& strides) {
  std::string bytes = global("torch._utils", "_rebuild_tensor") + "(" + storage + integer(offset);
  for (const auto& list : {sizes, strides}) {
    bytes += "(";
    for (const int64_t n : list) bytes += integer(n);
    bytes += "t";
  }
  return bytes + "tR";
}

const std::vector<float> kNumbers = {0, 1, 2, 3, 4, 5, 6, 7};
std::string number(int64_t value) { return tensor_of(storage_id(8), value, {1}, {1}); }

/// A model of four tensors, and the dict of it in which they are first, first + 1, ...
const Names kModel = {"conv1.weight", "conv1.bias", "fc.weight", "fc.bias"};
Pairs model_at(int64_t first, const std::string& prefix = "") {
  Pairs items;
  for (size_t i = 0; i < kModel.size(); ++i) items.emplace_back(prefix + kModel[i], number(first + int64_t(i)));
  return items;
}
Pairs operator+(Pairs a, const Pairs& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// Files made of an object, and what is read of them.
class Pickles : public ::testing::Test {
 protected:
  std::string file(const std::string& object, char protocol = 2) {
    const bool has_numbers = object.find("FloatStorage") != std::string::npos;
    return write_bytes(folder_ / "file.pth",
                       legacy_file(object, has_numbers ? kNumbers : std::vector<float>(), protocol));
  }
  TensorFile read(const std::string& object, char protocol = 2) { return read_weights(file(object, protocol), kModel); }
  /// Reads the model's tensors, which must be first, first + 1, ... and returns the notes.
  Names notes(const std::string& object, int64_t first = 0, char protocol = 2) {
    const TensorFile content = read(object, protocol);
    EXPECT_EQ(names_in(content), kModel);
    for (const FileTensor& entry : content.tensors) EXPECT_EQ(entry.tensor.item(), static_cast<double>(first++));
    return content.notes;
  }
  void refuses(const std::string& object, const Names& parts) {
    Names all = parts;
    all.push_back("file.pth");
    expect_error([&] { read(object); }, all);
  }

  TemporaryFolder folder_;
};

TEST_F(Pickles, OfProtocols2To5) {
  const std::string weights = dict_of(model_at(0));
  for (const char protocol : {2, 3, 4, 5}) EXPECT_TRUE(notes(weights, 0, protocol).empty()) << int(protocol);
  EXPECT_NE(
      error_of([&] { read_weights(write_bytes(folder_ / "six.pth", legacy_file(weights, kNumbers, 6)), kModel); }), "");
}

// Each beside the weights, as a value of its own.
TEST_F(Pickles, EveryInstructionThatPythonWritesIsUnderstood) {
  const auto short_text = [](const std::string& t) { return "\x8c" + std::string(1, char(t.size())) + t; };
  const auto long_text = [](const std::string& t) { return "\x8d" + bytes_of_number(uint64_t(t.size())) + t; };
  const std::string four("\x04\0\0\0", 4), four_of_eight("\x04\0\0\0\0\0\0\0", 8);
  const std::string name = short_text("some_module") + short_text("Class") + "\x93";
  const Pairs others = {
      {"FRAME", "\x95" + bytes_of_number(uint64_t{1}) + "N"},
      {"SHORT_BINUNICODE", short_text("abc")},
      {"BINUNICODE8", long_text("abc")},
      {"BINBYTES", "B" + four + "abcd"},
      {"SHORT_BINBYTES",
       "C\x03"
       "abc"},
      {"BINBYTES8", "\x8e" + four_of_eight + "abcd"},
      {"BYTEARRAY8", "\x96" + four_of_eight + "abcd"},
      {"EMPTY_SET, ADDITEMS", "\x8f(K\x01K\x02\x90"},
      {"FROZENSET", "(K\x01K\x02\x91"},
      {"STACK_GLOBAL", name},
      {"NEWOBJ", name + ")\x81"},
      {"NEWOBJ_EX", name + ")}\x92"},
      {"OBJ", "(" + name + "K\x01o"},
      {"REDUCE", name + ")R"},
      {"REDUCE of an object", name + ")R)R"},
      {"BUILD", name + ")\x81}b"},
      {"BUILD with a tuple", name + ")\x81N}\x86"
                                    "b"},
      {"APPENDS to an object", name + ")\x81(K\x01K\x02"
                                      "e"},
      {"SETITEMS of an object", name + ")\x81(K\x01K\x02u"},
      {"ADDITEMS of an object", name + ")\x81(K\x01K\x02\x90"},
      {"MEMOIZE", "K\x07\x94"},
      {"LONG1 of 72 bits",
       "\x8a\x09"
       "123456789"},
      {"LONG4", "\x8b" + four + "1234"},
      {"BINFLOAT", "G" + std::string(8, '\0')},
      {"TUPLE2", "\x88\x89\x86"},
      {"DUP, POP",
       "K\x01"
       "20"},
      {"POP_MARK",
       "K\x01(K\x02K\x03"
       "1"},
      {"PERSID of a module's class", "(" + text("module") + name + text("file.py") + text("class Class: pass") + "tQ"},
  };
  for (const auto& [what, bytes] : others) {
    SCOPED_TRACE(what);
    const Names found = notes(dict_of(Pairs{{"other", bytes}} + model_at(0)));
    EXPECT_EQ(found, (Names{"an entry that is no tensor was left out: other"}));
  }
  // What was stored with MEMOIZE is found by its number.
  const std::string memoized = "}\x94(" + text("a") + dict_of(model_at(0)) + "\x94" + text("b") + "h\x01u";
  EXPECT_EQ(notes(memoized), (Names{"the weights were taken from 'a'"}));
}

TEST_F(Pickles, ReadsWhatPython2AndOldTorchWrote) {
  const std::string view = "(" + text("v") + integer(2) + integer(3) + "t";
  const std::string pair = "]U\x01wa" + tensor_of(storage_id(8, view), 1, {2}, {1}) + "a";
  const std::string path = file(global("collections", "OrderedDict") + "(]" + pair + "atR");
  EXPECT_EQ(read_weights(path, {"w"}).at("w").tensor.to_vector(), (std::vector<double>{3, 4}));
}

TEST_F(Pickles, TheDictWhoseNamesFitIsTaken) {
  const std::string model = dict_of(model_at(0)), optimizer = dict_of({{"state", "}"}, {"lr", number(7)}});
  EXPECT_TRUE(notes(model).empty());
  EXPECT_EQ(notes(dict_of({{"epoch", "K\x05"}, {"loss", number(7)}, {"model_state_dict", model}})),
            (Names{"the weights were taken from 'model_state_dict'"}));
  EXPECT_EQ(notes(dict_of({{"optimizer", optimizer}, {"net", model}})), (Names{"the weights were taken from 'net'"}));
  EXPECT_EQ(notes("(K\x01" + dict_of({{"a's", "](" + model + "e"}}) + "t"),
            (Names{"the weights were taken from 1 > 'a\\'s' > 0"}));
  EXPECT_EQ(notes(object("Trainer", {{"lr", "K\x01"}, {"net", model}})), (Names{"the weights were taken from 'net'"}));
  EXPECT_EQ(notes(global("collections", "defaultdict") + ")R" + model.substr(1)), Names{});
  // Fewer names, and the same ones with another meaning.
  const Pairs half = {{"conv1.weight", number(6)}, {"conv1.bias", number(7)}};
  const std::string shapes = dict_of({{"conv1.weight", "(K\x01t"},
                                      {"conv1.bias", "(K\x01t"},
                                      {"fc.weight", "(K\x01t"},
                                      {"fc.bias", "(K\x01t"},
                                      {"x", number(7)}});
  EXPECT_EQ(notes(dict_of({{"momentum", dict_of(half)}, {"shapes", shapes}, {"net", model}})),
            (Names{"the weights were taken from 'net'"}));
}

TEST_F(Pickles, AChoiceOfTwoIsAnErrorThatListsThem) {
  const std::string one = dict_of(model_at(0)), other = dict_of(model_at(1));
  refuses(dict_of({{"state_dict", one}, {"model_ema", other}}),
          {"2 sets of tensors that fit the model equally well: 'state_dict', 'model_ema'", "saved = torch.load('",
           "torch.save(saved['state_dict'], 'weights.pth')"});
  refuses(object("Trainer", {{"net", dict_of({{"ema", other}})}, {"best", "](" + one + "e"}}),
          {"'net' > 'ema'", "'best' > 0", "where you trust the file", "weights_only=False", "saved.net['ema']"});
  refuses(dict_of(model_at(0, "model.") + model_at(1, "ema.")),
          {"the names with the prefix 'model.'", "{k: v for k, v in saved.items() if k.startswith('ema.')}"});
  expect_error(
      [&] {
        read(dict_of({{"a", one}, {"b", other}}), 4);
      },
      {"where you trust the file", "weights_only=False"});
  // The same tensors twice are no choice, nor is one that has names as they are.
  const Names first = {"the weights were taken from 'a'"};
  EXPECT_EQ(notes(dict_of({{"a", one}, {"b", one}})), first);
  EXPECT_EQ(notes(dict_of({{"a", one + "q\x07"}, {"b", "h\x07"}})), first);
  EXPECT_EQ(notes(dict_of(model_at(1, "ema.") + model_at(0))),
            (Names{"4 tensors that are not the model's were left out: ema.conv1.weight, ema.conv1.bias, "
                   "ema.fc.weight, ema.fc.bias"}));
}

TEST_F(Pickles, NoTextOfAFileBecomesCodeInTheRecipe) {
  const std::string one = dict_of(model_at(0)), other = dict_of(model_at(1));
  const auto message = [&](const std::string& object) { return error_of([&] { read(object); }); };
  for (const std::string name : {"x, 'w')\n__import__('os').abort() #", "a.b", "1a", "", "\xC3\xA4"}) {
    const std::string text = message(object("Trainer", {{name, one}, {"b", other}}));
    EXPECT_EQ(text.find("torch.save"), std::string::npos) << text;
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
  }
  EXPECT_NE(message(object("Trainer", {{"_net1", one}, {"b", other}})).find("torch.save(saved._net1, "),
            std::string::npos);
  refuses(dict_of({{"it's\n\xE2\x82\xAC\xC3\xA4\xF0\x9F\x98\x80\xFF", one}, {"b", other}}),
          {R"(torch.save(saved['it\'s\x0a\u20ac\xe4\U0001f600\udcff'], 'weights.pth'))"});
  // A tensor is no foreign object, but one to which a state is given is more than PyTorch reads without trust.
  const std::string odd = global("torch._utils", "_rebuild_tensor_v2") + "((" + text("storage") +
                          global("torch", "CharStorage") + text("1") + text("cpu") + integer(1) + "tQ" + integer(0) +
                          "))\x89NtR";
  EXPECT_NE(message(odd + dict_of({{"a", one}, {"b", other}}) + "b").find("where you trust the file"),
            std::string::npos);
}

TEST_F(Pickles, AsManyChoicesAsTensorsAreToldApartInTheTimeOfReadingThem) {
  std::string tensors, all_else = "](";  // numbers of the memo: 0 ... 7
  for (int i = 0; i < 8; ++i) tensors += number(i) + "q" + static_cast<char>(i) + "0";
  for (size_t i = 0; i < kModel.size(); ++i) tensors += text(kModel[i]) + "q" + static_cast<char>(8 + i) + "0";
  const auto set = [](int first) {
    std::string bytes = "}(";
    for (int i = 0; i < 4; ++i)
      bytes += std::string("h") + static_cast<char>(8 + i) + "h" + static_cast<char>((first >> i) & 1);
    return bytes + "u";
  };
  for (int i = 0; i < 16'000; ++i) all_else += set(i);
  std::string prefixes = "}(";
  for (int i = 0; i < 40'000; ++i) prefixes += text(std::to_string(i) + ".fc.bias") + "h" + static_cast<char>(i % 2);
  const auto begin = std::chrono::steady_clock::now();
  refuses(tensors + all_else + "e",
          {"holds 16 sets of tensors that fit the model equally well: 0, 1, 2", "and 8 more"});
  const std::string path = file(tensors + prefixes + "u");
  expect_error([&] { read_weights(path, {"fc.bias"}); }, {"holds 2 sets", "with the prefix '0.'"});
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
}

TEST_F(Pickles, OfALongWayTheEndIsShown) {
  std::string deep = dict_of(model_at(0));
  for (int i = 0; i < 100; ++i) deep = dict_of({{i == 99 ? std::string(5000, 'k') : "k", deep}});
  const std::string message = error_of([&] { read("(" + deep + dict_of(model_at(1)) + "t"); });
  EXPECT_NE(message.find("equally well: 1, ... > 'k' > 'k'"), std::string::npos) << message;
  EXPECT_LT(message.size(), 1000u);
}

TEST_F(Pickles, ACommonPrefixOfAnyNameIsTakenOff) {
  for (const std::string prefix : {"_orig_mod.", "model.", "module.model.", "net.backbone.", "x.y.z.", "conv1.", "fc."})
    EXPECT_EQ(notes(dict_of(model_at(0, prefix))), (Names{"the prefix '" + prefix + "' was taken off the names"}));
  EXPECT_EQ(notes(dict_of({{"state_dict", dict_of(model_at(0, "model.") + Pairs{{"weight", number(7)}})}})),
            (Names{"the weights were taken from 'state_dict'", "the prefix 'model.' was taken off the names",
                   "a tensor that is not the model's was left out: weight"}));

  TensorFile file;
  for (const std::string& name : kModel) file.tensors.emplace_back("a.b." + name, Tensor::zeros({1}));
  write_safetensors(folder_ / "prefixed.safetensors", file);
  const TensorFile taken = read_weights(folder_ / "prefixed.safetensors", kModel);
  EXPECT_EQ(names_in(taken), kModel);
  EXPECT_EQ(taken.notes, (Names{"the prefix 'a.b.' was taken off the names"}));
}

TEST_F(Pickles, ATensorOutsideTheModelIsANoteAndOneOfItsPartsAnError) {
  std::vector<NamedTensor> model;
  for (const std::string& name : kModel) model.push_back({name, Tensor::zeros({1})});
  const auto load = [&](const Pairs& items) { return load_weights(model, read(dict_of(items))); };
  const LoadReport report = load(Pairs{{"loss.weight", number(7)}, {"fc2.bias", number(7)}} + model_at(0));
  EXPECT_EQ(report.loaded, kModel);
  EXPECT_NE(summary(report).find("\n2 tensors that are not the model's were left out: loss.weight, fc2.bias"),
            std::string::npos)
      << summary(report);
  expect_error(
      [&] {
        load(Pairs{{"model.fc.1.weight", number(7)}} + model_at(0, "model."));
      },
      {"1 unexpected in the file: fc.1.weight", "the prefix 'model.' was taken off"});
  Pairs less = model_at(0, "net.") + Pairs{{"loss", number(7)}};
  less.erase(less.begin());
  expect_error([&] { load(less); }, {"missing in the file: conv1.weight", "left out: loss"});
}

std::string module(const std::string& name, const Pairs& parameters, const Pairs& modules,
                   const std::string& buffers = "}", const std::string& not_persistent = "") {
  return object(name, {{"training", "\x88"},
                       {"_parameters", dict_of(parameters)},
                       {"_buffers", buffers},
                       {"_non_persistent_buffers_set", global("__builtin__", "set") + "](" + not_persistent + "e\x85R"},
                       {"_modules", dict_of(modules)},
                       {"act", global("torch.nn.functional", "relu")}});
}

TEST_F(Pickles, AWholeModelIsWalkedWithoutItsClass) {
  const std::string fc = module("Linear", {{"weight", number(2)}, {"bias", "N"}}, {});
  const std::string buffers = dict_of({{"bias", number(3)}, {"mask", number(7)}});
  const std::string odd = module("Linear", {{"weight", number(2)}}, {}, buffers, text("mask"));
  const std::string conv = module("Conv2d", {{"weight", number(0)}, {"bias", number(1)}}, {});
  const std::string net = module("Net", {}, {{"conv1", conv}, {"relu", "N"}, {"fc", odd}});
  EXPECT_EQ(notes(net), (Names{"the weights were taken from a pickled some_module.Net"}));
  EXPECT_EQ(notes(dict_of({{"net", net}})), (Names{"the weights were taken from 'net' (a pickled some_module.Net)"}));
  EXPECT_EQ(notes(module("DataParallel", {}, {{"module", net}})),
            (Names{"the weights were taken from a pickled some_module.DataParallel",
                   "the prefix 'module.' was taken off the names"}));
  EXPECT_EQ(names_in(read(module("Net", {}, {{"conv1", conv}, {"fc", fc}}))),
            (Names{"conv1.weight", "conv1.bias", "fc.weight"}));
}

TEST_F(Pickles, AModelThatCannotBeWalkedIsRefusedWithThePythonThatMakesAStateDict) {
  refuses(global("some_module", "load_model") +
              "C\x03"
              "abc\x85R",
          {"holds no state dict", "is to be made by some_module.load_model", "nothing in a weight file is executed",
           "\n  import torch; saved = torch.load('", "\n  torch.save(saved.state_dict(), 'weights.pth')"});
}

TEST_F(Pickles, ANumberThatIsNotReadIsSkippedWithTheRest) {
  // Eight-bit integers lie before the weights' storage.
  const std::string start = "\x80\x02", byte_id = "(" + text("storage") + global("torch", "CharStorage") + text("1") +
                                                  text("cpu") + integer(3) + "tQ";
  const std::string tensor = global("torch._utils", "_rebuild_tensor_v2") + "(" + byte_id + integer(0) + "(" +
                             integer(3) + "t(" + integer(1) + "t\x89NtR";
  std::string bytes = legacy_file(dict_of(Pairs{{"int8", tensor}} + model_at(0)));
  bytes.resize(bytes.size() - (start + "].").size());
  bytes += start + "](" + text("1") + text("0") + "e." + bytes_of_number(int64_t{3}) + "abc";
  bytes += bytes_of_number(int64_t(kNumbers.size()));
  bytes.append(reinterpret_cast<const char*>(kNumbers.data()), kNumbers.size() * sizeof(float));
  const TensorFile file = read_weights(write_bytes(folder_ / "bytes.pth", bytes), kModel);
  EXPECT_EQ(file.at("fc.bias").tensor.item(), 3);
  EXPECT_EQ(file.notes, (Names{"an entry that is no tensor was left out: int8"}));
  expect_error(
      [&] {
        read_weights(folder_ / "bytes.pth", {"fc.weight", "int8"});
      },
      {"entry int8 is to be made by torch.CharStorage"});
}

TEST_F(Pickles, WhatAsksToBeRunIsRefusedByName) {
  refuses(global("os", "system") + "(" + text("touch this-must-not-exist") + "tR",
          {"holds no state dict", "os.system"});
  const auto inside = [](const std::string& value) { return dict_of(model_at(0) + Pairs{{"fc.weight", value}}); };
  refuses(inside(global("os", "system") + "(" + text("touch this-must-not-exist") + "tR"),
          {"fc.weight is to be made by os.system"});
  refuses(inside(global("builtins", "eval")), {"fc.weight is to be made by builtins.eval"});
  EXPECT_FALSE(std::filesystem::exists("this-must-not-exist"));
}

TEST_F(Pickles, DamageIsNamed) {
  const auto in_dict = [](const std::string& value) { return dict_of({{"conv1.weight", value}}); };
  refuses(global("torch", "FloatStorage") + ")R", {"calls a storage type"});
  refuses("h\x05", {"recalls what it never stored"});
  refuses("\x82\x01", {"refuses the pickle instruction 0x82"});
  for (const char* damaged : {"t", "(t)R", "NNs", "NNb", "(o", "K\x01K\x02\x93"}) refuses(damaged, {"damaged"});
  refuses("\x8e" + std::string(8, '\xff'), {"ends early"});
  refuses("\x95" + std::string(8, '\xff') + "}", {"ends early"});
  refuses("c" + std::string(2000, 'x') + "\ny\n", {"name of more than 1000 letters"});
  refuses("}", {"holds no state dict"});
  refuses(integer(1), {"holds no state dict"});

  const int64_t huge = int64_t{1} << 62;
  refuses(in_dict(tensor_of(storage_id(8), 0, {9}, {1})), {"[9]", "storage 0 of 8 elements"});
  refuses(in_dict(tensor_of(storage_id(8), 7, {2}, {1})), {"does not lie within"});
  refuses(in_dict(tensor_of(storage_id(8), 0, {2}, {8})), {"does not lie within"});
  refuses(in_dict(tensor_of(storage_id(8), 0, {1000000, 1000000}, {0, 0})), {"does not lie within"});
  refuses(in_dict(tensor_of(storage_id(8), 0, {2, 2}, {huge / 16, huge / 16})), {"does not lie within"});
  refuses(in_dict(tensor_of(storage_id(8), 0, {0, huge / 16, huge / 16}, {1, 1, 1})), {"does not lie within"});
  refuses(in_dict(tensor_of(storage_id(8), -1, {1}, {1})), {"in a way that torch.save does not"});
  refuses(in_dict(tensor_of(storage_id(8), 0, {-1}, {1})), {"in a way that torch.save does not"});
  refuses(in_dict(tensor_of(storage_id(8), 0, {1, 1}, {1})), {"in a way that torch.save does not"});
  refuses(in_dict(tensor_of(storage_id(huge), 0, {1}, {1})), {"refers to a storage"});
  refuses(in_dict(tensor_of(storage_id(9), 0, {1}, {1})), {"the storage 0 has 8 elements, expected 9"});
  const std::string view = "(" + text("v") + integer(6) + integer(3) + "t";
  refuses(in_dict(tensor_of(storage_id(8, view), 0, {1}, {1})), {"view of the storage 0"});
}

TEST_F(Pickles, AFileCannotAskForMoreThanItsSizeJustifies) {
  refuses("(" + std::string(1'200'000, 'N') + "t", {"values, which no weight file does"});

  // A hundred thousand views of one storage.
  const std::vector<float> storage(1000, 1.0f);
  std::string views = "}(" + text("w") + tensor_of(storage_id(1000), 0, {1000}, {1}) + "q\x01";
  for (int i = 0; i < 100'000; ++i) views += text("w." + std::to_string(i)) + "h\x01";
  expect_error([&] { read_weights(write_bytes(folder_ / "views.pth", legacy_file(views + "u", storage)), {"w"}); },
               {"more than 32 times the file's size"});

  // Modules that hold the next one twice: 2^40 names.
  std::string modules = module("M", {{"weight", number(0)}}, {});
  for (int i = 0; i < 40; ++i) {
    const std::string q = {'q', static_cast<char>(i)}, h = {'h', static_cast<char>(i)};
    modules = module("M", {}, {{"a", modules + q}, {"b", h}});
  }
  refuses(modules, {"more than 32 times the file's size"});
}

TEST_F(Pickles, NeitherDepthNorCirclesStopTheReader) {
  std::string deep = dict_of(model_at(0));
  for (int i = 0; i < 3; ++i) deep = "](" + deep + "e";
  EXPECT_EQ(notes(deep), (Names{"the weights were taken from 0 > 0 > 0"}));
  constexpr size_t depth = 200'000;
  const std::string nested = std::string(depth, ']') + std::string(depth - 1, 'a');
  EXPECT_EQ(notes(dict_of(Pairs{{"deep", nested}} + model_at(0))).size(), 1u);
  EXPECT_EQ(notes(dict_of(Pairs{{"deep", "N" + std::string(depth, '\x85')}} + model_at(0))).size(), 1u);

  refuses("}q\x01" + text("state_dict") + "h\x01s", {"holds no state dict"});
  EXPECT_EQ(notes("}q\x01(" + text("self") + "h\x01" + text("net") + dict_of(model_at(0)) + "u"),
            (Names{"the weights were taken from 'net'"}));
  // A module within itself.
  const std::string loop =
      global("some_module", "M") + ")\x81q\x01" +
      dict_of({{"_parameters", dict_of(model_at(0))}, {"_buffers", "}"}, {"_modules", dict_of({{"again", "h\x01"}})}}) +
      "b";
  refuses(loop, {"modules are nested more than 64 deep"});
}

// --- What boxcam wrote itself ----------------------------------------------------------------------------------------

TEST(WeightFiles, AModelFileSaysWhatItIsBeforeItIsRead) {
  const TemporaryFolder folder;
  TensorFile content;
  content.tensors.emplace_back("w", Tensor::zeros({1}));
  content.metadata["model"] = "some-model";
  write_safetensors(folder / "model.safetensors", content);
  const WeightFile file(folder / "model.safetensors");
  EXPECT_EQ(file.metadata().at("model"), "some-model");
  EXPECT_EQ(file.take({"w"}).metadata.at("model"), "some-model");
  EXPECT_TRUE(WeightFile(weight_fixture("zip.pth")).metadata().empty());
  expect_error([&] { file.take({"v"}); }, {"belongs to another model", "lacks the model's tensors (v) and has w"});
}

TEST(WeightFiles, ARunsCheckpointIsForResuming) {
  const TemporaryFolder folder;
  TensorFile content;
  content.tensors.emplace_back("model.w", Tensor::zeros({1}));
  content.tensors.emplace_back("model.v", Tensor::zeros({1}));
  content.tensors.emplace_back("optimizer.momentum.w", Tensor::zeros({1}));
  write_safetensors(folder / "lightning.safetensors", content);
  EXPECT_EQ(names_in(read_weights(folder / "lightning.safetensors", {"w", "v"})), (Names{"w", "v"}));
  content.tensors.emplace_back("counters", Shape{4}, std::vector<int64_t>{1, 0, 8, 0});
  write_safetensors(folder / "checkpoint.safetensors", content);
  expect_error([&] { read_weights(folder / "checkpoint.safetensors", {"w"}); },
               {"checkpoint.safetensors", "train --resume goes on from", "best.safetensors"});
}

// --- The digest in the name ------------------------------------------------------------------------------------------

TEST(WeightFiles, ChecksTheDigestInTheFileName) {
  const TemporaryFolder folder;
  EXPECT_EQ(sha256_of_file(write_bytes(folder / "abc", "abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");

  const std::string source = weight_fixture("zip.pth"), digest = sha256_of_file(source).substr(0, 8);
  const auto copy_as = [&](const std::string& name) {
    std::filesystem::copy_file(source, folder / name, std::filesystem::copy_options::overwrite_existing);
    return folder / name;
  };
  EXPECT_TRUE(read_weights(copy_as("mine-" + digest + ".pth"), kAllKinds).notes.empty());
  EXPECT_TRUE(read_weights(copy_as("mine-best.pth"), kAllKinds).notes.empty());
  const TensorFile dated = read_weights(copy_as("resnet50-20240101.pth"), kAllKinds);
  ASSERT_EQ(dated.notes.size(), 1u);
  EXPECT_NE(dated.notes[0].find(digest), std::string::npos) << dated.notes[0];
  expect_error([&] { read_weights(copy_as("resnet50-0676ba61.pth"), kAllKinds); },
               {"resnet50-0676ba61.pth", "torchvision", digest, "expected 0676ba61"});
}

// --- Files of real networks, where they are at hand ------------------------------------------------------------------

TEST(WeightFiles, ReadsTheImageNetTrunks) {
  const std::filesystem::path folder = std::filesystem::path(BOXCAM_SOURCE_DIR) / ".." / "shared" / "weights";
  const std::pair<const char*, size_t> files[] = {{"resnet18-imagenet-trunk.safetensors", 96},
                                                  {"resnet50-v1-imagenet-trunk.safetensors", 215}};
  for (const auto& [name, tensors] : files) {
    if (!std::filesystem::exists(folder / name)) GTEST_SKIP() << "no " << name;
    const std::string model = std::string(name).substr(0, std::string(name).find("-imagenet"));
    const TensorFile file = read_weights((folder / name).string(), tensor_names(model_kind(model)));
    EXPECT_EQ(file.tensors.size(), tensors) << name;
    EXPECT_EQ(file.at("conv1.weight").shape(), (Shape{64, 3, 7, 7}));
    EXPECT_EQ(file.find("fc.weight"), nullptr);
  }
}

}  // namespace
}  // namespace boxcam
