// Packed data sets: what is loaded from one is what the source gives, bit by bit; damage is noticed; and apps/prepare
// as a user meets it.
#include "nn/data/packed.h"

#include <sys/stat.h>
#include <zlib.h>

#include <cstddef>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "apps/common/data/data.h"
#include "tests/programs.h"

namespace boxcam {
namespace {

using nlohmann::json;

bool same_boxes(const std::vector<Box>& a, const std::vector<Box>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(Box)) == 0);
}

void expect_equal(const Sample& a, const Sample& b) {
  EXPECT_EQ(a.image.height, b.image.height);
  EXPECT_EQ(a.image.width, b.image.width);
  EXPECT_TRUE(a.image.pixels == b.image.pixels);
  EXPECT_EQ(a.label, b.label);
  EXPECT_TRUE(same_boxes(a.boxes, b.boxes));
  EXPECT_EQ(a.lost_boxes, b.lost_boxes);
  EXPECT_EQ(a.id, b.id);
  EXPECT_EQ(a.source, b.source);
}

Sample sample_of(int height, int width, int64_t label, std::vector<Box> boxes, const std::string& id,
                 const std::string& source) {
  Sample sample{Image(height, width), label, std::move(boxes), id, source};
  for (size_t i = 0; i < sample.image.pixels.size(); ++i) sample.image.pixels[i] = static_cast<uint8_t>(7 * i + label);
  return sample;
}

const std::vector<Sample> kSamples = {sample_of(2, 3, 0, {{0.1, 0.2, 1.0 / 3, 2}, {0, 0, 3, 2}}, "a", "sky"),
                                      sample_of(1, 1, 1, {}, "", ""),
                                      sample_of(3, 2, 0, {{-0.0, 1e-300, 1, 1}}, "b \xC3\xA4", "")};

/// kSamples, the last in a split of its own.
std::string write_samples(const std::string& path) {
  PackedWriter writer(path, {"thing", "none"}, {{"image-size", "3"}});
  writer.start_split("train", true);
  writer.add(kSamples[0]);
  writer.add(kSamples[1]);
  writer.start_split("test", false);
  writer.add(kSamples[2]);
  writer.finish();
  return path;
}

void load_all(const std::string& path) {
  const PackedFile file(path);
  for (const PackedSplit& split : file.splits())
    for (int64_t i = 0; i < split.images; ++i) file.load(split.name, i);
}

std::vector<std::string> names_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) names.push_back(entry.path().filename());
  return names;
}

TEST(PackedFile, GivesBackWhatWasAdded) {
  const TemporaryFolder folder;
  const auto file = std::make_shared<PackedFile>(write_samples(folder / "a.packed"));
  EXPECT_EQ(file->classes(), (std::vector<std::string>{"thing", "none"}));
  EXPECT_EQ(file->options(), (json{{"image-size", "3"}}));
  ASSERT_EQ(file->splits().size(), 2u);
  EXPECT_TRUE(file->split("train").complete);
  EXPECT_FALSE(file->split("test").complete);

  const auto train = packed_dataset(file, "train"), test = packed_dataset(file, "test");
  ASSERT_EQ(train->size(), 2);
  ASSERT_EQ(test->size(), 1);
  expect_equal(train->load(0), kSamples[0]);
  expect_equal(train->load(1), kSamples[1]);
  expect_equal(test->load(0), kSamples[2]);
  EXPECT_EQ(train->label(1), 1);
  EXPECT_TRUE(contains(train->describe(), folder / "a.packed" + ", train: 2 images (thing 1, none 1)"));

  const auto second = packed_dataset(file, "train", std::vector<int64_t>{1});
  ASSERT_EQ(second->size(), 1);
  expect_equal(second->load(0), kSamples[1]);
  EXPECT_TRUE(contains(second->describe(), "1 of 2 images"));

  expect_error([&] { train->load(2); }, {"image 2 of 2"});
  expect_error([&] { packed_dataset(file, "train", std::vector<int64_t>{2}); }, {"a.packed", "image 2 of 2", "train"});
  expect_error([&] { packed_dataset(file, "tets"); }, {"a.packed", "'tets'", "train, test", "did you mean 'test'"});
}

TEST(PackedFile, IdentityIsOfTheChosenSamplesWhereverTheFileLies) {
  const TemporaryFolder folder;
  const auto identity = [](const std::string& path, const std::string& split, std::optional<std::vector<int64_t>> of) {
    return packed_dataset(std::make_shared<PackedFile>(path), split, std::move(of))->identity();
  };
  const std::string a = write_samples(folder / "a"), b = write_samples(folder / "b");
  EXPECT_EQ(identity(a, "train", {}), identity(b, "train", {}));
  EXPECT_EQ(identity(a, "train", {}), identity(a, "train", {{0, 1}}));
  std::set<std::string> others = {identity(a, "train", {}), identity(a, "test", {}), identity(a, "train", {{0}}),
                                  identity(a, "train", {{1}}), identity(a, "train", {{1, 0}})};
  EXPECT_EQ(others.size(), 5u);
}

TEST(PackedFile, RemembersWhichSamplesLostTheirBoxes) {
  const TemporaryFolder folder;
  PackedWriter writer(folder / "a", {"thing", "none"}, {});
  Sample lost = kSamples[1];
  lost.lost_boxes = true;
  writer.start_split("train", true);
  writer.add(kSamples[0]);
  writer.add(lost);
  writer.add(kSamples[1]);
  writer.finish();
  const auto file = std::make_shared<PackedFile>(folder / "a");
  EXPECT_EQ(file->split("train").lost_boxes, (std::vector<int64_t>{1}));
  const auto data = packed_dataset(file, "train"), others = packed_dataset(file, "train", {{0, 2}});
  for (int64_t i = 0; i < 3; ++i) EXPECT_EQ(data->load(i).lost_boxes, i == 1);
  ASSERT_EQ(data->notes().size(), 1u);
  EXPECT_EQ(data->notes()[0].text, lost_boxes_note(1, 3));
  EXPECT_TRUE(others->notes().empty());
}

TEST(PackedFile, EqualContentGivesEqualBytes) {
  const TemporaryFolder folder;
  EXPECT_TRUE(bytes_of(write_samples(folder / "a")) == bytes_of(write_samples(folder / "b")));
  EXPECT_EQ(names_in(folder.path()).size(), 2u);
}

TEST(PackedFile, NoticesEveryChangedByteAndEveryMissingOne) {
  const TemporaryFolder folder;
  const std::string bytes = bytes_of(write_samples(folder / "whole"));
  load_all(folder / "whole");
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string changed = bytes;
    changed[i] = static_cast<char>(changed[i] ^ 1 << i % 8);
    EXPECT_THROW(load_all(write_bytes(folder / "changed", changed)), Error) << "byte " << i;
    EXPECT_THROW(load_all(write_bytes(folder / "cut", bytes.substr(0, i))), Error) << "cut to " << i << " bytes";
  }
}

TEST(PackedFile, SaysWhatIsWrong) {
  const TemporaryFolder folder;
  const std::string path = folder / "x.packed", bytes = bytes_of(write_samples(path));
  const auto expect = [&](const std::string& content, const std::vector<std::string>& parts) {
    write_bytes(path, content);
    expect_error([&] { load_all(path); }, parts);
  };
  const auto with_byte = [&](size_t at, char value) {
    std::string changed = bytes;
    changed[at] = value;
    return changed;
  };
  expect("", {path, "not a packed data set", "0 bytes"});
  expect(std::string(100, 'x'), {path, "not a packed data set", "BOXCAMPK"});
  expect(with_byte(8, 2), {path, "version 2", "version 1", "prepare"});
  expect(bytes.substr(0, bytes.size() - 1),
         {path, "truncated", std::to_string(bytes.size()), std::to_string(bytes.size() - 1)});
  expect(bytes + "x", {path, "damaged", std::to_string(bytes.size() + 1)});
  expect(with_byte(bytes.size() - 1, 'x'), {path, "damaged", "index", "checksum"});
  expect(with_byte(40 + 2 * 3 * 3 + 2 * 32 + 4, 'x'), {path, "damaged", "image 1 of split train", "checksum"});

  expect_error([&] { PackedFile(folder / "absent"); }, {folder / "absent", "No such file"});
  expect_error([&] { PackedFile(folder.path()); }, {folder.path(), "Is a directory"});
  ASSERT_EQ(mkfifo((folder / "pipe").c_str(), 0600), 0);
  expect_error([&] { PackedFile(folder / "pipe"); }, {folder / "pipe", "not a regular file"});
}

/// The file of write_samples after a change of the first sample's first box, with checksums that fit.
std::string with_box(std::string bytes, const Box& box) {
  const auto number_at = [&](size_t at) {
    uint64_t value = 0;
    std::memcpy(&value, bytes.data() + at, sizeof value);
    return value;
  };
  const auto put_checksum = [&](size_t at, size_t from, size_t count) {
    const auto sum = static_cast<uint32_t>(crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data() + from), count));
    std::memcpy(bytes.data() + at, &sum, sizeof sum);
  };
  const size_t record = 40, pixels = kSamples[0].image.pixels.size();
  const size_t size =
      pixels + kSamples[0].boxes.size() * sizeof(Box) + kSamples[0].id.size() + kSamples[0].source.size();
  const size_t index = bytes.size() - number_at(24), entry = index + number_at(16);
  std::memcpy(bytes.data() + record + pixels, &box, sizeof box);
  put_checksum(entry + offsetof(PackedEntry, checksum), record, size);
  put_checksum(12, index, bytes.size() - index);
  return bytes;
}

TEST(PackedFile, ABoxIsOfFiniteNumbersInOrder) {
  const TemporaryFolder folder;
  const std::string bytes = bytes_of(write_samples(folder / "a"));
  load_all(write_bytes(folder / "a", with_box(bytes, {0, 0, 1, 1})));
  constexpr double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
  for (const Box& box : {Box{0, nan, 1, 1}, Box{0, 0, nan, 1}, Box{0, 0, 1, infinity}, Box{-infinity, 0, 1, 1},
                         Box{2, 0, 1, 1}, Box{0, 2, 1, 1}}) {
    write_bytes(folder / "a", with_box(bytes, box));
    expect_error([&] { load_all(folder / "a"); },
                 {folder / "a", "damaged: image 0 of split train has a box that is not of finite numbers"});
    Sample sample = kSamples[0];
    sample.boxes = {box};
    PackedWriter writer(folder / "b", {"thing"}, {});
    writer.start_split("train", true);
    expect_error([&] { writer.add(sample); }, {"cannot pack image a: expected boxes of finite numbers"});
  }
}

/// A file of this header, without samples, with its checksum.
std::string file_of(const std::string& header) {
  const uint64_t sizes[] = {header.size(), header.size(), 40 + header.size()};
  const auto* index = reinterpret_cast<const Bytef*>(header.data());
  const uint32_t start[] = {1, static_cast<uint32_t>(crc32_z(0, index, header.size()))};
  std::string bytes = "BOXCAMPK";
  bytes.append(reinterpret_cast<const char*>(start), sizeof start);
  bytes.append(reinterpret_cast<const char*>(sizes), sizeof sizes);
  return bytes + header;
}

TEST(PackedFile, ItsHeaderCannotAskForMemoryOrTheStack) {
  const TemporaryFolder folder;
  const auto expect = [&](const std::string& header, const std::string& part) {
    expect_error([&] { PackedFile(write_bytes(folder / "x", file_of(header))); }, {folder / "x", part});
  };
  const auto splits = [](const std::string& images) {
    return R"({"classes":["a"],"options":{},"splits":[)" + images + "]}";
  };
  const auto split = [](const char* images) { return str(R"({"name":"s","complete":true,"images":)", images, "}"); };
  EXPECT_NO_THROW(PackedFile(write_bytes(folder / "x", file_of(splits(split("0"))))));
  expect(splits(split("2305843009213693952")), "images, its index room for 0");  // 40 times it is 0 in 64 bits
  expect(splits(split("-1")), "has -1 images");
  for (const char* number : {"1e+300", "0.5", "true", "null", "18446744073709551615"})
    expect(splits(split(number)), str("is damaged: expected a whole number of 64 bits, found ", number));
  for (const char* key : {"lost_boxes", "group_of"})
    expect(splits(str(R"({"name":"s","complete":true,"images":0,")", key, R"(":[1e300]})")), "found 1e+300");
  expect(R"({"classes":[],"options":{},"splits":[]})", "names no class");
  expect(R"({"classes":["a"],"options":3,"splits":[]})", "has no options");
  expect(R"({"classes":["a"],"options":)" + std::string(100'000, '[') + std::string(100'000, ']') + "}", "64 deep");
}

TEST(PackedFile, AFileThatIsCutOffWhileItIsOpenIsAnErrorAndNotADeath) {
  const TemporaryFolder folder;
  const std::string path = write_samples(folder / "a.packed");
  const PackedFile file(path);
  std::filesystem::resize_file(path, 60);
  expect_error([&] { file.load("train", 0); }, {"a.packed is truncated: it ends at byte 60"});
  std::filesystem::resize_file(path, 1 << 20);  // what was there is zero now
  expect_error([&] { file.load("train", 0); }, {"a.packed is damaged", "checksum"});
}

TEST(PackedWriter, LeavesNothingUnfinished) {
  const TemporaryFolder folder;
  {
    PackedWriter writer(folder / "a", {"none"}, {});
    writer.start_split("train", true);
    EXPECT_FALSE(names_in(folder.path()).empty());
    expect_error([&] { writer.start_split("train", true); }, {"train", "twice"});
    expect_error([&] { writer.add(kSamples[1]); }, {"label 1", "1 classes"});
    expect_error([&] { writer.add({}); }, {"0 x 0"});
  }
  EXPECT_TRUE(names_in(folder.path()).empty());
  expect_error([&] { PackedWriter(folder / "absent/a", {"none"}, {}); }, {folder / "absent/a", "No such file"});
}

// ---- Against the source ----

/// The data options as a program gets them.
DataOptions options_of(const Arguments& arguments) {
  CLI::App app;
  DataOptions options;
  OptionTable table(app);
  declare_data_set(table, options, {"train", "val", "test"});
  declare_batch(table, options);
  declare_augment(table, options, "");
  std::vector<std::string> words = words_of(arguments);
  std::reverse(words.begin(), words.end());  // as CLI11 wants them
  app.parse(words);
  settle_data_options(table, options);
  return options;
}

std::shared_ptr<const Dataset> open_split(DataOptions options, const std::string& split) {
  return open_splits(options, {split}).front().data;
}

std::string pack(const TemporaryFolder& folder, const Arguments& arguments, const std::string& name = "packed") {
  const Outcome result = run_program("prepare", with(arguments, {{"--output", folder / name}}));
  EXPECT_EQ(result.status, 0) << result.err;
  return "packed:" + folder / name;
}

void expect_equal(const Batch& a, const Batch& b) {
  EXPECT_EQ(a.image_size, b.image_size);
  EXPECT_TRUE(a.images == b.images);
  EXPECT_EQ(a.labels, b.labels);
  EXPECT_EQ(a.ids, b.ids);
  EXPECT_EQ(a.sources, b.sources);
  EXPECT_EQ(a.lost_boxes, b.lost_boxes);
  EXPECT_EQ(a.indices, b.indices);
  ASSERT_EQ(a.boxes.size(), b.boxes.size());
  for (size_t i = 0; i < a.boxes.size(); ++i) EXPECT_TRUE(same_boxes(a.boxes[i], b.boxes[i])) << a.ids[i];
}

/// What training and evaluation see of a split over two epochs.
void expect_same_batches(const DataOptions& source, const DataOptions& packed, const std::string& split) {
  const auto a = open_split(source, split), b = open_split(packed, split);
  EXPECT_EQ(a->classes(), b->classes());
  ASSERT_EQ(a->size(), b->size());
  for (const bool training : {true, false}) {
    Loader from_source(*a, loader_options(source, *a, training, 3));
    Loader from_packed(*b, loader_options(packed, *b, training, 3));
    for (int64_t epoch = 0; epoch < 2; ++epoch) {
      from_source.start_epoch(epoch);
      from_packed.start_epoch(epoch);
      while (const auto batch = from_source.next()) {
        const auto other = from_packed.next();
        ASSERT_TRUE(other.has_value());
        expect_equal(*batch, *other);
      }
      EXPECT_FALSE(from_packed.next().has_value());
    }
  }
}

const Arguments kScenes = {{"--image-size", "32"},  {"--train-images", "20"},         {"--val-images", "9"},
                           {"--test-images", "10"}, {"--context-correlation", "0.5"}, {"--data-seed", "4"}};

TEST(Packed, ScenesGiveTheSameBatches) {
  const TemporaryFolder folder;
  const std::string data = pack(folder, kScenes);
  const Arguments augment = {{"--augment", "flip"}, {"--batch", "6"}};
  // The options that made the file need not be given again, but may be.
  for (const Arguments& given : {Arguments{}, kScenes})
    for (const char* split : {"train", "validation", "test", "out-of-context"})
      expect_same_batches(options_of(with(kScenes, augment)),
                          options_of(with(with(given, augment), {{"--data", data}})), split);
  const Arguments fewer = with(augment, {{"--train-images", "7"}});
  expect_same_batches(options_of(with(kScenes, fewer)), options_of(with(fewer, {{"--data", data}})), "train");
}

TEST(Packed, PhotographsGiveTheSameBatches) {
  const TemporaryFolder folder;
  write_photographs(folder);
  const Arguments source = {{"--data", "open-images:" + folder.path().string()}, {"--image-size", "32"}};
  for (const char* resize : {"squash", "crop"}) {
    const Arguments made = with(source, {{"--resize", resize}, {"--classes", "car,Airplane"}});
    const std::string data = pack(folder, made, resize);
    const Arguments augment = {{"--augment", "flip"}, {"--batch", "6"}};
    for (const char* split : {"train", "validation"})
      expect_same_batches(options_of(with(made, augment)), options_of(with(augment, {{"--data", data}})), split);
  }
  const Arguments whole = with(source, {{"--augment", "crop-flip"}, {"--resize", "crop"}});
  const std::string data = pack(folder, whole);
  for (const char* augment : {"none", "flip", "crop-flip"})
    expect_same_batches(options_of(with(whole, {{"--augment", augment}})),
                        options_of({{"--data", data}, {"--augment", augment}}), "train");
}

TEST(Packed, ASubsetIsTheSourcesSubset) {
  const TemporaryFolder folder;
  write_photographs(folder);
  const Arguments source = {{"--data", "open-images:" + folder.path().string()}, {"--image-size", "32"}};
  const std::string all = pack(folder, source);
  for (const char* seed : {"0", "5"}) {
    const Arguments some = {{"--train-images", "9"}, {"--val-images", "3"}, {"--data-seed", seed}};
    for (const char* split : {"train", "validation"})
      expect_same_batches(options_of(with(source, some)), options_of(with(some, {{"--data", all}})), split);
  }
  const Arguments nine = {{"--train-images", "9"}, {"--data-seed", "5"}};
  const std::string part = pack(folder, with(source, nine), "part");
  expect_same_batches(options_of(with(source, nine)), options_of({{"--data", part}}), "train");
  expect_same_batches(options_of(with(source, nine)), options_of(with(nine, {{"--data", part}})), "train");
  expect_error(
      [&] {
        open_split(options_of({{"--data", part}, {"--train-images", "5"}}), "train");
      },
      {"5 images of split 'train'", folder / "part", "subset of 9"});
  expect_error([&] { options_of({{"--data", part}, {"--data-seed", "6"}}); }, {"--data-seed", "'5'", "'6'"});
  expect_error(
      [&] {
        open_split(options_of({{"--data", all}, {"--val-images", "17"}}), "validation");
      },
      {"17 images of split 'validation'", folder / "packed", "has 16"});
}

TEST(Packed, RefusesOptionsThatTheFileWasNotMadeWith) {
  const TemporaryFolder folder;
  const std::string data = pack(folder, kScenes);
  const std::map<std::string, std::pair<std::string, std::string>> others = {{"--image-size", {"64", "32"}},
                                                                             {"--resize", {"crop", "squash"}},
                                                                             {"--classes", {"ship", "plane,ship,car"}},
                                                                             {"--data-seed", {"5", "4"}},
                                                                             {"--group-of", {"drop", "keep"}},
                                                                             {"--several-classes", {"drop", "largest"}},
                                                                             {"--sources", {"COCO2017", ""}},
                                                                             {"--none-class", {"off", "on"}},
                                                                             {"--context-correlation", {"1", "0.5"}},
                                                                             {"--expand-children", {"", "false"}},
                                                                             {"--difficult", {"drop", "keep"}}};
  for (const auto& [name, values] : others)
    expect_error(
        [&] {
          options_of({{"--data", data}, {name, values.first}});
        },
        {name + ": ", folder / "packed", "packed with '" + values.second + "'",
         "'" + (values.first.empty() ? "true" : values.first) + "' was asked for"});
  expect_error(
      [&] {
        options_of({{"--data", data}, {"--augment", "crop-flip"}});
      },
      {"--augment", folder / "packed", "32 pixels", "prepare --augment crop-flip"});
  options_of({{"--data", data}, {"--context-correlation", "0.50"}});  // the same number
}

// ---- Through the programs ----

TEST(Packed, TrainingGivesTheSameBytes) {
  const TemporaryFolder folder;
  const Arguments run = {{"--lambda", "5"}, {"--augment", "flip"}};
  train(folder / "scenes", run);
  Arguments made;
  for (const char* name : {"--image-size", "--train-images", "--val-images", "--test-images"})
    made[name] = tiny_run().at(name);
  train(folder / "packed-run", with(run, {{"--data", pack(folder, made)}}));
  for (const char* name :
       {"best.safetensors", "last.safetensors", "checkpoint.safetensors", "test.json", "overlays.png"})
    EXPECT_TRUE(bytes_of(folder / "scenes/" + name) == bytes_of(folder / "packed-run/" + name)) << name;
}

TEST(Packed, OptionsNotGivenComeFromTheFile) {
  const TemporaryFolder folder;
  write_photographs(folder);
  const std::string data = pack(folder, {{"--data", "open-images:" + folder.path().string()},
                                         {"--image-size", "40"},
                                         {"--resize", "crop"},
                                         {"--expand-children", ""},
                                         {"--classes", "car,plane"}});
  const Arguments run = {{"--model", "resnet-mini"}, {"--epochs", "1"}, {"--threads", "1"}, {"--data", data}};
  const Outcome result = run_program("train", with(run, {{"--output", folder / "run"}}));
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(contains(result.out, "note: " + folder / "packed" + " has no test split"));
  const json record = json::parse(bytes_of(folder / "run/run.json"));
  EXPECT_EQ(record["options"]["image-size"], "40");
  EXPECT_EQ(record["options"]["resize"], "crop");
  EXPECT_EQ(record["options"]["classes"], "car,plane");
  EXPECT_EQ(record["options"]["expand-children"], true);
  EXPECT_EQ(record["data"]["classes"], json({"car", "plane", "none"}));

  const Outcome measured =
      run_program("evaluate", {{"--checkpoint", folder / "run/last.safetensors"}, {"--data", data}});
  EXPECT_EQ(measured.status, 0) << measured.err;
  EXPECT_TRUE(contains(measured.out, "packed in " + folder / "packed" + ", validation: 16 images"));
}

TEST(Packed, ProgramsRefuseADamagedFile) {
  const TemporaryFolder folder;
  const std::string data = pack(folder, kScenes);
  std::string bytes = bytes_of(folder / "packed");
  bytes[100] = static_cast<char>(bytes[100] + 1);
  write_bytes(folder / "packed", bytes);
  const Outcome result =
      run_program("train", {{"--model", "resnet-mini"}, {"--data", data}, {"--output", folder / "r"}});
  EXPECT_EQ(result.status, 1);
  EXPECT_TRUE(contains(result.err, "train: " + folder / "packed" + " is damaged: image 0 of split train"));
}

TEST(Prepare, TellsWhatItPacks) {
  const TemporaryFolder folder;
  const Outcome result = run_program("prepare", with(kScenes, {{"--output", folder / "packed"}}));
  ASSERT_EQ(result.status, 0) << result.err;
  for (const char* part : {"scenes: 20", "scenes: 9", "scenes: 10", "--data packed:"})
    EXPECT_TRUE(contains(result.out, part));
  EXPECT_EQ(bytes_of(folder / "packed").find(folder.path()), std::string::npos) << "a path in the file";
  pack(folder, kScenes, "again");
  EXPECT_TRUE(bytes_of(folder / "packed") == bytes_of(folder / "again"));
}

TEST(Prepare, KeepsWhatExists) {
  const TemporaryFolder folder;
  write_bytes(folder / "mine", "precious");
  Outcome result = run_program("prepare", with(kScenes, {{"--output", folder / "mine"}}));
  EXPECT_EQ(result.status, 1);
  EXPECT_TRUE(contains(result.err, "--output: " + folder / "mine" + " exists already"));
  EXPECT_EQ(bytes_of(folder / "mine"), "precious");

  result = run_program("prepare", kScenes);
  EXPECT_EQ(result.status, 2);
  EXPECT_TRUE(contains(result.err, "--output"));
  result = run_program("prepare", {{"--data", "packed:" + folder / "mine"}, {"--output", folder / "new"}});
  EXPECT_EQ(result.status, 1);
  EXPECT_TRUE(contains(result.err, "packed already"));
  EXPECT_EQ(names_in(folder.path()).size(), 1u);
}

TEST(Prepare, LeavesNothingBehindAfterABrokenImage) {
  const TemporaryFolder folder, output;
  write_photographs(folder);
  write_bytes(folder / "validation/validation107.png", "no image");
  const Outcome result = run_program(
      "prepare",
      {{"--data", "open-images:" + folder.path().string()}, {"--image-size", "32"}, {"--output", output / "packed"}});
  EXPECT_EQ(result.status, 1);
  EXPECT_TRUE(contains(result.err, "validation107.png"));
  EXPECT_TRUE(names_in(output.path()).empty());
}

TEST(Prepare, LeavesNothingBehindWhenInterrupted) {
  const TemporaryFolder folder;
  Program program("prepare", {"--train-images", "1000000", "--output", folder / "packed"});
  program.wait_for("packing");
  program.interrupt();
  const Outcome result = program.finish();
  EXPECT_EQ(result.status, 130);
  EXPECT_TRUE(contains(result.err, "interrupted"));
  EXPECT_TRUE(names_in(folder.path()).empty());
}

}  // namespace
}  // namespace boxcam
