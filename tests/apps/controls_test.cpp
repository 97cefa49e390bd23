// --boxes: what each control gives an image, that it is a function of (seed, step), and that only losses see it.
#include "apps/common/controls.h"

#include <cmath>
#include <cstring>
#include <set>

#include "apps/train_step.h"
#include "models/resnet.h"
#include "nn/data/scenes/scenes.h"
#include "tests/programs.h"

namespace boxcam {
namespace {

bool same(const std::vector<Box>& a, const std::vector<Box>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(Box)) == 0);
}
bool same(const BoxLists& a, const BoxLists& b) {
  if (a.size() != b.size()) return false;
  for (size_t n = 0; n < a.size(); ++n)
    if (!same(a[n], b[n])) return false;
  return true;
}

/// Images of 32 px with the given boxes: number n of the batch is number 10 n of the data set.
Batch batch_of(const BoxLists& boxes) {
  Batch batch;
  batch.size = static_cast<int64_t>(boxes.size());
  batch.image_size = 32;
  batch.images.assign(boxes.size() * 32 * 32 * 3, 100);
  batch.boxes = boxes;
  for (size_t n = 0; n < boxes.size(); ++n) {
    batch.labels.push_back(static_cast<int32_t>(n % 4));
    batch.ids.push_back(str("image ", n));
    batch.sources.emplace_back();
    batch.indices.push_back(static_cast<int64_t>(10 * n));
  }
  return batch;
}

const BoxLists kBoxes = {{{1, 2, 9, 12}}, {}, {{3, 4, 13, 24}, {20, 20, 30, 22}}, {{0, 0, 5, 5}}, {{8, 8, 16, 31}}};

/// Which image of `boxes` has this list.
size_t owner(const std::vector<Box>& list, const BoxLists& boxes) {
  for (size_t n = 0; n < boxes.size(); ++n)
    if (same(list, boxes[n])) return n;
  return boxes.size();
}

/// How many steps lead from image 0 back to it, going from each image to the one whose boxes it has.
size_t cycle_length(const BoxLists& given, const BoxLists& boxes) {
  size_t length = 1;
  for (size_t n = owner(given[0], boxes); n != 0 && length <= boxes.size(); n = owner(given[n], boxes)) ++length;
  return length;
}

TEST(Controls, OwnAndInverseGiveTheImagesBoxesAndNoneGivesNone) {
  const Batch batch = batch_of(kBoxes);
  EXPECT_TRUE(same(control_boxes(batch, BoxControl::own, 0, 0), kBoxes));
  EXPECT_TRUE(same(control_boxes(batch, BoxControl::inverse, 0, 0), kBoxes));
  EXPECT_TRUE(same(control_boxes(batch, BoxControl::none, 0, 0), BoxLists(kBoxes.size())));
}

TEST(Controls, ShuffledIsACycleOverTheBoxedImagesAnewAtEveryStep) {
  const Batch batch = batch_of(kBoxes);
  std::set<size_t> partners;
  for (int64_t step = 0; step < 40; ++step) {
    const BoxLists given = control_boxes(batch, BoxControl::shuffled, 7, step);
    EXPECT_TRUE(given[1].empty());
    EXPECT_EQ(cycle_length(given, kBoxes), 4u);
    EXPECT_TRUE(same(given, control_boxes(batch, BoxControl::shuffled, 7, step)));
    partners.insert(owner(given[0], kBoxes));
  }
  EXPECT_EQ(partners, (std::set<size_t>{2, 3, 4}));
  EXPECT_TRUE(same(control_boxes(batch_of({{}, kBoxes[0]}), BoxControl::shuffled, 7, 0), {{}, kBoxes[0]}));
}

TEST(Controls, FixedShuffledIsOneCycleOverTheSplitTheSameAtEveryStep) {
  BoxLists split(45);  // of which the batch has every tenth, and every third has no box
  for (size_t i = 0; i < split.size(); ++i)
    if (i % 3) split[i] = {{0, 0, 1, static_cast<double>(i)}};
  const BoxLists fixed = fixed_cycle(split, 3);
  size_t boxed = 0;
  for (size_t i = 0; i < split.size(); ++i) {
    EXPECT_EQ(fixed[i].empty(), split[i].empty());
    boxed += !split[i].empty();
  }
  size_t length = 1;
  for (size_t n = owner(fixed[1], split); n != 1 && length <= 45; n = owner(fixed[n], split)) ++length;
  EXPECT_EQ(length, boxed);
  EXPECT_FALSE(same(fixed, fixed_cycle(split, 4)));

  const Batch batch = batch_of(kBoxes);  // images 0, 10, 20, 30, 40 of the split
  const BoxLists given = control_boxes(batch, BoxControl::fixed_shuffled, 3, 5, fixed);
  EXPECT_TRUE(given[1].empty());  // without a box in the batch, whatever the split says
  for (const size_t n : {0, 2, 3, 4}) EXPECT_TRUE(same(given[n], fixed[10 * n])) << n;
  EXPECT_TRUE(same(given, control_boxes(batch, BoxControl::fixed_shuffled, 3, 6, fixed)));
}

TEST(Controls, RandomKeepsSizesAndRedrawsPlacesByStepAndImage) {
  const Batch batch = batch_of(kBoxes);
  double least = 32, most = 0;
  for (int64_t step = 0; step < 200; ++step) {
    const BoxLists given = control_boxes(batch, BoxControl::random, 1, step);
    for (size_t n = 0; n < kBoxes.size(); ++n) {
      ASSERT_EQ(given[n].size(), kBoxes[n].size());
      for (size_t i = 0; i < given[n].size(); ++i) {
        const Box &a = given[n][i], &b = kBoxes[n][i];
        EXPECT_NEAR(a.x_max - a.x_min, b.x_max - b.x_min, 1e-12);
        EXPECT_NEAR(a.y_max - a.y_min, b.y_max - b.y_min, 1e-12);
        EXPECT_TRUE(a.x_min >= 0 && a.y_min >= 0 && a.x_max <= 32 + 1e-12 && a.y_max <= 32 + 1e-12);
      }
    }
    least = std::min(least, given[0][0].x_min), most = std::max(most, given[0][0].x_min);
  }
  EXPECT_LT(least, 1);  // of places from 0 to 24
  EXPECT_GT(most, 23);

  const BoxLists given = control_boxes(batch, BoxControl::random, 1, 3);
  EXPECT_TRUE(same(given, control_boxes(batch, BoxControl::random, 1, 3)));
  EXPECT_FALSE(same(given, control_boxes(batch, BoxControl::random, 2, 3)));
  Batch other = batch_of({kBoxes[2]});  // of the same image in another batch
  other.indices = {20};
  EXPECT_TRUE(same(control_boxes(other, BoxControl::random, 1, 3)[0], given[2]));
}

TEST(Controls, CentreTakesTheLargestBoxAlone) {
  const BoxLists given = control_boxes(batch_of(kBoxes), BoxControl::centre, 0, 0);
  EXPECT_TRUE(same(given[0], {{12, 11, 20, 21}}));
  EXPECT_TRUE(given[1].empty());
  EXPECT_TRUE(same(given[2], {{11, 6, 21, 26}}));
}

TEST(Controls, BoxesOfASplitAreThoseThatItsLoaderShowsWithoutAugmentation) {
  const Scenes scenes(0, 30, ScenesSplit::train, {.image_size = 48});
  LoaderOptions options;
  options.batch = 8, options.preprocess = {32, Preprocess::Resize::crop, Preprocess::Augment::flip};
  options.shuffle = options.augment = true;
  const BoxLists boxes = all_boxes(scenes, options), whole = [&] {
    LoaderOptions crops = options;
    crops.preprocess.augment = Preprocess::Augment::crop_flip;
    return all_boxes(scenes, crops);
  }();
  ASSERT_EQ(boxes.size(), 30u);
  bool differs = false;
  for (int64_t i = 0; i < 30; ++i) {
    const Sample squashed = prepare(scenes.load(i), {32, Preprocess::Resize::squash}, nullptr);
    EXPECT_TRUE(same(boxes[i], prepare(scenes.load(i), {32, Preprocess::Resize::crop}, nullptr).boxes)) << i;
    EXPECT_TRUE(same(whole[i], squashed.boxes)) << i;
    differs = differs || !same(boxes[i], whole[i]);
  }
  EXPECT_TRUE(differs);
}

StepInput input_of(BoxControl control) {
  Method method;
  method.boxes = control;
  LoaderOptions options;
  options.batch = 4, options.preprocess.image_size = 32;
  const Scenes scenes(0, 8, ScenesSplit::train, {.image_size = 32});
  Loader loader(scenes, options);
  loader.start_epoch(0);
  Batch batch = *loader.next();
  return StepInputs(method, scenes, options, Device::cpu, 5)(batch, 2);
}

TEST(Controls, InverseMasksAreOneOutsideTheMarginAndNothingWithoutABox) {
  const StepInput input = input_of(BoxControl::inverse);
  EXPECT_TRUE(input.boxes[3].empty());
  const auto own = input.own_masks(2).to_vector(), inverse = input.loss_masks(2).to_vector();
  const size_t pixels = own.size() / 4;
  for (size_t i = 0; i < own.size(); ++i) ASSERT_EQ(inverse[i], input.boxes[i / pixels].empty() ? 0 : 1 - own[i]) << i;
}

// Metrics are those of the images' own boxes, whatever a loss reads: at lambda 0 a control changes no number of them.
TEST(Controls, OnlyLossesSeeThem) {
  std::set<double> penalties;
  for (const BoxControl control : {BoxControl::own, BoxControl::shuffled, BoxControl::fixed_shuffled,
                                   BoxControl::random, BoxControl::centre, BoxControl::inverse, BoxControl::none}) {
    ResNet CL(resnet_config("resnet-mini"), 4), reference(resnet_config("resnet-mini"), 4);
    Metrics metrics(4), expected(4);
    const StepReport step = TrainStep(CL, {}, {})(input_of(control), 0.1, metrics);
    TrainStep(reference, {}, {})(input_of(BoxControl::own), 0.1, expected);
    EXPECT_EQ(metrics.state(), expected.state());
    penalties.insert(step.penalty);
  }
  EXPECT_EQ(penalties.size(), 7u);
}

TEST(Controls, TheProgramGivesEqualRunsForEqualSeeds) {
  const TemporaryFolder folder;
  for (const char* control : {"fixed-shuffled", "random", "inverse", "none"}) {
    const Arguments options = {{"--lambda", "5"}, {"--boxes", control}, {"--augment", "crop-flip"}};
    const std::string a = folder / (std::string(control) + "/a"), b = folder / (std::string(control) + "/b");
    train(a, options);
    train(b, options);
    EXPECT_TRUE(bytes_of(a + "/checkpoint.safetensors") == bytes_of(b + "/checkpoint.safetensors")) << control;
  }
}

TEST(Controls, AreRefusedWhereThereAreNoBoxes) {
  const TemporaryFolder folder;
  for (const char* place : {"train/a", "train/b", "validation/a"}) {
    std::filesystem::create_directories(folder / place);
    write_png(folder / (std::string(place) + "/image.png"), Image(32, 32));
  }
  const Outcome result = run_program("train", with(tiny_run(), {{"--data", "folder:" + folder.path().string()},
                                                                {"--boxes", "random"},
                                                                {"--output", folder / "run"}}));
  EXPECT_EQ(result.status, 2);
  EXPECT_TRUE(contains(result.err, "--boxes: there are no boxes in --data folder:"));
}

}  // namespace
}  // namespace boxcam
