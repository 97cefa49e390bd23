#include "nn/data/open_images.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "engine/base/check.h"
#include "nn/data/image.h"

namespace boxcam {
namespace {

namespace fs = std::filesystem;
using Options = AnnotationOptions;

const char* const header = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf\n";
const char* const class_file =
    "/m/019jd,Boat\n/m/0cmf2,Airplane\n/m/0k4j,Car\r\n/m/0h2r6,Van\n/m/01btn,Barge\n/m/07r04,Truck\n";

// A row of the box file.
std::string row(const std::string& image, const std::string& mid, const std::string& box, int group = 0) {
  return image + ",xclick," + mid + ",1," + box + ",0,-1," + std::to_string(group) + "\n";
}

class OpenImagesTest : public testing::Test {
 protected:
  void SetUp() override {
    const char* name = testing::UnitTest::GetInstance()->current_test_info()->name();
    dir_ = fs::temp_directory_path() / str("boxcam_open_images_test_", getpid(), "_", name);
    fs::create_directories(dir_);
  }
  void TearDown() override { fs::remove_all(dir_); }

  void write(const fs::path& name, const std::string& text) const {
    fs::create_directories((dir_ / name).parent_path());
    std::ofstream(dir_ / name, std::ios::binary) << text;
  }

  void add_images(const fs::path& folder, const std::vector<std::string>& ids) const {
    fs::create_directories(dir_ / folder);
    for (const std::string& id : ids) write_png(dir_ / folder / (id + ".png"), Image(10, 20));
  }

  // Five images in the official layout: boat, car, plane, none, and e with a car and a larger boat.
  void official(const std::string& rows = "", const std::string& split = "train") const {
    add_images(split, {"a", "b", "c", "d", "e"});
    write("class-descriptions-boxable.csv", class_file);
    write(split == "train" ? "oidv6-train-annotations-bbox.csv" : split + "-annotations-bbox.csv",
          header + row("a", "/m/019jd", "0.1,0.5,0.2,0.4") + row("b", "/m/0k4j", "0,1,0,1") +
              row("b", "/m/0k4j", "0.25,0.5,0,0.5", 1) + row("absent", "/m/0k4j", "9,1,x,1") +
              row("c", "/m/0cmf2", "0.1,0.2,0.1,0.2") + row("d", "/m/07r04", "0,1,0,1") +
              row("e", "/m/0k4j", "0,0.1,0,0.1") + row("e", "/m/019jd", "0.5,1,0.5,1") + rows);
  }

  std::string error(const Options& options = {}, const std::string& split = "train") const {
    try {
      open_images(dir_, split, options);
    } catch (const Error& e) {
      return e.what();
    }
    return "no error";
  }

  fs::path dir_;
};

void expect_parts(const std::string& message, const std::vector<std::string>& parts) {
  for (const std::string& part : parts)
    EXPECT_NE(message.find(part), std::string::npos) << message << "\nlacks: " << part;
}

std::map<std::string, std::string> label_names(const Dataset& data) {
  std::map<std::string, std::string> names;
  for (int64_t i = 0; i < data.size(); ++i) {
    const Sample sample = data.load(i);
    EXPECT_EQ(sample.label, data.label(i));
    names[sample.id] = data.classes()[static_cast<size_t>(sample.label)];
  }
  return names;
}

using Names = std::map<std::string, std::string>;

TEST_F(OpenImagesTest, OfficialLayout) {
  official();
  write("train-images.csv",
        "ImageID,Title,SourceSet\na,\"one, two\",COCO2017\nb,x,VOC2012\nabsent,x,VOC2012\nc,x,\nd,x,VOC2012\n");
  const auto data = open_images(dir_, "train");
  EXPECT_EQ(data->classes(), (std::vector<std::string>{"plane", "ship", "car", "none"}));
  EXPECT_EQ(label_names(*data), (Names{{"a", "ship"}, {"b", "car"}, {"c", "plane"}, {"d", "none"}, {"e", "ship"}}));
  expect_parts(data->describe(), {"OpenImages", dir_.string(), "official CSV layout", "train", "5 images",
                                  "plane 1, ship 2, car 1, none 1"});

  const Sample a = data->load(0);
  EXPECT_EQ(a.source, "COCO2017");
  ASSERT_EQ(a.boxes.size(), 1u);
  EXPECT_NEAR(a.boxes[0].x_min, 2, 1e-5);
  EXPECT_NEAR(a.boxes[0].x_max, 10, 1e-5);
  EXPECT_NEAR(a.boxes[0].y_min, 2, 1e-5);
  EXPECT_NEAR(a.boxes[0].y_max, 4, 1e-5);
  EXPECT_EQ(data->load(1).boxes.size(), 2u);
  EXPECT_EQ(data->load(2).source, "");
  EXPECT_TRUE(data->load(3).boxes.empty());
  EXPECT_EQ(data->load(4).boxes.size(), 1u) << "only the boxes of the label";
  EXPECT_THROW(data->load(5), Error);
}

TEST_F(OpenImagesTest, FiftyOneLayout) {
  add_images("validation/data", {"a", "b"});
  write(
      "validation/labels/detections.csv",
      "\xEF\xBB\xBF" + std::string(header) + row("b", "/m/01btn", "0.1,0.5,0.2,0.4") + row("z", "/m/0k4j", "0,1,0,1"));
  write("validation/metadata/classes.csv", class_file);
  write("validation/metadata/image_ids.csv", "ImageID,Subset\na,validation\nb,validation\n");
  EXPECT_TRUE(has_split(dir_, "validation"));
  EXPECT_FALSE(has_split(dir_, "test"));

  auto data = open_images(dir_, "validation");
  EXPECT_EQ(label_names(*data), (Names{{"a", "none"}, {"b", "none"}}));
  expect_parts(data->describe(), {"FiftyOne layout", "validation", "2 images"});
  EXPECT_EQ(data->load(0).source, "");

  data = open_images(dir_, "validation", {.expand_children = true});
  EXPECT_EQ(label_names(*data), (Names{{"a", "none"}, {"b", "ship"}}));

  // The hierarchy file decides where there is one; "Part" is no subclass.
  write("validation/metadata/hierarchy.json", R"({"LabelName": "/m/0bl9f", "Subcategory": [
    {"LabelName": "/m/0k4j", "Subcategory": [{"LabelName": "/m/07r04", "Subcategory": [{"LabelName": "/m/01btn"}]}],
     "Part": [{"LabelName": "/m/0h2r6"}]}]})");
  data = open_images(dir_, "validation", {.expand_children = true});
  EXPECT_EQ(label_names(*data), (Names{{"a", "none"}, {"b", "car"}}));
  data = open_images(dir_, "validation", {.classes = {"car", "truck"}, .expand_children = true});
  EXPECT_EQ(label_names(*data), (Names{{"a", "none"}, {"b", "truck"}}));
  write("validation/metadata/hierarchy.json", "[");
  expect_parts(error({.expand_children = true}, "validation"), {"hierarchy.json"});
}

TEST_F(OpenImagesTest, ClassesByNameMidAndAlias) {
  official();
  const auto data = open_images(dir_, "train", {.classes = {"/m/0k4j", "airplane", "ship"}});
  EXPECT_EQ(data->classes(), (std::vector<std::string>{"Car", "airplane", "ship", "none"}));
  EXPECT_EQ(label_names(*data).at("b"), "Car");

  expect_parts(error({.classes = {"plane", "boot"}}), {"'boot'", "class-descriptions-boxable.csv", "Boat"});
  expect_parts(error({.classes = {"car", "Boat", "ship"}}), {"'Boat' and 'ship' are the same"});
  expect_parts(error({.classes = {}}), {"no classes"});
  expect_parts(error({.classes = {"van"}}), {"no image", "'van'", "Car"});
}

TEST_F(OpenImagesTest, GroupsAndSeveralClasses) {
  official(row("d", "/m/0k4j", "0,1,0,1", 1));
  auto data = open_images(dir_, "train");
  EXPECT_EQ(label_names(*data).at("d"), "car");

  data = open_images(dir_, "train", {.group_of = Options::GroupOf::drop});
  EXPECT_FALSE(label_names(*data).contains("d")) << "an image of a group of cars is not none";
  EXPECT_EQ(data->load(1).boxes.size(), 1u);

  data = open_images(dir_, "train", {.several_classes = Options::SeveralClasses::drop});
  EXPECT_FALSE(label_names(*data).contains("e"));
  EXPECT_EQ(data->size(), 4);
}

TEST_F(OpenImagesTest, SubsetsDependOnTheSeedAlone) {
  official();
  const auto ids = [&](uint64_t seed) {
    const auto data = open_images(dir_, "train", {.max_images = 3, .seed = seed});
    std::vector<std::string> found;
    for (int64_t i = 0; i < data->size(); ++i) found.push_back(data->load(i).id);
    EXPECT_TRUE(std::is_sorted(found.begin(), found.end()));
    return found;
  };
  std::set<std::vector<std::string>> different;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    EXPECT_EQ(ids(seed), ids(seed));
    EXPECT_EQ(ids(seed).size(), 3u);
    different.insert(ids(seed));
  }
  EXPECT_GT(different.size(), 4u);
  expect_parts(error({.max_images = 6}), {"6 images", "'train'", "has 5"});
  expect_parts(error({.max_images = -1}), {"-1 images"});
}

TEST_F(OpenImagesTest, Sources) {
  official();
  expect_parts(error({.sources = {"VOC2012"}}), {"VOC2012", "train-images.csv"});
  write("train-images.csv", "ImageID,SourceSet\na,COCO2017\nb,VOC2012\nc,Caltech\nd,VOC2012\ne,COCO2017\n");
  const auto data = open_images(dir_, "train", {.sources = {"VOC2012", "Caltech"}});
  EXPECT_EQ(label_names(*data), (Names{{"b", "car"}, {"c", "plane"}, {"d", "none"}}));
  expect_parts(error({.sources = {"VOC2007"}}), {"'VOC2007'", "VOC2012"});
}

TEST_F(OpenImagesTest, MissingFilesAndFolders) {
  expect_parts(error(), {dir_.string(), "no split 'train'", "FiftyOne"});
  expect_parts(error({}, "valid"), {"'valid'", "validation"});
  fs::create_directories(dir_ / "train");
  EXPECT_FALSE(has_split(dir_, "train"));
  expect_parts(error(), {"class-descriptions-boxable.csv", "No such file"});
  write("class-descriptions-boxable.csv", class_file);
  expect_parts(error(), {"holds no image"});
  add_images("train", {"a"});
  EXPECT_TRUE(has_split(dir_, "train"));
  expect_parts(error(), {"oidv6-train-annotations-bbox.csv", "No such file"});
  write("oidv6-train-annotations-bbox.csv", "");
  expect_parts(error(), {"oidv6-train-annotations-bbox.csv", "empty"});
  write("train/a.jpg", "");
  expect_parts(error(), {"two files of image a", "a.jpg", "a.png"});
  EXPECT_THROW(open_images(dir_ / "absent", "train"), Error);
  EXPECT_FALSE(has_split(dir_ / "absent", "train"));
}

TEST_F(OpenImagesTest, BrokenBoxFiles) {
  const std::string file = "oidv6-train-annotations-bbox.csv";
  official();
  write(file, "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin\n");
  expect_parts(error(), {file, "no column YMax", "ImageID, Source, LabelName, Confidence, XMin, XMax, YMin"});
  write(file, "ImageID,LabelName,XMin,XMax,YMin,YMax\n");
  expect_parts(error({.group_of = Options::GroupOf::drop}), {file, "no column IsGroupOf"});

  const std::vector<std::pair<std::string, std::vector<std::string>>> cases = {
      {row("a", "/m/0k4j", "0.6,0.5,0.2,0.4"), {"XMin 0.6 > XMax 0.5"}},
      {row("a", "/m/0k4j", "0.1,0.5,0.8,0.4"), {"YMin 0.8 > YMax 0.4"}},
      {row("a", "/m/0k4j", "0.1,0.5x,0.2,0.4"), {"XMax is '0.5x'", "number"}},
      {row("a", "/m/0k4j", ",0.5,0.2,0.4"), {"XMin is ''", "number"}},
      {row("a", "/m/0k4j", "0.1,0.5,nan,0.4"), {"YMin is nan", "0 to 1"}},
      {row("a", "/m/0k4j", "0.1,0.5,0.2,1.5"), {"YMax is 1.5", "0 to 1"}},
      {row("a", "/m/0k4j", "-20,0.5,0.2,0.4"), {"XMin is -20", "0 to 1"}},
      {"a,xclick,/m/0k4j,1,0.1,0.2\n", {"6 columns, the header has 11"}},
      {"a,xclick,/m/0k4j,1,0.1,0.5,0.2,0.4,0,-1,0,0\n", {"12 columns, the header has 11"}},
      {"a,xclick,/m/0k4j,1,0.1,0.2", {"6 columns, the header has 11", "was it cut off?"}},
      {"a,xclick,/m/0k4j,1,0.6,0.5,0.2,0.4,0,-1,0", {"XMin", "was it cut off?"}},
      {"a,xclick,/m/0k4j,1,,0.5,0.2,0.4,0,-1,0", {"XMin is ''", "was it cut off?"}},
  };
  for (const auto& [text, parts] : cases) {
    official(text);
    expect_parts(error(), parts);
    expect_parts(error(), {(dir_ / file).string() + ", line 10"});
  }
}

// Wherever a download ends within the last row: it is noticed, or said where all of the row is there.
TEST_F(OpenImagesTest, ABoxFileThatWasCutOffIsNoticed) {
  const std::string last = row("d", "/m/0k4j", "0.25,0.75,0.25,0.75");
  for (size_t length = 1; length + 2 < last.size(); ++length) {
    official(last.substr(0, length));
    expect_parts(error(), {"oidv6-train-annotations-bbox.csv, line 10", "was it cut off?"});
  }
  official(last.substr(0, last.size() - 1));
  const auto whole = open_images(dir_, "train");
  EXPECT_EQ(label_names(*whole).at("d"), "car");
  ASSERT_EQ(whole->notes().size(), 1u);
  expect_parts(whole->notes()[0].text, {"oidv6-train-annotations-bbox.csv, line 10, has all columns but no line end"});
}

std::string notes_of(const Dataset& data) {
  std::string text;
  for (const Note& note : data.notes()) text += (note.warning ? "warning: " : "note: ") + note.text + "\n";
  return text;
}

// A box file that was cut off at a line's end shows in nothing else.
TEST_F(OpenImagesTest, ImagesWithoutARowAreCounted) {
  official();
  EXPECT_EQ(notes_of(*open_images(dir_, "train")), "") << "d has a row, of a class that nobody wants";
  add_images("train", {"f", "g"});
  const std::string rows = " images have no row in " + (dir_ / "oidv6-train-annotations-bbox.csv").string();
  EXPECT_EQ(notes_of(*open_images(dir_, "train")), "note: 2 of 7" + rows + " and so show none of the classes\n");
  add_images("train", {"h", "i", "j", "k"});
  expect_parts(notes_of(*open_images(dir_, "train")), {"warning: 6 of 11" + rows, "is the file complete"});
}

TEST_F(OpenImagesTest, DotFilesAndFoldersAreNoImages) {
  official();
  add_images("train", {"._a", ".hidden"});
  fs::create_directories(dir_ / "train/.ipynb_checkpoints");
  fs::create_directories(dir_ / "train/folder.png");
  EXPECT_EQ(open_images(dir_, "train")->size(), 5);
  add_images("test", {"._a"});
  EXPECT_FALSE(has_split(dir_, "test"));
}

TEST_F(OpenImagesTest, NoneIsAnOutputOrItsImagesAreLeftOut) {
  official();
  const auto classes = [&](NoneClass none) { return open_images(dir_, "train", {.none_class = none})->classes(); };
  EXPECT_EQ(classes(NoneClass::on).back(), "none");
  EXPECT_EQ(classes(NoneClass::automatic).back(), "none");
  const auto off = open_images(dir_, "train", {.none_class = NoneClass::off});
  EXPECT_EQ(off->classes(), (std::vector<std::string>{"plane", "ship", "car"}));
  EXPECT_EQ(label_names(*off), (Names{{"a", "ship"}, {"b", "car"}, {"c", "plane"}, {"e", "ship"}}));
  EXPECT_EQ(notes_of(*off), "note: 1 of 5 images show none of the classes and are left out\n");

  fs::remove(dir_ / "train/d.png");
  EXPECT_EQ(classes(NoneClass::on).back(), "none");
  EXPECT_EQ(classes(NoneClass::automatic).back(), "car");
  EXPECT_EQ(notes_of(*open_images(dir_, "train", {.none_class = NoneClass::off})), "");
}

// As FiftyOne writes it; byte order marks, line ends and quotes as other tools do.
TEST_F(OpenImagesTest, AHierarchyMayNameClassesByDisplayName) {
  add_images("train/data", {"a", "b", "c"});
  write("train/labels/detections.csv",
        "\xEF\xBB\xBF\"ImageID\",LabelName,XMin,XMax,YMin,\"YMax\",Text\r\n\"a\",\"/m/0h2r6\",0,1,0,1,\"x, \"\"y, "
        "z\"\"\"\r\n"
        "b,/m/0k4j,0,1,0,1,\r\n");
  write("train/metadata/classes.csv",
        "\xEF\xBB\xBF/m/0k4j,Car\r\n/m/0h2r6,\"Van, \"\"large\"\"\"\r\n\"/m/07r04\",Truck\r\n");
  write("train/metadata/hierarchy.json", R"({"LabelName": "Entity", "Subcategory": [{"LabelName": "truck"},
    {"LabelName": "car", "Subcategory": [{"LabelName": "van, \"Large\""}]}]})");
  const Options expand = {.classes = {"car"}, .expand_children = true};
  EXPECT_EQ(label_names(*open_images(dir_, "train", expand)), (Names{{"a", "car"}, {"b", "car"}, {"c", "none"}}));
  EXPECT_EQ(label_names(*open_images(dir_, "train", {.classes = {"car"}})),
            (Names{{"a", "none"}, {"b", "car"}, {"c", "none"}}));
  EXPECT_EQ(open_images(dir_, "train", {.classes = {"Van, \"large\""}})->classes()[0], "Van, \"large\"");
}

TEST_F(OpenImagesTest, AHierarchyThatNamesNoneOfTheClassesIsAnError) {
  official();
  write("bbox_labels_600_hierarchy.json", R"({"LabelName": "Entity", "Subcategory": [{"LabelName": "/m/07r04"}]})");
  EXPECT_EQ(error(), "no error") << "it is not asked";
  expect_parts(error({.expand_children = true}),
               {"bbox_labels_600_hierarchy.json", "none of the classes plane, ship, car", "MIDs or display names"});
  write("bbox_labels_600_hierarchy.json", R"({"LabelName": "/m/0k4j", "Subcategory": [{"LabelName": "/m/07r04"}]})");
  const auto data = open_images(dir_, "train", {.classes = {"car", "plane"}, .expand_children = true});
  EXPECT_EQ(label_names(*data).at("d"), "car");
  expect_parts(notes_of(*data), {"warning: ", "does not name class 'plane'"});
}

TEST_F(OpenImagesTest, AHierarchyCannotTakeTheStack) {
  official();
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += R"({"LabelName":"x","Subcategory":[)";
  for (int i = 0; i < 100'000; ++i) deep += "]}";
  write("bbox_labels_600_hierarchy.json", deep);
  expect_parts(error({.expand_children = true}), {"bbox_labels_600_hierarchy.json", "more than 64 deep"});
}

TEST_F(OpenImagesTest, BoxesAtTheBorder) {
  official(row("d", "/m/0k4j", "-0.003,0.5,0.25,1.002"));
  const Sample d = open_images(dir_, "train")->load(3);
  ASSERT_EQ(d.boxes.size(), 1u);
  EXPECT_EQ(d.boxes[0].x_min, 0);
  EXPECT_EQ(d.boxes[0].y_max, 10);

  official(row("d", "/m/0k4j", "0.5,0.5,0.25,0.75"));
  EXPECT_FALSE(label_names(*open_images(dir_, "train")).contains("d")) << "a box without area: neither car nor none";
}

TEST_F(OpenImagesTest, BrokenImagesAreNamedWhenLoaded) {
  official();
  write("train/b.png", "\x89PNG\r\n\x1a\n");
  const auto data = open_images(dir_, "train");
  try {
    data->load(1);
    FAIL() << "expected an error";
  } catch (const Error& e) {
    expect_parts(e.what(), {(dir_ / "train" / "b.png").string(), "truncated"});
  }
}

TEST_F(OpenImagesTest, MemoryDoesNotGrowWithTheBoxFile) {
  official();
  {
    std::ofstream file(dir_ / "oidv6-train-annotations-bbox.csv", std::ios::app);
    std::string block;
    for (int i = 0; i < 1000; ++i) block += row("image" + std::to_string(i), "/m/0k4j", "0.012500,0.195312,0.1,0.9");
    for (int i = 0; i < 1000; ++i) file << block;  // 60 MB
    file << row("d", "/m/0k4j", "0,1,0,1");
  }
  const auto peak_megabytes = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss / 1024;
  };
  const auto before = peak_megabytes();
  const auto data = open_images(dir_, "train");
  EXPECT_LT(peak_megabytes() - before, 20);
  EXPECT_EQ(label_names(*data).at("d"), "car") << "the last row counts";
}

TEST(OpenImagesPhotos, TheRealPhotographs) {
  const fs::path dir = fs::path(BOXCAM_SOURCE_DIR) / ".." / "shared" / "data" / "photos";
  if (!fs::exists(dir)) GTEST_SKIP() << "needs the photographs in ../shared";
  EXPECT_TRUE(has_split(dir, "train"));
  EXPECT_FALSE(has_split(dir, "test"));
  const auto train = open_images(dir, "train"), validation = open_images(dir, "validation");
  EXPECT_EQ(train->size(), 1214);
  EXPECT_EQ(validation->size(), 271);
  for (int64_t i = 0; i < validation->size(); ++i) {
    const Sample sample = validation->load(i);
    EXPECT_FALSE(sample.source.empty());
    EXPECT_EQ(sample.boxes.empty(), sample.label == 3) << sample.id;
    for (const Box& box : sample.boxes) {
      EXPECT_TRUE(0 <= box.x_min && box.x_min < box.x_max && box.x_max <= sample.image.width) << sample.id;
      EXPECT_TRUE(0 <= box.y_min && box.y_min < box.y_max && box.y_max <= sample.image.height) << sample.id;
    }
  }
  const auto mixed = open_images(dir, "validation", {.sources = {"VOC2012", "COCO2017"}});
  EXPECT_LT(mixed->size(), validation->size());
  EXPECT_GT(mixed->size(), 0);
}

}  // namespace
}  // namespace boxcam
