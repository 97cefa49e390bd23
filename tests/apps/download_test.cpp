// download against a server on this machine, a good one and a hostile one: the same bytes from both, nothing partial
// that looks whole, and what could not be had is said.
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "apps/download/addresses.h"
#include "apps/download/choice.h"
#include "tests/programs.h"

namespace boxcam {
namespace {

namespace fs = std::filesystem;

bool has_python() { return std::system("python3 -c '' > /dev/null 2>&1") == 0; }

/// tests/apps/download_server.py over a folder.
class Server {
 public:
  Server(const std::string& folder, const std::string& manner, const std::string& log) {
    int ends[2] = {};
    EXPECT_EQ(pipe(ends), 0);
    child_ = fork();
    if (child_ == 0) {
      dup2(ends[1], STDOUT_FILENO);
      const std::string script = std::string(BOXCAM_SOURCE_DIR) + "/tests/apps/download_server.py";
      execlp("python3", "python3", script.c_str(), folder.c_str(), manner.c_str(), log.c_str(), nullptr);
      _exit(127);
    }
    close(ends[1]);
    FILE* out = fdopen(ends[0], "r");
    EXPECT_EQ(fscanf(out, "%d", &port_), 1) << "the server did not start";
    fclose(out);
  }
  ~Server() {
    kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

 private:
  pid_t child_ = 0;
  int port_ = 0;
};

const char* const box_header =
    "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf\n";
const char* const mids[] = {"/m/0cmf2", "/m/019jd", "/m/0k4j", "/m/07r04"};  // plane, boat, car, truck

std::string box_row(const std::string& id, const std::string& mid, double side = 0.5) {
  return str(id, ",xclick,", mid, ",1,0.1,", 0.1 + side, ",0.1,", 0.1 + side, ",0,0,0\n");
}

/// What the public places hold, small: the path of an address is the path of a file here.
class Download : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_python()) GTEST_SKIP() << "no python3, which the server is written in";
    setenv("no_proxy", "127.0.0.1", 1);
  }

  std::string place(const std::string& url) const { return world() + url.substr(url.find('/', url.find("://") + 3)); }
  std::string world() const { return folder_ / "world"; }
  void put(const std::string& url, const std::string& bytes) const {
    fs::create_directories(fs::path(place(url)).parent_path());
    write_bytes(place(url), bytes);
  }

  /// A picture whose bytes do not compress, so that a transfer of it can break in the middle.
  void put_picture(const std::string& split, const std::string& id) const {
    Image image(90, 120);
    Random random(std::hash<std::string>()(id));
    for (uint8_t& value : image.pixels) value = static_cast<uint8_t>(random.below(256));
    put(addresses().picture(split, id), png_bytes(image));
  }

  /// In each split `each` pictures that show a plane, as many with a boat, a car and a truck, which is none of them.
  void make_world(int each) const {
    put(addresses().classes, "/m/0cmf2,Airplane\n/m/019jd,Boat\n/m/0k4j,Car\n/m/07r04,Truck\n");
    put(addresses().hierarchy, R"({"LabelName": "/m/0bl9f", "Subcategory": [{"LabelName": "/m/0k4j"}]})");
    for (const auto& [split, url] : addresses().boxes) {
      std::string table = box_header;
      for (int i = 0; i < 4 * each; ++i) {
        const std::string id = picture_name(0x1234500000000000u + static_cast<uint64_t>(i) * 977 + split.size());
        table += box_row(id, mids[i % 4]) + box_row(id, "/m/07r04", 0.2);
        put_picture(split, id);
      }
      put(url, table);
    }
  }

  Arguments arguments(const Server& server, const std::string& output) const {
    return {{"--output", output},   {"--base-url", server.url()}, {"--train-images", "12"}, {"--val-images", "8"},
            {"--test-images", "4"}, {"--back-off", "0.01"},       {"--stall", "1"}};
  }

  Outcome open_images(const Arguments& arguments) const {
    std::vector<std::string> words = words_of(arguments);
    words.insert(words.begin(), "open-images");
    return ::boxcam::Program("download", words).finish();
  }

  /// All files below a folder with their bytes, but those of another choice of server.
  static std::map<std::string, std::string> files_below(const std::string& path) {
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(path))
      if (entry.is_regular_file()) files[entry.path().lexically_relative(path)] = bytes_of(entry.path());
    return files;
  }

  const TemporaryFolder folder_;
};

TEST_F(Download, AHostileServerCostsTriesAndNoBytes) {
  make_world(5);
  const Server good(world(), "good", folder_ / "log"), hostile(world(), "hostile", folder_ / "log-hostile");
  const Outcome well = open_images(arguments(good, folder_ / "well"));
  ASSERT_EQ(well.status, 0) << well.err;
  EXPECT_TRUE(contains(well.out, "train: 12 pictures chosen (plane 3 of 5, ship 3 of 5, car 3 of 5, none 3 of 5)"));
  EXPECT_TRUE(contains(well.out, "OpenImages in " + folder_ / "well" + ", official CSV layout, train"));
  // A busy machine adds stalls of its own.
  const Outcome badly = open_images(with(arguments(hostile, folder_ / "badly"), {{"--attempts", "50"}}));
  ASSERT_EQ(badly.status, 0) << badly.err;

  const auto expected = files_below(folder_ / "well"), found = files_below(folder_ / "badly");
  EXPECT_EQ(expected.size(), 24u + 2 + 3 + 3 + 1);  // pictures, classes and hierarchy, tables, whole tables, record
  ASSERT_EQ(found.size(), expected.size());
  for (const auto& [name, bytes] : expected) EXPECT_TRUE(found.contains(name) && found.at(name) == bytes) << name;

  const std::string log =
      bytes_of(folder_ / "log-hostile");  // every kind of harm was done, and files were gone on with
  for (const char* fault :
       {"drop", "503", "short", "redirect", "429", "page", "stall", "long", "500", "wrong-piece", "changed"})
    EXPECT_TRUE(contains(log, std::string(fault) + " /"));
  EXPECT_TRUE(contains(log, " bytes="));
}

TEST_F(Download, WhatIsKilledGoesOnAndWhatIsThereIsNotAskedForAgain) {
  make_world(5);
  {
    const Server slow(world(), "slow", folder_ / "log");
    std::vector<std::string> words = words_of(with(arguments(slow, folder_ / "data"), {{"--jobs", "1"}}));
    words.insert(words.begin(), "open-images");
    for (const int signal : {SIGKILL, SIGINT}) {
      Program program("download", words);
      program.wait_for("are to be fetched");
      std::this_thread::sleep_for(std::chrono::milliseconds(700));
      program.interrupt(signal);
      const auto begin = std::chrono::steady_clock::now();
      const Outcome outcome = program.finish();
      EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(2));
      EXPECT_EQ(outcome.status, 128 + signal) << outcome.err;
      if (signal != SIGINT) continue;
      EXPECT_TRUE(contains(outcome.err, " of 24 pictures are there; the same command goes on from there"));
      EXPECT_FALSE(fs::exists(folder_ / "data/download.json.partial"));
    }
    for (const auto& [name, bytes] : files_below(folder_ / "data"))
      if (name.ends_with(".jpg")) {
        EXPECT_NO_THROW(read_image(folder_ / ("data/" + name))) << name;
      }
  }
  const Server good(world(), "good", folder_ / "log-rest");
  const size_t before = files_below(folder_ / "data/train").size();
  EXPECT_GT(before, 0u);
  const Outcome rest = open_images(arguments(good, folder_ / "data"));
  ASSERT_EQ(rest.status, 0) << rest.err;
  const std::string log = bytes_of(folder_ / "log-rest");
  EXPECT_LT(std::count(log.begin(), log.end(), '\n'), 24);
  const auto files = files_below(folder_ / "data");
  EXPECT_EQ(std::count_if(files.begin(), files.end(), [](const auto& f) { return f.first.ends_with(".jpg"); }), 24);
  EXPECT_TRUE(std::none_of(files.begin(), files.end(), [](const auto& f) { return f.first.ends_with(".partial"); }));

  const Outcome other = open_images(with(arguments(good, folder_ / "data"), {{"--classes", "plane,car"}}));
  EXPECT_EQ(other.status, 1);
  EXPECT_TRUE(contains(other.err, "--classes is \"plane,car\", but " + folder_ / "data" +
                                      " was begun with \"plane,ship,car\"; choose another folder"));
}

TEST_F(Download, TwoProcessesDoNotShareAFolder) {
  make_world(5);
  const Server slow(world(), "slow", folder_ / "log");
  std::vector<std::string> words = words_of(with(arguments(slow, folder_ / "data"), {{"--jobs", "1"}}));
  words.insert(words.begin(), "open-images");
  Program first("download", words);
  first.wait_for("are to be fetched");
  const Outcome second = open_images(arguments(slow, folder_ / "data"));
  EXPECT_EQ(second.status, 1);
  EXPECT_TRUE(contains(second.err, "another download is at work in the folder " + folder_ / "data")) << second.err;
  const Outcome beside = open_images(with(arguments(slow, folder_ / "other"), {{"--tables", folder_ / "data"}}));
  EXPECT_EQ(beside.status, 1);
  EXPECT_TRUE(contains(beside.err, "another download is at work in the folder " + folder_ / "data")) << beside.err;
  first.interrupt(SIGKILL);
  first.finish();
}

TEST_F(Download, ATableIsGoneOnWithAfterAKillUnlessItChanged) {
  make_world(5);
  const std::string url = addresses().boxes.at("train");
  const std::string long_one = "abcdef0123456789", late_one = "abcdef012345678a";
  for (const std::string& id : {long_one, late_one}) put_picture("train", id);
  std::string table = bytes_of(place(url));
  while (table.size() < 600'000) table += box_row(long_one, "/m/07r04");
  put(url, table);
  for (const bool changed : {false, true}) {
    const std::string output = folder_ / (changed ? "changed" : "same"), log = folder_ / (changed ? "log2" : "log1");
    const std::string partial = output + "/tables/oidv6-train-annotations-bbox.csv.partial";
    {
      const Server slow(world(), "slow", log);
      std::vector<std::string> words = words_of(arguments(slow, output));
      words.insert(words.begin(), "open-images");
      Program program("download", words);
      for (int i = 0; i < 2000 && !(fs::exists(partial) && fs::file_size(partial) > 100'000); ++i) usleep(5000);
      program.interrupt(SIGKILL);
      program.finish();
    }
    ASSERT_TRUE(fs::exists(partial));
    if (changed) put(url, table + box_row(late_one, "/m/07r04"));
    const Server good(world(), "good", log);
    const Outcome rest = open_images(arguments(good, output));
    ASSERT_EQ(rest.status, 0) << rest.err;
    EXPECT_TRUE(contains(bytes_of(log), "annotations-bbox.csv bytes="));
    EXPECT_EQ(bytes_of(output + "/tables/oidv6-train-annotations-bbox.csv"), bytes_of(place(url)));
    EXPECT_FALSE(fs::exists(partial + ".from"));
  }
}

TEST_F(Download, WhatCannotBeHadIsSaidAndTheRestIsThere) {
  make_world(5);
  const std::string id = "00000000000000ab", url = addresses().boxes.at("test");
  put(url, bytes_of(place(url)) + box_row(id, mids[0]));  // a row without a picture
  const Server good(world(), "good", folder_ / "log");
  Arguments all = with(arguments(good, folder_ / "data"), {{"--splits", "test"}, {"--test-images", "0"}});
  all.erase("--train-images");
  const Outcome outcome = open_images(all);
  EXPECT_EQ(outcome.status, 1);
  EXPECT_TRUE(contains(outcome.out, "plane 6 of 6, ship 5 of 5, car 5 of 5, none 5 of 5"));
  EXPECT_TRUE(contains(outcome.err, "1 of 21 pictures could not be had"));
  EXPECT_TRUE(contains(outcome.err, id + ".jpg: the server answers 404 (" + good.url() + "/test/" + id + ".jpg)"));
  EXPECT_TRUE(contains(outcome.out, "20 images"));
  put_picture("test", id);
  const Outcome again = open_images(all);
  EXPECT_EQ(again.status, 0) << again.err;
  EXPECT_TRUE(contains(again.out, "1 of 21 pictures are to be fetched"));
}

TEST_F(Download, ADryRunAsksAndWritesNothing) {
  make_world(5);
  const Server good(world(), "good", folder_ / "log");
  const Outcome outcome = open_images(with(arguments(good, folder_ / "data"), {{"--dry-run", ""}}));
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_TRUE(contains(outcome.out, "/openimages/v6/oidv6-train-annotations-bbox.csv: 0 MB"));
  EXPECT_TRUE(contains(outcome.out, "pictures    train: at most 12, about 4 MB"));
  EXPECT_FALSE(fs::exists(folder_ / "data"));
  const Outcome nobody =
      open_images({{"--output", folder_ / "data"}, {"--base-url", "http://127.0.0.1:1"}, {"--dry-run", ""}});
  EXPECT_EQ(nobody.status, 1);
  EXPECT_TRUE(contains(nobody.out, "Failed to connect"));
}

// The content was searched for: its SHA-256 begins as the name of one of torchvision's files says.
const char* const weights = "0518015709";
const char* const weights_model = "resnet101";
const char* const weights_version = "v1";

TEST_F(Download, WeightsAreTheirDigest) {
  const std::string url = addresses().weights.at(weights_model).at(weights_version);
  const std::string output = folder_ / "weights", path = output + "/" + file_name(url);
  put(url, "others");
  const Server hostile(world(), "hostile", folder_ / "log");
  const std::vector<std::string> words = {"weights",
                                          weights_model,
                                          std::string("--") + weights_version,
                                          "--output",
                                          output,
                                          "--base-url",
                                          hostile.url(),
                                          "--back-off",
                                          "0.01",
                                          "--stall",
                                          "1"};
  const Outcome wrong = Program("download", words).finish();
  EXPECT_EQ(wrong.status, 1);
  EXPECT_TRUE(contains(wrong.err, "the weights could not be had"));
  EXPECT_TRUE(contains(wrong.err, ", expected the 63fe2227 of its name"));
  EXPECT_FALSE(fs::exists(path));

  put(url, weights);
  const Outcome right = Program("download", words).finish();
  EXPECT_EQ(right.status, 0) << right.err;
  EXPECT_EQ(bytes_of(path), weights);
  EXPECT_TRUE(contains(Program("download", words).finish().out, "is there already, and whole"));
  write_bytes(path, "damaged");
  EXPECT_TRUE(contains(Program("download", words).finish().err, "remove it first"));
}

TEST_F(Download, WhoAsksToBeLeftAloneForLongIsLeftAlone) {
  make_world(5);
  const Server good(world(), "good", folder_ / "log");
  const Outcome outcome =
      open_images(with(arguments(good, folder_ / "data"), {{"--base-url", good.url() + "/crowded/"}}));
  EXPECT_EQ(outcome.status, 1);
  EXPECT_TRUE(contains(outcome.err, "5 of 5 tables could not be had"));
  EXPECT_TRUE(contains(outcome.err, "the server answers 429, and the server asks to come back in 3600 s"));
}

TEST(DownloadOptions, WrongOnesAreRefused) {
  const auto refused = [](std::vector<std::string> words) { return Program("download", words).finish(); };
  EXPECT_TRUE(contains(refused({}).err, "expected what to fetch: open-images or weights"));
  EXPECT_TRUE(
      contains(refused({"weights", "resnet51"}).err, "no weights of 'resnet51' that boxcam knows; did you mean"));
  EXPECT_TRUE(contains(refused({"weights", "resnet18", "--v2"}).err, "torchvision has no v2 of resnet18, only v1"));
  EXPECT_TRUE(contains(refused({"weights", "resnet50", "--v1", "--v2"}).err, "--v2: is not --v1"));
  EXPECT_TRUE(contains(refused({"open-images", "--output", "x", "--splits", "val"}).err, "unknown split 'val'"));
  EXPECT_TRUE(contains(refused({"open-images", "--output", "x", "--base-url", "ftp://a"}).err, "--base-url: ftp://a"));
}

// ---- The choice of pictures ----

class Choice : public testing::Test {
 protected:
  PictureChoice choose(const PictureRequest& request) const {
    write_bytes(folder_ / "classes.csv",
                "/m/0cmf2,Airplane\n/m/019jd,Boat\n/m/0k4j,Car\n/m/0h2r6,Van\n/m/07r04,Truck\n");
    const OpenImagesClasses classes = open_images_classes(folder_ / "classes.csv", "", request.annotations);
    return choose_pictures(folder_ / "boxes.csv", folder_ / "labels.csv", classes, request);
  }
  static std::vector<uint64_t> ids(const PictureChoice& choice) {
    std::vector<uint64_t> list;
    for (const ChosenPicture& picture : choice.pictures) list.push_back(picture.id);
    return list;
  }
  const TemporaryFolder folder_;
};

TEST_F(Choice, ALargerRequestTakesMoreAndNeverOthers) {
  std::string table = box_header;
  for (uint64_t i = 0; i < 400; ++i) table += box_row(picture_name(i * i * 7919), mids[i % 4]);
  write_bytes(folder_ / "boxes.csv", table);
  const std::vector<uint64_t> some = ids(choose({.annotations = {}, .images = 40})),
                              more = ids(choose({.annotations = {}, .images = 80})),
                              others = ids(choose({.annotations = {.seed = 1}, .images = 40}));
  EXPECT_EQ(some.size(), 40u);
  EXPECT_EQ(more.size(), 80u);
  EXPECT_TRUE(std::includes(more.begin(), more.end(), some.begin(), some.end()));
  EXPECT_NE(some, others);
  EXPECT_EQ(ids(choose({.annotations = {}})).size(), 400u);  // 300, and a quarter of 400 are none
  EXPECT_EQ(ids(choose({.annotations = {}, .none_share = 0})).size(), 300u);
}

TEST_F(Choice, RowsAreCopiedAsTheyStand) {
  const std::string a = picture_name(10), b = picture_name(11), c = picture_name(12);
  const std::string of_b = box_row(b, mids[3]) + box_row(b, mids[2]);
  std::string of_c = box_row(c, mids[1]) + box_row(c, mids[3], 0.9);
  of_c.pop_back();  // the last row without its end
  write_bytes(folder_ / "boxes.csv", box_header + box_row(a, mids[3]) + of_b + of_c);
  const PictureChoice choice = choose({.annotations = {}, .none_share = 0});
  write_rows(folder_ / "boxes.csv", choice, folder_ / "rows.csv");
  EXPECT_EQ(bytes_of(folder_ / "rows.csv"), box_header + of_b + of_c + "\n");
  EXPECT_EQ(picture_ids(folder_ / "rows.csv"), (std::vector<uint64_t>{11, 12}));
}

TEST_F(Choice, AbsenceIsWhatPeopleSaid) {
  std::string table = box_header, labels = "ImageID,Source,LabelName,Confidence\n";
  const auto said = [&](uint64_t id, const char* mid, int sure) {
    labels += str(picture_name(id), ",verification,", mid, ",", sure, "\n");
  };
  for (uint64_t id = 1; id <= 6; ++id) table += box_row(picture_name(id), "/m/07r04");
  for (uint64_t id = 7; id <= 20; ++id) table += box_row(picture_name(id), mids[id % 3]);
  for (const char* mid : {"/m/0cmf2", "/m/019jd", "/m/0k4j"}) said(1, mid, 0);  // none of all three
  said(2, "/m/019jd", 0);                                                       // no boat
  said(3, "/m/019jd", 0), said(3, "/m/0k4j", 1);                                // but a car, without a box
  said(4, "/m/07r04", 1);                                                       // nothing of them
  said(5, "/m/0h2r6", 0);                                                       // no van: another class
  write_bytes(folder_ / "boxes.csv", table);
  write_bytes(folder_ / "labels.csv", labels);
  const auto none = [&](Absence absence) {
    std::vector<uint64_t> list;
    for (const ChosenPicture& p :
         choose({.annotations = {}, .images = 60, .none_share = 0.5, .absence = absence}).pictures)
      if (p.label == 3) list.push_back(p.id);
    return list;
  };
  EXPECT_EQ(none(Absence::boxes), (std::vector<uint64_t>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(none(Absence::one), (std::vector<uint64_t>{1, 2}));
  EXPECT_EQ(none(Absence::every), (std::vector<uint64_t>{1}));
}

TEST_F(Choice, AStrangeTableIsRefused) {
  const auto message = [&](const std::string& rows) -> std::string {
    write_bytes(folder_ / "boxes.csv", box_header + rows);
    try {
      choose({.annotations = {}});
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_TRUE(contains(message(box_row("../../etc/passwd", mids[0])), "ImageID is '../../etc/passwd'"));
  EXPECT_TRUE(contains(message(box_row("00000000000000AB", mids[0])), "16 hexadecimal digits in lower case"));
  const std::string a = box_row(picture_name(1), mids[0]), b = box_row(picture_name(2), mids[0]);
  EXPECT_TRUE(contains(message(a + b + a), "the rows of image 0000000000000001 do not stand together"));
  EXPECT_TRUE(contains(message(a + b.substr(0, b.size() / 2)), "was it cut off?"));
}

}  // namespace
}  // namespace boxcam
