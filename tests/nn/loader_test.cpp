#include "nn/data/loader.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <numeric>

#include "engine/base/check.h"
#include "engine/profile.h"
#include "nn/data/open_images.h"

namespace boxcam {
namespace {

namespace fs = std::filesystem;

// Sample i: its number in every pixel but a gradient, one box; counts its loads and can fail.
class Numbers : public Dataset {
 public:
  explicit Numbers(int64_t count, int64_t broken = -1) : count_(count), broken_(broken) {}
  int64_t size() const override { return count_; }
  int64_t label(int64_t index) const override { return index % 4; }
  const std::vector<std::string>& classes() const override { return classes_; }
  std::string describe() const override { return "numbers"; }
  std::string identity() const override { return str("numbers ", count_); }
  Sample load(int64_t index) const override {
    ++loads;
    check(index != broken_, "image number ", index, " is broken");
    // The first samples of a batch take longest, so that workers overtake each other.
    std::this_thread::sleep_for(std::chrono::microseconds(index % 5 == 0 ? 300 : 0));
    Sample sample;
    sample.image = Image(12, 16);
    for (int y = 0; y < 12; ++y)
      for (int x = 0; x < 16; ++x) {
        sample.image.at(y, x)[0] = static_cast<uint8_t>(index);
        sample.image.at(y, x)[1] = static_cast<uint8_t>(x * 16);
        sample.image.at(y, x)[2] = static_cast<uint8_t>(y * 20);
      }
    sample.label = label(index);
    sample.boxes = {{2, 3, 10, 9}};
    sample.id = std::to_string(index);
    sample.source = index % 2 ? "odd" : "even";
    return sample;
  }

  mutable std::atomic<int64_t> loads{0};

 private:
  int64_t count_, broken_;
  std::vector<std::string> classes_{"a", "b", "c", "none"};
};

LoaderOptions options_for_training() {
  LoaderOptions options;
  options.batch = 6;
  options.preprocess.image_size = 8;
  options.preprocess.augment = Preprocess::Augment::crop_flip;
  options.shuffle = options.augment = true;
  options.seed = 7;
  return options;
}

std::vector<Batch> epoch_of(Loader& loader, int64_t epoch, int64_t first_batch = 0) {
  loader.start_epoch(epoch, first_batch);
  std::vector<Batch> batches;
  while (auto batch = loader.next()) batches.push_back(std::move(*batch));
  EXPECT_FALSE(loader.next().has_value());
  return batches;
}

std::vector<int64_t> indices_of(const std::vector<Batch>& batches) {
  std::vector<int64_t> all;
  for (const Batch& batch : batches) all.insert(all.end(), batch.indices.begin(), batch.indices.end());
  return all;
}

void expect_equal(const Batch& a, const Batch& b) {
  EXPECT_EQ(a.size, b.size);
  EXPECT_EQ(a.image_size, b.image_size);
  EXPECT_EQ(a.images, b.images);
  EXPECT_EQ(a.labels, b.labels);
  EXPECT_EQ(a.ids, b.ids);
  EXPECT_EQ(a.sources, b.sources);
  EXPECT_EQ(a.indices, b.indices);
  ASSERT_EQ(a.boxes.size(), b.boxes.size());
  for (size_t i = 0; i < a.boxes.size(); ++i) {
    ASSERT_EQ(a.boxes[i].size(), b.boxes[i].size());
    for (size_t j = 0; j < a.boxes[i].size(); ++j) {
      EXPECT_EQ(a.boxes[i][j].x_min, b.boxes[i][j].x_min);
      EXPECT_EQ(a.boxes[i][j].y_min, b.boxes[i][j].y_min);
      EXPECT_EQ(a.boxes[i][j].x_max, b.boxes[i][j].x_max);
      EXPECT_EQ(a.boxes[i][j].y_max, b.boxes[i][j].y_max);
    }
  }
}

void expect_equal(const std::vector<Batch>& a, const std::vector<Batch>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) expect_equal(a[i], b[i]);
}

TEST(Loader, EvaluationGoesInOrderAndEndsWithAShortBatch) {
  const Numbers data(20);
  LoaderOptions options;
  options.batch = 6;
  options.preprocess.image_size = 8;
  options.preprocess.augment = Preprocess::Augment::crop_flip;  // without effect: augment is off
  Loader loader(data, options);
  EXPECT_EQ(loader.batches(), 4);
  const auto batches = epoch_of(loader, 0);
  ASSERT_EQ(batches.size(), 4u);
  std::vector<int64_t> in_order(20);
  std::iota(in_order.begin(), in_order.end(), 0);
  EXPECT_EQ(indices_of(batches), in_order);
  EXPECT_EQ(batches[3].size, 2);
  EXPECT_EQ(batches[3].images.size(), 2u * 8 * 8 * 3);
  EXPECT_EQ(batches[1].ids[1], "7");
  EXPECT_EQ(batches[1].sources[1], "odd");
  EXPECT_EQ(batches[1].labels[1], 3);
  EXPECT_EQ(batches[1].images[8 * 8 * 3], 7);
  EXPECT_EQ(batches[1].boxes[1][0].x_max, 5);
  EXPECT_EQ(batches[1].boxes[1][0].y_max, 6);

  options.drop_last = true;
  Loader full(data, options);
  EXPECT_EQ(full.batches(), 3);
  EXPECT_EQ(epoch_of(full, 0).size(), 3u);
}

TEST(Loader, EpochsAreDifferentPermutations) {
  const Numbers data(50);
  Loader loader(data, options_for_training());
  const auto first = indices_of(epoch_of(loader, 0)), second = indices_of(epoch_of(loader, 1));
  EXPECT_NE(first, second);
  for (std::vector<int64_t> order : {first, second}) {
    std::sort(order.begin(), order.end());
    for (int64_t i = 0; i < 50; ++i) ASSERT_EQ(order[static_cast<size_t>(i)], i);
  }
  LoaderOptions options = options_for_training();
  options.seed = 8;
  Loader other(data, options);
  EXPECT_NE(indices_of(epoch_of(other, 0)), first);
}

TEST(Loader, ThreadsPrefetchAndCacheChangeNothing) {
  const Numbers data(50);
  for (const auto augment : {Preprocess::Augment::none, Preprocess::Augment::flip, Preprocess::Augment::crop_flip}) {
    LoaderOptions options = options_for_training();
    options.preprocess.augment = augment;
    options.threads = options.prefetch = 1;
    Loader reference(data, options);
    const std::vector<std::vector<Batch>> expected = {epoch_of(reference, 0), epoch_of(reference, 1)};
    for (const int threads : {2, 5})
      for (const int64_t cache : {0, 3000, 1 << 20}) {  // none, a part, all
        options.threads = threads;
        options.prefetch = 3;
        options.cache_bytes = cache;
        Loader loader(data, options);
        for (int64_t epoch : {0, 1, 0}) expect_equal(epoch_of(loader, epoch), expected[static_cast<size_t>(epoch)]);
      }
  }
}

TEST(Loader, AnEpochCanBeEnteredInTheMiddle) {
  const Numbers data(50);
  Loader loader(data, options_for_training());
  const auto whole = epoch_of(loader, 3);
  Loader resumed(data, options_for_training());
  expect_equal(epoch_of(resumed, 3, 4), {whole.begin() + 4, whole.end()});
  EXPECT_TRUE(epoch_of(resumed, 3, loader.batches()).empty());
  EXPECT_THROW(resumed.start_epoch(3, loader.batches() + 1), Error);
  EXPECT_THROW(resumed.start_epoch(3, -1), Error);
}

TEST(Loader, AnEpochCanBeAbandoned) {
  const Numbers data(200);
  Loader loader(data, options_for_training());
  const auto whole = epoch_of(loader, 1);
  for (int i = 0; i < 20; ++i) {
    loader.start_epoch(i);
    if (i % 2 == 1) {
      EXPECT_TRUE(loader.next().has_value());
    }
  }
  expect_equal(epoch_of(loader, 1), whole);
  loader.start_epoch(2);  // and destroyed with workers at work
}

TEST(Loader, MakesOnlyAFewBatchesAhead) {
  const Numbers data(600);
  LoaderOptions options = options_for_training();
  options.prefetch = 2;
  Loader loader(data, options);
  loader.start_epoch(0);
  ASSERT_TRUE(loader.next().has_value());
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_LE(data.loads, 3 * 6);
}

TEST(Loader, TheCacheSavesLoads) {
  const Numbers data(50);
  LoaderOptions options = options_for_training();
  options.preprocess.augment = Preprocess::Augment::flip;
  options.cache_bytes = 1 << 20;
  Loader loader(data, options);
  epoch_of(loader, 0);
  EXPECT_EQ(data.loads, 50);
  epoch_of(loader, 1);
  EXPECT_EQ(data.loads, 50);

  const Numbers other(50);
  options.cache_bytes = 20 * (8 * 8 * 3 + sizeof(Sample) + sizeof(Box) + 8);
  Loader partial(other, options);
  epoch_of(partial, 0);
  epoch_of(partial, 1);
  EXPECT_GT(other.loads, 50 + 25);
  EXPECT_LT(other.loads, 100);
}

TEST(Loader, TheProfileShowsTheWaitsForFirstAndForOtherBatches) {
  using Clock = std::chrono::steady_clock;
  const Numbers data(50);
  LoaderOptions options = options_for_training();
  options.name = "numbers";
  Loader loader(data, options);
  set_profiling(true);
  const auto begin = Clock::now();
  epoch_of(loader, 0);
  epoch_of(loader, 1, 4);
  const double elapsed = std::chrono::duration<double>(Clock::now() - begin).count();
  set_profiling(false);
  epoch_of(loader, 2);  // not counted
  std::map<std::string, int64_t> times;
  double waited = 0;
  for (const ProfileWait& w : profile_waits()) {
    times[w.what] = w.times;
    waited += w.seconds;
  }
  const std::map<std::string, int64_t> expected = {{"numbers, first batch of an epoch", 2},
                                                   {"numbers, other batches", 2 * loader.batches() - 4 - 2}};
  EXPECT_EQ(times, expected);
  EXPECT_GT(waited, 0);
  EXPECT_LE(waited, elapsed);
}

TEST(Loader, ABrokenImageReachesTheCallerInItsBatch) {
  const Numbers data(50, 20);
  LoaderOptions options;
  options.batch = 6;
  options.preprocess.image_size = 8;
  options.threads = 3;
  Loader loader(data, options);
  for (int repeat = 0; repeat < 3; ++repeat) {
    loader.start_epoch(repeat);
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(loader.next().has_value());
    try {
      loader.next();
      FAIL() << "expected an error";
    } catch (const Error& error) {
      EXPECT_STREQ(error.what(), "image number 20 is broken");
    }
    EXPECT_FALSE(loader.next().has_value());
  }
}

TEST(Loader, ATruncatedFileIsNamed) {
  const fs::path dir = fs::temp_directory_path() / str("boxcam_loader_test_", getpid());
  fs::create_directories(dir / "validation");
  for (const char* id : {"a", "b", "c"}) write_png(dir / "validation" / (std::string(id) + ".png"), Image(9, 9));
  fs::resize_file(dir / "validation" / "b.png", 60);
  std::ofstream(dir / "class-descriptions-boxable.csv") << "/m/0k4j,Car\n";
  std::ofstream(dir / "validation-annotations-bbox.csv") << "ImageID,LabelName,XMin,XMax,YMin,YMax\n";
  const auto data = open_images(dir, "validation", {.classes = {"car"}});
  LoaderOptions options;
  options.batch = 2;
  options.preprocess.image_size = 8;
  Loader loader(*data, options);
  loader.start_epoch(0);
  try {
    loader.next();
    ADD_FAILURE() << "expected an error";
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_NE(message.find((dir / "validation" / "b.png").string() + " is truncated"), std::string::npos) << message;
  }
  fs::remove_all(dir);
}

TEST(Loader, RefusesOptionsThatMakeNoSense) {
  const Numbers data(5), empty(0);
  const auto refused = [](const Dataset& dataset, auto change) {
    LoaderOptions options = options_for_training();
    change(options);
    EXPECT_THROW(Loader(dataset, options), Error);
  };
  refused(empty, [](LoaderOptions&) {});
  refused(data, [](LoaderOptions& o) { o.batch = 0; });
  refused(data, [](LoaderOptions& o) { o.threads = 0; });
  refused(data, [](LoaderOptions& o) { o.prefetch = 0; });
  refused(data, [](LoaderOptions& o) { o.cache_bytes = -1; });
  refused(data, [](LoaderOptions& o) { o.preprocess.image_size = 0; });
  refused(data, [](LoaderOptions& o) { o.drop_last = true; });
  Loader loader(data, options_for_training());
  EXPECT_THROW(loader.next(), Error);
  EXPECT_THROW(loader.start_epoch(-1), Error);
}

// "Lost its boxes" is another thing than "never had one", also from the cache.
TEST(Loader, ABatchSaysWhichImagesLostTheirBoxesInTheCrop) {
  class Corners : public Numbers {
   public:
    Corners() : Numbers(3) {}
    Sample load(int64_t index) const override {
      Sample sample = Numbers::load(index);
      if (index == 0) sample.boxes = {{0, 0, 1, 1}};
      if (index == 1) sample.boxes = {{0, 0, 1, 1}, {7, 5, 9, 7}};
      if (index == 2) sample.boxes.clear();
      return sample;
    }
  };
  const Corners data;
  const auto lost = [&](Preprocess::Resize resize, int64_t cache) {
    Loader loader(data, {.batch = 3, .preprocess = {.image_size = 32, .resize = resize}, .cache_bytes = cache});
    std::vector<char> found;
    for (int64_t epoch = 0; epoch < 2; ++epoch) {
      loader.start_epoch(epoch);
      found = loader.next()->lost_boxes;
    }
    return found;
  };
  EXPECT_EQ(lost(Preprocess::Resize::crop, 0), (std::vector<char>{1, 0, 0}));
  EXPECT_EQ(lost(Preprocess::Resize::crop, 1 << 20), (std::vector<char>{1, 0, 0}));
  EXPECT_EQ(lost(Preprocess::Resize::squash, 0), (std::vector<char>{0, 0, 0}));
}

}  // namespace
}  // namespace boxcam
