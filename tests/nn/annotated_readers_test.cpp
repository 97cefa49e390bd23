// Readers of Pascal VOC, COCO, Waterbirds and tables of one's own: what torchvision and pycocotools read is what they
// read (tests/fixtures/make_annotation_fixtures.py), the policies act, and what is wrong is a sentence.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <chrono>
#include <cmath>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/base/check.h"
#include "nn/data/coco.h"
#include "nn/data/csv.h"
#include "nn/data/csv_images.h"
#include "nn/data/image.h"
#include "nn/data/voc.h"
#include "nn/data/waterbirds.h"
#include "tests/temporary_folder.h"

namespace boxcam {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Options = AnnotationOptions;
using Open = std::unique_ptr<Dataset> (*)(const std::string&, const std::string&, const Options&);

const std::string kFixtures = std::string(BOXCAM_SOURCE_DIR) + "/tests/fixtures/annotations/";

json expected(const char* reader) { return json::parse(bytes_of(kFixtures + "expected.json")).at(reader); }

// Boxes of expected.json, in pixels: VOC's first pixel is 1, and the last belongs to the box.
Box voc_box(const json& o) { return {o[1].get<double>() - 1, o[2].get<double>() - 1, o[3], o[4]}; }
Box coco_box(const json& o) {
  const double x = o[1], y = o[2];
  return {x, y, x + o[3].get<double>(), y + o[4].get<double>()};
}

void add_picture(const std::string& path, int width = 60, int height = 40) {
  fs::create_directories(fs::path(path).parent_path());
  write_png(path, Image(height, width));
}

void replace(const std::string& path, const std::string& from, const std::string& to) {
  std::string text = bytes_of(path);
  ASSERT_NE(text.find(from), std::string::npos) << from;
  write_bytes(path, text.replace(text.find(from), from.size(), to));
}

std::string error_of(Open open, const std::string& place, const Options& options, const std::string& split = "train",
                     bool look = false) {
  try {
    const auto data = open(place, split, options);
    if (look) data->inspect({});
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

void expect_parts(const std::string& message, const std::vector<std::string>& parts) {
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  for (const std::string& part : parts)
    EXPECT_NE(message.find(part), std::string::npos) << message << "\nlacks: " << part;
}

/// The labels of all samples by id, as "car" or "car 2" with the number of boxes.
using Shown = std::map<std::string, std::string>;
Shown shown(const Dataset& data) {
  Shown all;
  for (int64_t i = 0; i < data.size(); ++i) {
    const Sample s = data.load(i);
    EXPECT_EQ(s.label, data.label(i));
    EXPECT_EQ(s.group, data.group(i));
    all[s.id] = data.classes()[static_cast<size_t>(s.label)] + (s.boxes.empty() ? "" : str(" ", s.boxes.size()));
  }
  return all;
}

/// Of every class that `expected` names the boxes, in pixels, image by image: `to_box` makes one of an entry.
void expect_the_same_boxes(Open open, const std::string& place, const json& expected, Box (*to_box)(const json&)) {
  std::set<std::string> names;
  for (const json& objects : expected)
    for (const json& object : objects) names.insert(object[0]);
  int compared = 0;
  for (const std::string& name : names) {
    const auto data = open(place, "train", {.classes = {name}});
    ASSERT_EQ(data->size(), static_cast<int64_t>(expected.size()));
    for (int64_t i = 0; i < data->size(); ++i) {
      const Sample sample = data->load(i);
      std::vector<Box> boxes;
      for (const json& object : expected.at(sample.id))
        if (object[0] == name) boxes.push_back(to_box(object));
      EXPECT_EQ(sample.label, boxes.empty() ? 1 : 0) << sample.id;
      ASSERT_EQ(sample.boxes.size(), boxes.size()) << sample.id;
      for (size_t b = 0; b < boxes.size(); ++b, ++compared) {
        EXPECT_NEAR(sample.boxes[b].x_min, boxes[b].x_min, 1e-9);
        EXPECT_NEAR(sample.boxes[b].y_min, boxes[b].y_min, 1e-9);
        EXPECT_NEAR(sample.boxes[b].x_max, boxes[b].x_max, 1e-9);
        EXPECT_NEAR(sample.boxes[b].y_max, boxes[b].y_max, 1e-9);
      }
    }
  }
  EXPECT_GE(compared, 4);

  // With several labels one data set has all of that: every box with its class, and a picture the classes of its boxes.
  const std::vector<std::string> classes(names.begin(), names.end());
  const auto data = open(place, "train", {.classes = classes, .task = Task::multi_label});
  EXPECT_EQ(data->classes(), classes) << "none is no output";
  ASSERT_EQ(data->size(), static_cast<int64_t>(expected.size()));
  size_t most = 0;
  for (int64_t i = 0; i < data->size(); ++i) {
    const Sample sample = data->load(i);
    ASSERT_EQ(sample.box_classes.size(), sample.boxes.size());
    std::multiset<std::string> ours, theirs;
    std::set<int32_t> shown;
    for (size_t b = 0; b < sample.boxes.size(); ++b) {
      const Box& box = sample.boxes[b];
      ours.insert(str(classes.at(static_cast<size_t>(sample.box_classes[b])), " ", std::lround(box.x_min * 1000), " ",
                      std::lround(box.y_max * 1000)));
      shown.insert(sample.box_classes[b]);
    }
    for (const json& object : expected.at(sample.id)) {
      const Box box = to_box(object);
      theirs.insert(
          str(object[0].get<std::string>(), " ", std::lround(box.x_min * 1000), " ", std::lround(box.y_max * 1000)));
    }
    EXPECT_EQ(ours, theirs) << sample.id;
    EXPECT_EQ(std::vector<int32_t>(shown.begin(), shown.end()), sample.shown);
    EXPECT_EQ(data->shown(i), sample.shown);
    EXPECT_EQ(sample.label, data->label(i));
    EXPECT_TRUE(shown.empty() ? sample.label == -1 : shown.contains(static_cast<int32_t>(sample.label)));
    most = std::max(most, shown.size());
  }
  EXPECT_GE(most, 2u);
}

// ---- real annotations, where somebody has them: make_annotation_fixtures.py DIR, then BOXCAM_ANNOTATIONS=DIR ----

class RealAnnotations : public testing::Test {
 protected:
  void SetUp() override {
    const char* place = std::getenv("BOXCAM_ANNOTATIONS");
    if (!place) GTEST_SKIP() << "BOXCAM_ANNOTATIONS names no folder with VOC's and COCO's annotations";
    fs::copy(place, dir, fs::copy_options::recursive);
    found = json::parse(bytes_of(dir + "/expected.json"));
  }
  /// Grey pictures of the annotated sizes.
  void draw(const char* reader, const std::string& pictures) const {
    for (const auto& [id, size] : found.at("sizes").at(reader).items()) {
      const std::string path = str(dir, "/", pictures, "/", id);
      add_picture(path + ".png", size[0], size[1]);
      fs::rename(path + ".png", path + ".jpg");
    }
  }

  const TemporaryFolder folder;
  const std::string dir = folder / "real";
  json found;
};

TEST_F(RealAnnotations, OfVocAreWhatTorchvisionReads) {
  draw("voc", "voc/JPEGImages");
  expect_the_same_boxes(voc, dir + "/voc", found.at("voc"), voc_box);
}

TEST_F(RealAnnotations, OfCocoAreWhatPycocotoolsReads) {
  draw("coco", "coco/train2017");
  expect_the_same_boxes(coco, dir + "/coco", found.at("coco"), coco_box);
}

// ---- Pascal VOC ----

class Voc : public testing::Test {
 protected:
  void SetUp() override {
    fs::copy(kFixtures + "voc", dir, fs::copy_options::recursive);
    for (const char* id : {"2008_000001", "2008_000002", "2011_000003", "2008_000004"})
      add_picture(str(dir, "/JPEGImages/", id, ".png"));
  }
  std::string xml(const std::string& id) const { return dir + "/Annotations/" + id + ".xml"; }
  void expect_refused(const std::string& id, const std::string& from, const std::string& to,
                      const std::vector<std::string>& parts) const {
    const std::string before = bytes_of(xml(id));
    replace(xml(id), from, to);
    expect_parts(error_of(voc, dir, {}), parts);
    write_bytes(xml(id), before);
  }

  const TemporaryFolder folder;
  const std::string dir = folder / "VOC2012";
  const Options options{.classes = {"ship", "car"}};
};

TEST_F(Voc, ReadsTheBoxesThatTorchvisionReads) { expect_the_same_boxes(voc, dir, expected("voc"), voc_box); }

TEST_F(Voc, ClassesBySizePoliciesSourcesAndSubsets) {
  const auto data = voc(dir, "train", options);
  EXPECT_EQ(data->classes(), (std::vector<std::string>{"ship", "car", "none"}));
  EXPECT_EQ(
      shown(*data),
      (Shown{{"2008_000001", "car 1"}, {"2008_000002", "car 1"}, {"2011_000003", "ship 2"}, {"2008_000004", "none"}}));
  EXPECT_TRUE(data->inspect({}).empty());
  EXPECT_TRUE(data->notes().empty());
  EXPECT_EQ(data->load(2).source, "The VOC2011 Database");
  const Options car{.classes = {"car"}, .several_classes = Options::SeveralClasses::drop};
  Options dropped = car;
  dropped.difficult = Options::Difficult::drop;
  EXPECT_EQ(shown(*voc(dir, "train", car)).size(), 4u);
  EXPECT_EQ(shown(*voc(dir, "train", dropped)).count("2008_000002"), 0u) << "it shows a car: it is no 'none'";
  fs::copy(dir + "/ImageSets/Main/train.txt", dir + "/ImageSets/Main/val.txt");
  const Options two{.classes = {"car", "aeroplane"}, .several_classes = car.several_classes};
  EXPECT_EQ(shown(*voc(dir, "validation", two)).count("2008_000001"), 0u) << "it shows both";
  EXPECT_EQ(voc(dir, "train", {.classes = {"car"}, .sources = {"The VOC2011 Database"}})->size(), 1);
  EXPECT_EQ(voc(dir, "train", {.classes = {"car"}, .none_class = NoneClass::off})->size(), 2);
  Options three{.classes = {"car"}, .max_images = 3, .seed = 1};
  EXPECT_EQ(shown(*voc(dir, "train", three)), shown(*voc(dir, "train", three)));
  EXPECT_EQ(voc(dir, "train", three)->size(), 3);
}

// What a picture shows beside a dropped box is not known, so of several labels it is left out.
TEST_F(Voc, OfSeveralLabelsAPictureWithADroppedBoxIsLeftOut) {
  Options several{.classes = {"car", "aeroplane"}, .task = Task::multi_label};
  EXPECT_EQ(voc(dir, "train", several)->size(), 4);
  several.difficult = Options::Difficult::drop;
  const auto data = voc(dir, "train", several);
  EXPECT_EQ(data->size(), 3);
  for (int64_t i = 0; i < data->size(); ++i) EXPECT_NE(data->load(i).id, "2008_000002");
  several.none_class = NoneClass::off;
  EXPECT_LT(voc(dir, "train", several)->size(), 3) << "and those of none are, if asked for";
}

TEST_F(Voc, AnotherSplitNeedNotShowEveryClass) {
  write_bytes(dir + "/ImageSets/Main/val.txt", "2011_000003  1\n");
  EXPECT_TRUE(has_voc_split(dir, "validation"));
  EXPECT_FALSE(has_voc_split(dir, "test"));
  EXPECT_EQ(shown(*voc(dir, "validation", {})), (Shown{{"2011_000003", "ship 2"}}));
}

TEST_F(Voc, WhatIsWrongIsASentence) {
  const std::string whole = bytes_of(xml("2008_000002"));
  for (const size_t bytes : {whole.size() / 2, whole.size() - 3, size_t{0}}) {
    write_bytes(xml("2008_000002"), whole.substr(0, bytes));
    expect_parts(error_of(voc, dir, {}), {xml("2008_000002"), "no whole XML file"});
  }
  write_bytes(xml("2008_000002"), whole);
  const std::string car = xml("2008_000001") + ", object 2";
  expect_refused("2008_000001", "<xmin>11<", "<xmin>nan<", {car, "expected values from 0 to 1"});
  expect_refused("2008_000001", "<xmin>11<", "<xmin>eleven<", {car, "xmin is 'eleven'", "expected a number"});
  expect_refused("2008_000001", "<xmin>11<", "<min>11<", {"xml"});  // a mismatched tag
  expect_refused("2008_000001", "<xmax>60<", "<xmax>66<", {car, "expected values from 0 to 1"});
  expect_refused("2008_000001", "<xmax>60<", "<xmax>6<", {car, "ends before it begins"});
  expect_refused("2008_000001", "<name>car</name>", "", {car, "has no name"});
  expect_refused("2008_000001", "<width>60</width>", "<width>0</width>", {xml("2008_000001"), "size is 0 x 40"});
  expect_parts(error_of(voc, dir, {.classes = {"car", "boot"}}), {"class 'boot' is not in the data", "boat"});
  expect_parts(error_of(voc, dir, {.classes = {"boat", "ship"}}), {"'boat' and 'ship' are the same"});
  expect_parts(error_of(voc, dir, {.classes = {"car"}, .sources = {"flickr"}}),
               {"source 'flickr' is not in the data", "VOC2008"});
  expect_parts(error_of(voc, folder.path(), {}), {"ImageSets/Main", "did you mean " + dir});
  fs::remove(xml("2008_000004"));
  expect_parts(error_of(voc, dir, {}), {"there is no file " + xml("2008_000004")});
  write_bytes(dir + "/ImageSets/Main/train.txt", "2008_000001\n2008_000001\n");
  expect_parts(error_of(voc, dir, {}), {"train.txt, line 2: image 2008_000001 is there for the second time"});
}

// Found by fuzzing: "/" and a zero byte, which led to the folder "/" and asked for 2^63 bytes.
TEST_F(Voc, NoNameLeadsOutOfTheFolder) {
  const std::string list = dir + "/ImageSets/Main/train.txt";
  for (const std::string& id :
       {std::string("/\0x", 3), std::string("../a"), std::string("a/../../b"), std::string("/a")}) {
    write_bytes(list, "2008_000001\n" + id + "\n");
    expect_parts(error_of(voc, dir, options), {"train.txt, line 2", "outside of the data's folder"});
  }
  write_bytes(list, std::string(5000, 'a') + "\n");  // longer than the system's names
  expect_parts(error_of(voc, dir, options), {"aaa.xml", "but its image is listed"});
  write_bytes(list, "..2008\n");
  expect_parts(error_of(voc, dir, options), {"..2008.xml", "but its image is listed"});
  fs::create_directories(xml("..2008"));
  expect_parts(error_of(voc, dir, options), {"cannot read", "..2008.xml"});
}

TEST_F(Voc, AMissingPictureAndOneOfAnotherSizeAreSeen) {
  fs::remove(dir + "/JPEGImages/2008_000004.png");
  add_picture(dir + "/JPEGImages/2008_000001.png", 30, 20);
  const auto data = voc(dir, "train", {.classes = {"car"}});
  const std::vector<std::string> broken = data->inspect({});
  ASSERT_EQ(broken.size(), 1u);
  expect_parts(broken[0], {"2008_000004.jpg"});
  ASSERT_EQ(data->notes().size(), 1u);
  expect_parts(data->notes()[0].text,
               {"1 of 3 images have another size", "30 x 20 pixels, its annotations say 60 x 40"});
  EXPECT_NEAR(data->load(0).boxes[0].x_max, 30, 1e-9);
  expect_parts(error_of(voc, dir, {}), {"no image in " + dir + "/JPEGImages shows class 'plane' (aeroplane)"});
}

// ---- COCO ----

class Coco : public testing::Test {
 protected:
  void SetUp() override {
    fs::copy(kFixtures + "coco", dir, fs::copy_options::recursive);
    for (const char* id : {"000000397133", "000000000009", "000000000285"}) {
      add_picture(str(dir, "/train2017/", id, ".png"));
      fs::rename(str(dir, "/train2017/", id, ".png"),
                 str(dir, "/train2017/", id, ".jpg"));  // its name is not its format
    }
  }
  void expect_refused(const std::string& from, const std::string& to, const std::vector<std::string>& parts) const {
    const std::string before = bytes_of(file);
    replace(file, from, to);
    expect_parts(error_of(coco, dir, options), parts);
    write_bytes(file, before);
  }

  const TemporaryFolder folder;
  const std::string dir = folder / "coco", file = dir + "/annotations/instances_train2017.json";
  const Options options{.classes = {"plane", "car"}};
};

TEST_F(Coco, ReadsTheBoxesThatPycocotoolsReads) { expect_the_same_boxes(coco, dir, expected("coco"), coco_box); }

TEST_F(Coco, ClassesCrowdsAndTheOrderOfKeys) {
  const Options car{.classes = {"car"}};
  const auto data = coco(dir, "train", car);
  EXPECT_EQ(shown(*data), (Shown{{"000000397133", "car 1"}, {"000000000009", "car 1"}, {"000000000285", "none"}}));
  EXPECT_EQ(data->load(0).id, "000000397133") << "the order of the file";
  EXPECT_TRUE(data->inspect({}).empty());
  EXPECT_TRUE(data->notes().empty());
  Options dropped = car;
  dropped.group_of = Options::GroupOf::drop;
  EXPECT_EQ(shown(*coco(dir, "train", dropped)), (Shown{{"000000000009", "car 1"}, {"000000000285", "none"}}))
      << "where only a crowd shows a car, the image is left out";
  EXPECT_FALSE(has_coco_split(dir, "test"));

  // Annotations may come before what they refer to, and images may say where they come from.
  json turned = json::parse(bytes_of(file));
  for (json& image : turned["images"]) image["source"] = "flickr", image["group"] = "outdoors";
  const std::string text = "{\"annotations\": " + turned["annotations"].dump() +
                           ", \"more\": {\"images\": [{\"id\": [1]}]}, \"categories\": " + turned["categories"].dump() +
                           ", \"images\": " + turned["images"].dump() + "}";
  write_bytes(file, text);
  EXPECT_EQ(shown(*coco(dir, "train", car)), shown(*data));
  EXPECT_EQ(coco(dir, "train", car)->load(0).source, "flickr");
  EXPECT_EQ(group_sizes(*coco(dir, "train", car)), (std::map<std::string, int64_t>{{"outdoors", 3}}));
}

TEST_F(Coco, WhatIsWrongIsASentence) {
  const std::string whole = bytes_of(file);
  write_bytes(file, whole.substr(0, whole.size() / 2));
  expect_parts(error_of(coco, dir, options), {file, "is no whole JSON file", "was it cut off?"});
  write_bytes(file, whole);
  expect_refused("10.5,", "NaN,", {file, "is no whole JSON file: at byte"});
  expect_refused("10.5,", "\"10.5\",", {"number 1 of annotations: bbox is missing, or not of four numbers"});
  expect_refused("10.5,", "1e300,", {"annotation 1768", "expected values from 0 to 1"});
  expect_refused("20.125,", "-8,", {"annotation 1768", "ends before it begins"});
  expect_refused("\"id\": 1773", "\"id\": 1768", {"two annotations have the id 1768"});
  expect_refused("\"id\": 285", "\"id\": 9", {"two images have the id 9"});
  expect_refused("\"category_id\": 5", "\"category_id\": 4", {"annotation 1768 is of category 4, which is not among"});
  expect_refused("\"image_id\": 9", "\"image_id\": 10", {"annotation 1768 belongs to image 10, which is not among"});
  expect_refused("\"id\": 90,", "\"id\": 5,", {"number 3 of categories: id 5 is there for the second time"});
  expect_refused("\"width\": 60", "\"width\": \"60\"", {"number 1 of images: width is missing or no number"});
  expect_refused("\"file_name\"", "\"filename\"", {"number 1 of images: file_name is missing"});
  expect_parts(error_of(coco, dir, {.classes = {"toothbrsh"}}), {"class 'toothbrsh' is not in the data", "toothbrush"});
  expect_parts(error_of(coco, dir, {.classes = {"car"}, .sources = {"a"}}),
               {"does not say where its images come from"});
  expect_parts(error_of(coco, dir, options, "validation"), {"no file instances_*.json of split 'validation'"});
  write_bytes(dir + "/annotations/instances_train2014.json", "{}");
  expect_parts(error_of(coco, dir, options), {"instances_train2014.json and instances_train2017.json"});
}

TEST_F(Coco, APipeIsNotWaitedFor) {
  fs::remove(file);
  ASSERT_EQ(::mkfifo(file.c_str(), 0600), 0);
  expect_parts(error_of(coco, dir, {.classes = {"car"}}), {file + ": it is not a regular file"});
}

/// The most memory that this process has held, in MiB.
double peak_memory() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

TEST_F(Coco, MemoryDoesNotGrowWithPolygons) {
  const double before = peak_memory();
  {
    std::ofstream out(file);
    out << "{\"images\": [{\"id\": 1, \"file_name\": \"000000000009.jpg\", \"width\": 60, \"height\": 40}], "
           "\"categories\": [{\"id\": 7, \"name\": \"car\"}], \"annotations\": [";
    std::string polygon;
    for (int i = 0; i < 5000; ++i) polygon += "510.66, ";
    for (int i = 0; i < 1000; ++i)
      out << (i ? ", " : "") << "{\"id\": " << i << ", \"image_id\": 1, \"category_id\": 7, \"bbox\": [1, 1, 5, "
          << 1 + i % 30 << "], \"segmentation\": [[" << polygon << "0]], \"iscrowd\": 0}";
    out << "]}";
  }
  ASSERT_GT(fs::file_size(file), 40000000u);
  EXPECT_EQ(coco(dir, "train", {.classes = {"car"}})->load(0).boxes.size(), 1000u);
  EXPECT_LT(peak_memory() - before, 15) << "MiB, for a file of 40";
}

// ---- A table of one's own ----

class CsvImages : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"a", "b", "c", "d", "e"}) add_picture(str(dir, "/pictures/", name, ".png"));
    write("# boxes: pixels\npath,label,xmin,ymin,xmax,ymax,split,group\n" + rows);
  }
  void write(const std::string& text) const { write_bytes(file, text); }
  /// After `from` became `to` in the rows.
  void expect_refused(const std::string& from, const std::string& to, const std::vector<std::string>& parts,
                      bool look = false) const {
    const std::string before = bytes_of(file);
    replace(file, from, to);
    expect_parts(error_of(csv_images, file, options, "train", look), parts);
    write_bytes(file, before);
  }

  const TemporaryFolder folder;
  const std::string dir = folder.path(), file = folder / "table.csv";
  const std::string rows =
      "pictures/a.png,cat,10,20,30.5,40,train,indoors\npictures/b.png,dog,0,0,60,40,train,outdoors\n"
      "pictures/a.png,dog,1,1,3,3,train,indoors\npictures/c.png,,,,,,train,outdoors\n"
      "pictures/d.png,cat,,,,,train,outdoors\npictures/e.png,cat,1,1,2,2,val,indoors\n";
  const Options options{.classes = {"dog", "cat"}};
};

TEST_F(CsvImages, ReadsPixelsSplitsAndGroups) {
  const auto data = csv_images(file, "train", options);
  EXPECT_EQ(shown(*data),
            (Shown{{"pictures/a", "cat 1"}, {"pictures/b", "dog 1"}, {"pictures/c", "none"}, {"pictures/d", "cat"}}));
  const Box box = data->load(0).boxes[0];
  EXPECT_EQ(box.x_min, 10);
  EXPECT_EQ(box.y_min, 20);
  EXPECT_EQ(box.x_max, 30.5);
  EXPECT_EQ(box.y_max, 40);
  EXPECT_EQ(group_sizes(*data), (std::map<std::string, int64_t>{{"indoors", 1}, {"outdoors", 3}}));
  EXPECT_TRUE(data->inspect({}).empty());
  EXPECT_EQ(shown(*csv_images(file, "validation", options)), (Shown{{"pictures/e", "cat 1"}}));
  const CsvContent content = csv_content(file);
  EXPECT_EQ(content.labels, (std::vector<std::string>{"cat", "dog"}));
  EXPECT_EQ(content.splits, (std::vector<std::string>{"train", "validation"}));
  EXPECT_TRUE(content.has_boxes);
}

TEST_F(CsvImages, SharesAreOfThePicturesSides) {
  write("#boxes: shares\npath,label,xmin,ymin,xmax,ymax\npictures/a.png,cat,0.25,0.5,1.005,1\n");
  for (const std::string& split : csv_content(file).splits) {
    const Box box = csv_images(file, split, {.classes = {"cat"}})->load(0).boxes[0];
    EXPECT_EQ(box.x_min, 15);
    EXPECT_EQ(box.y_min, 20);
    EXPECT_EQ(box.x_max, 60) << "cut off at the side";
    EXPECT_EQ(box.y_max, 40);
  }
}

TEST_F(CsvImages, WithoutAColumnSplitThePathDraws) {
  std::string text = "path,label\n";
  for (int i = 0; i < 1000; ++i) text += str("pictures/", i, ".png,", i % 2 ? "cat" : "dog", "\n");
  write(text);
  std::map<std::string, int64_t> sizes;
  for (const char* split : {"train", "validation", "test"}) {
    const auto data = csv_images(file, split, options);
    sizes[split] = data->size();
    ASSERT_EQ(data->notes().size(), 1u);
    expect_parts(data->notes()[0].text, {"no column split"});
  }
  EXPECT_EQ(sizes["train"] + sizes["validation"] + sizes["test"], 1000);
  EXPECT_NEAR(static_cast<double>(sizes["train"]), 800, 50);
  EXPECT_NEAR(static_cast<double>(sizes["test"]), 100, 40);
  EXPECT_FALSE(csv_content(file).has_boxes);
}

TEST_F(CsvImages, WhatIsWrongIsASentence) {
  expect_refused("20,30.5", "20,nan", {"table.csv, line 3", "has no area"});
  expect_refused("20,30.5", "20,x", {"table.csv, line 3: xmax is 'x', expected a number"});
  expect_refused("20,30.5", "20,9", {"table.csv, line 3", "expected xmin < xmax"});
  expect_refused("20,30.5", "20,90", {"pictures/a.png of 60 x 40 pixels has a box from 10 20 to 90 40"}, true);
  expect_refused("train,outdoors", "tarin,outdoors", {"line 4: split is 'tarin'"});
  expect_refused("1,1,3,3,train", "1,1,3,3,test", {"line 5", "is in split 'test' here and in 'train' before"});
  expect_refused("1,1,3,3,train,indoors", "1,1,3,3,train,outdoors", {"line 5: group and source of pictures/a.png"});
  expect_refused("1,1,3,3,", ",,,,", {"line 5: pictures/a.png has another row already"});
  expect_refused("a.png,dog,1,1,3,3", "a.png,cat,10,20,30.5,40",
                 {"line 5: this box of pictures/a.png is there for the second"});
  expect_refused("b.png,dog", "b.png,", {"line 4: a box without a label"});
  expect_refused("# boxes: pixels", "# boxes: inches", {"does not say what its boxes are in", "'# boxes: shares'"});
  expect_refused("path,label", "file,label", {"has no column path; its columns are file, label"});
  expect_parts(error_of(csv_images, file, {.classes = {"dgo"}}), {"class 'dgo' is not in the data", "dog"});
  expect_parts(error_of(csv_images, file, {.classes = {"dog"}, .sources = {"x"}}), {"it has no column source"});
  expect_parts(error_of(csv_images, file, options, "test"), {"has no image of split 'test'"});
}

double seconds_of(const std::function<void()>& action) {
  const auto begin = std::chrono::steady_clock::now();
  action();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

TEST_F(CsvImages, ABoxIsComparedWithAHundredThousandInNoTime) {
  std::string text = "# boxes: pixels\npath,label,xmin,ymin,xmax,ymax,split\n";
  for (int i = 0; i < 100'000; ++i) text += str("pictures/a.png,cat,", i, "e-4,0,60,40,train\n");
  write(text);
  EXPECT_LT(seconds_of([&] { EXPECT_EQ(csv_images(file, "train", {.classes = {"cat"}})->size(), 1); }), 5);
  write(text + "pictures/a.png,cat,99999e-4,0,60,40,train\n");
  expect_parts(error_of(csv_images, file, {.classes = {"cat"}}), {"line 100003: this box of pictures/a.png is there"});
}

TEST(Csv, QuotesAreDoubledInAField) {
  EXPECT_EQ(csv_fields("a,\"b,\"\"c\"\"\",\"\",d\"\"e"), (std::vector<std::string>{"a", "b,\"c\"", "", "d\"e"}));
  const size_t count = 500'000;
  const std::string quotes(2 * count + 2, '"');
  EXPECT_LT(seconds_of([&] { EXPECT_EQ(csv_fields(quotes), std::vector<std::string>{std::string(count, '"')}); }), 5);
}

// ---- Waterbirds ----

class Waterbirds : public testing::Test {
 protected:
  void SetUp() override {
    std::string metadata = "img_id,img_filename,y,split,place,place_filename\n", boxes;
    for (int i = 1; i <= 8; ++i) {
      const std::string name = str("00", i % 2, ".Bird/", i, ".png");
      add_picture(folder / ("images/" + name));
      metadata +=
          str(i, ",", name, ",", i % 2, ",", i / 5 * 2, ",", i / 3 % 2, ",/f/forest/broadleaf/0000277", i, ".jpg\n");
      boxes += str(i, " 10.5 5.0 ", 20 + i, ".0 30.25\n");
    }
    write_bytes(folder / "metadata.csv", metadata);
    write_bytes(folder / "bounding_boxes.txt", boxes);
  }
  void expect_refused(const std::string& name, const std::string& from, const std::string& to,
                      const std::vector<std::string>& parts, bool look = false) const {
    const std::string before = bytes_of(folder / name);
    replace(folder / name, from, to);
    expect_parts(error_of(waterbirds, folder.path(), options, "train", look), parts);
    write_bytes(folder / name, before);
  }

  const TemporaryFolder folder;
  const Options options{.classes = waterbird_classes(), .none_class = NoneClass::automatic};
};

TEST_F(Waterbirds, GroupsAreClassAndPlace) {
  const auto data = waterbirds(folder.path(), "train", options);
  EXPECT_EQ(data->classes(), (std::vector<std::string>{"landbird", "waterbird"}));
  ASSERT_EQ(data->size(), 4);
  EXPECT_EQ(data->group(0), "waterbird on land");
  EXPECT_EQ(data->group(1), "landbird on land");
  EXPECT_EQ(data->group(2), "waterbird on water");
  EXPECT_EQ(data->group(3), "landbird on water");
  const Sample first = data->load(0);
  EXPECT_EQ(first.source, "forest/broadleaf");
  EXPECT_EQ(first.group, "waterbird on land");
  ASSERT_EQ(first.boxes.size(), 1u);
  EXPECT_EQ(first.boxes[0].x_min, 10.5);
  EXPECT_EQ(first.boxes[0].y_min, 5);
  EXPECT_EQ(first.boxes[0].x_max, 31.5);
  EXPECT_EQ(first.boxes[0].y_max, 35.25);
  EXPECT_TRUE(data->inspect({}).empty());
  EXPECT_TRUE(data->notes().empty());
  replace(folder / "bounding_boxes.txt", " 21.0", " 53.0");  // CUB-200-2011 has a few such boxes
  const auto sticking = waterbirds(folder.path(), "train", options);
  EXPECT_TRUE(sticking->inspect({}).empty());
  ASSERT_EQ(sticking->notes().size(), 1u);
  expect_parts(sticking->notes()[0].text, {"boxes of 1 of 4 images are cut off at the picture's side", "1.png"});
  EXPECT_EQ(sticking->load(0).boxes[0].x_max, 60);
  EXPECT_EQ(waterbirds_splits(folder.path()), (std::vector<std::string>{"train", "test"}));

  const auto turned = waterbirds(folder.path(), "train", {.classes = {"waterbird"}, .none_class = NoneClass::on});
  EXPECT_EQ(turned->label(0), 0);
  EXPECT_EQ(turned->label(1), 1) << "none";
  EXPECT_TRUE(turned->load(1).boxes.empty());

  const std::string with_boxes = data->identity();
  fs::remove(folder / "bounding_boxes.txt");
  EXPECT_FALSE(waterbirds_have_boxes(folder.path()));
  const auto bare = waterbirds(folder.path(), "train", options);
  EXPECT_TRUE(bare->load(0).boxes.empty());
  EXPECT_NE(bare->identity(), with_boxes);
  replace(folder / "metadata.csv", "1,001.Bird/1.png,1,0,0", "1,001.Bird/1.png,1,0,1");
  EXPECT_NE(waterbirds(folder.path(), "train", options)->identity(), bare->identity()) << "another group";
}

TEST_F(Waterbirds, APipeIsNotWaitedFor) {
  for (const char* name : {"bounding_boxes.txt", "metadata.csv"}) {
    fs::remove(folder / name);
    ASSERT_EQ(::mkfifo((folder / name).c_str(), 0600), 0);
    expect_parts(error_of(waterbirds, folder.path(), options), {str(name, ": it is not a regular file")});
  }
}

TEST_F(Waterbirds, WhatIsWrongIsASentence) {
  expect_refused("metadata.csv", "/1.png,1,0,0", "/1.png,1,3,0", {"metadata.csv, line 2: split is '3'", "from 0 to 2"});
  expect_refused("metadata.csv", "/1.png,1,", "/1.png,2,", {"metadata.csv, line 2: y is '2'"});
  expect_refused("metadata.csv", "\n2,", "\n1,", {"metadata.csv, line 3: img_id 1 is there for the second time"});
  expect_refused("metadata.csv", "place,", "plaice,", {"has no column place;"});
  expect_refused("bounding_boxes.txt", "\n2 ", "\n1 ", {"line 2: img_id 1 is there for the second time"});
  expect_refused("bounding_boxes.txt", "\n2 ", "\n20 ", {"has no box of 000.Bird/2.png"});
  expect_refused("bounding_boxes.txt", "10.5", "nan", {"line 1: found 'nan', expected a number of pixels"});
  expect_refused("bounding_boxes.txt", "1 10.5", "1", {"line 1: found", "expected img_id x y width height"});
  expect_refused("bounding_boxes.txt", " 21.0", " 0", {"line 1: a box of 0 x 30.25 pixels has no area"});
  expect_refused("bounding_boxes.txt", " 21.0", " 210", {"1.png of 60 x 40 pixels has a box from 10.5 5 to 220.5"},
                 true);
  expect_parts(error_of(waterbirds, folder.path(), options, "validation"), {"has no image of split 'validation'"});
}

}  // namespace
}  // namespace boxcam
