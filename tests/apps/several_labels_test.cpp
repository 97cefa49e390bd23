// --task multi-label in the programs: a step against the library's formulas, equal and interrupted runs, what a run
// says of itself and what evaluate and explain make of it, data of files, and what is refused.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "apps/common/evaluation.h"
#include "apps/train_step.h"
#include "models/models.h"
#include "models/weights.h"
#include "nn/data/scenes/scenes.h"
#include "nn/files/safetensors.h"
#include "nn/input.h"
#include "tests/programs.h"
#include "xai/boxes.h"
#include "xai/explain_image.h"
#include "xai/multi_label.h"

namespace boxcam {
namespace {

using nlohmann::json;

constexpr int64_t kBatch = 6, kClasses = 3;
constexpr int kSize = 32;

Scenes scenes(int64_t count = kBatch) {
  return Scenes(3, count, ScenesSplit::train, {.image_size = kSize, .task = Task::multi_label});
}

Batch batch_of(const Dataset& data) {
  Loader loader(data, {.batch = data.size(), .preprocess = {.image_size = kSize}});
  loader.start_epoch(0);
  return *loader.next();
}

Method method_of_pairs() {
  Method method;
  method.task = Task::multi_label;
  method.penalty.lambda = 5;
  method.explain.taps = {"layer3"};  // batch norm follows, and second order counts
  return method;
}

/// Of the batch's classes the mean over pairs of mean_ij C (1 - B), with the graph.
Tensor penalty_by_hand(Classifier& model, const Tensor& x, const Forward& pass, const Batch& batch,
                       const ExplainOptions& options) {
  Tensor sum;
  double pairs = 0;
  for (int32_t q = 0; q < kClasses; ++q) {
    std::vector<std::vector<Box>> boxes(kBatch);
    for (size_t n = 0; n < kBatch; ++n)
      for (size_t i = 0; i < batch.boxes[n].size(); ++i)
        if (batch.box_classes[n][i] == q) boxes[n].push_back(batch.boxes[n][i]);
    const Tensor labels = Tensor::from({kBatch}, std::vector<int32_t>(kBatch, q));
    const Tensor C = explain(model, x, pass, labels, options).cam;
    const Tensor outside = mean(C * (Tensor::full(C.shape(), 1) - box_masks(boxes, kSize, kSize, 0)), {1, 2});
    for (size_t n = 0; n < kBatch; ++n)
      if (!boxes[n].empty()) {
        const Tensor one = slice(outside, 0, static_cast<int64_t>(n), 1);
        sum = sum.defined() ? sum + one : one;
        ++pairs;
      }
  }
  return boxcam::sum(sum) * (1 / pairs);
}

// L = mean sigmoid cross-entropy + lambda * the mean over pairs, and the step's gradients are its gradients.
TEST(SeveralLabelsStep, IsTheLossByHand) {
  const auto model = make_classifier("resnet-mini", kClasses), twin = model->copy();
  const Scenes data = scenes();
  Batch batch = batch_of(data);
  const Method method = method_of_pairs();
  const StepInput input = StepInputs(method, data, {}, Device::cpu, 0)(batch, 0);

  ExplainOptions options = method.explain;
  options.cam.gradient = CamGradient::full;
  const Tensor x = input_tensor(batch);
  const Forward pass = explained_forward(*twin, x, ForwardOptions::training(), options, true);
  const Tensor P = penalty_by_hand(*twin, x, pass, batch, options);
  double cross_entropy = 0;
  const std::vector<double> y = pass.logits.to_vector();
  std::vector<int32_t> present(y.size(), 0);
  for (size_t n = 0; n < kBatch; ++n)
    for (const int32_t label : batch.box_classes[n]) present[n * kClasses + static_cast<size_t>(label)] = 1;
  for (size_t i = 0; i < y.size(); ++i) {
    const double s = 1 / (1 + std::exp(-y[i]));
    cross_entropy -= std::log(present[i] ? s : 1 - s) / static_cast<double>(y.size());
  }
  const Tensor loss = mean(sigmoid_cross_entropies(pass.logits, Tensor::from({kBatch, kClasses}, present))) + 5 * P;
  const std::vector<Tensor> gradients = grad({loss}, twin->parameters());

  Metrics metrics(kClasses, Task::multi_label);
  StepWatch watch;
  bool compared = false;
  watch.after = [&](int number, const Step& step) {
    if (number != 6) return;
    compared = true;
    ASSERT_EQ(step.gradients.size(), gradients.size());
    double largest = 0, difference = 0;
    for (size_t i = 0; i < gradients.size(); ++i) {
      const auto ours = step.gradients[i].to_vector(), theirs = gradients[i].to_vector();
      for (size_t j = 0; j < ours.size(); ++j) {
        largest = std::max(largest, std::abs(theirs[j]));
        difference = std::max(difference, std::abs(ours[j] - theirs[j]));
      }
    }
    EXPECT_LT(difference, 1e-4 * largest) << "f32: the same sums in another order";
  };
  const StepReport report = TrainStep(*model, method, {})(input, 0.01, metrics, watch);
  EXPECT_TRUE(compared);
  EXPECT_NEAR(report.cross_entropy, cross_entropy, 1e-6);
  EXPECT_NEAR(report.penalty, P.item(), 1e-6 * P.item());
  EXPECT_GT(report.penalty, 0);
}

TEST(SeveralLabelsStep, APairThatLostItsBoxesIsClassifiedAndNotPenalised) {
  const Scenes data = scenes();
  Batch batch = batch_of(data);
  const auto shown = [&](size_t n) { return batch.shown[n].size() > 1; };
  size_t n = 0;
  while (n < kBatch && !shown(n)) ++n;
  ASSERT_LT(n, size_t{kBatch});
  batch.boxes[n].erase(batch.boxes[n].begin());
  const int32_t lost = batch.box_classes[n].front();
  batch.box_classes[n].erase(batch.box_classes[n].begin());
  const Pairs pairs = pairs_of(batch, kClasses);
  EXPECT_TRUE(pairs.has(pairs.present, static_cast<int64_t>(n), lost));
  EXPECT_FALSE(pairs.has(pairs.boxed, static_cast<int64_t>(n), lost));
  EXPECT_EQ(pairs.lost_boxes(), 1);
  const auto model = make_classifier("resnet-mini", kClasses);
  Metrics metrics(kClasses, Task::multi_label);
  const Method method = method_of_pairs();
  const StepInput input = StepInputs(method, data, {}, Device::cpu, 0)(batch, 0);
  TrainStep step(*model, method, {});
  StepWatch watch;
  watch.after = [&](int number, const Step& s) {
    if (number == 4) {
      EXPECT_EQ(s.pairs[n][static_cast<size_t>(lost)].box_area, 0);
    }
  };
  step(input, 0.01, metrics, watch);
  EXPECT_EQ(metrics.lost_boxes(), 1);
}

TEST(SeveralLabelsMetrics, StateGoesToACheckpointAndBack) {
  Metrics metrics(2, Task::multi_label), other(2, Task::multi_label);
  const std::vector<double> scores = {.5, -1, 2, .25};
  const std::vector<char> shows = {1, 0, 0, 1};
  metrics.add(scores, shows, std::vector<CamRecord>{{1, 4, 0, 10}, {0, 0, 0, 10}});
  other.restore(metrics.state());
  EXPECT_EQ(other.state(), metrics.state());
  EXPECT_DOUBLE_EQ(other.accuracy(), (.5 + 1) / 2);
  EXPECT_DOUBLE_EQ(other.content_heatmap(ContentHeatmap::batch), .25);
  EXPECT_DOUBLE_EQ(other.empty_cams(), .5);
  EXPECT_EQ(other.images(), 2);
  std::vector<double> cut = metrics.state();
  cut.pop_back();
  EXPECT_THROW(other.restore(cut), Error);
  EXPECT_THROW(Metrics(2).restore(metrics.state()), Error);
}

// ---- the programs ---------------------------------------------------------------------------------------------------

const Arguments kSeveral = {{"--task", "multi-label"}, {"--lambda", "3"}, {"--augment", "crop-flip"}};

void expect_same_runs(const std::string& a, const std::string& b) {
  for (const char* file : {"best.safetensors", "last.safetensors", "checkpoint.safetensors", "test_images.jsonl"})
    EXPECT_TRUE(bytes_of(a + "/" + file) == bytes_of(b + "/" + file)) << file << " differs";
  EXPECT_EQ(epochs_of(a), epochs_of(b));
  EXPECT_EQ(json_of(a + "/test.json"), json_of(b + "/test.json"));
}

class SeveralLabels : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TemporaryFolder;
    train(run(), kSeveral);
  }
  static void TearDownTestSuite() { delete folder_; }
  static std::string run() { return *folder_ / "run"; }
  static std::string file() { return run() + "/best.safetensors"; }
  static TemporaryFolder* folder_;
};
TemporaryFolder* SeveralLabels::folder_ = nullptr;

TEST_F(SeveralLabels, TheSameCommandTwiceGivesTheSameBytes) {
  train(*folder_ / "again", kSeveral);
  expect_same_runs(run(), *folder_ / "again");
}

TEST_F(SeveralLabels, InterruptionsLeaveNoTrace) {
  const std::string parts = *folder_ / "parts";
  Arguments arguments = with(with(tiny_run(), kSeveral), {{"--output", parts}});
  std::set<std::string> moments;
  std::chrono::milliseconds patience{0};
  for (int stops = 0;; ++stops) {
    ASSERT_LT(stops, 60);
    Program program("train", words_of(arguments));
    program.wait_for("output ");
    std::this_thread::sleep_for(patience);
    program.interrupt();
    const Outcome result = program.finish();
    if (result.status == 0) break;
    ASSERT_EQ(result.status, 130) << result.err;
    patience = moments.insert(result.err).second ? patience / 2 : 2 * patience + std::chrono::milliseconds(10);
    arguments["--resume"] = "";
  }
  EXPECT_GE(moments.size(), 4u) << "the run was over before it could be interrupted";
  expect_same_runs(run(), parts);
}

TEST_F(SeveralLabels, ThePenaltyAndItsLossChangeTheWeights) {
  for (const Arguments& more : {Arguments{{"--lambda", "0"}}, Arguments{{"--loss", "energy"}}}) {
    const std::string other = *folder_ / ("other-" + more.begin()->second);
    train(other, with(kSeveral, more));
    EXPECT_NE(bytes_of(run() + "/last.safetensors"), bytes_of(other + "/last.safetensors")) << more.begin()->first;
  }
}

TEST_F(SeveralLabels, ARunSaysWhatItIs) {
  const json run_json = json_of(run() + "/run.json"), test = json_of(run() + "/test.json");
  EXPECT_EQ(run_json.at("options").at("task"), "multi-label");
  EXPECT_EQ(run_json.at("data").at("classes"), json({"plane", "ship", "car"})) << "none is no output";
  EXPECT_EQ(read_metadata(file()).at("task"), "multi-label");
  for (const char* key : {"test_mean_average_precision", "test_worst_class_average_precision", "test_content_heatmap",
                          "out_of_context_mean_average_precision", "test_empty_cams", "test_box_coverage"})
    EXPECT_TRUE(test.at(key).is_number()) << key;
  EXPECT_EQ(test.at("per_class_average_precision").size(), 3u);
  for (const char* key : {"test_accuracy", "confusion", "centred_bias", "per_class_accuracy"})
    EXPECT_FALSE(test.contains(key)) << key;
  for (const json& line : epochs_of(run())) {
    EXPECT_TRUE(line.at("train_mean_average_precision").is_number());
    EXPECT_TRUE(line.at("val_mean_average_precision").is_number());
    EXPECT_NEAR(line.at("loss").get<double>(),
                line.at("cross_entropy").get<double>() + 3 * line.at("penalty").get<double>(), 1e-9);
  }
  const std::string page = bytes_of(run() + "/report.html");
  EXPECT_TRUE(contains(page, "mean average precision"));
  EXPECT_FALSE(contains(page, "are classified right"));
}

TEST_F(SeveralLabels, BestByAccuracyIsByMeanAveragePrecision) {
  train(*folder_ / "best", with(kSeveral, {{"--best-by", "accuracy"}, {"--epochs", "4"}, {"--keep-epochs", ""}}));
  const std::vector<json> lines = epochs_of(*folder_ / "best");
  size_t best = 0;
  for (size_t i = 1; i < lines.size(); ++i)
    if (lines[i].at("val_mean_average_precision") > lines[best].at("val_mean_average_precision")) best = i;
  const json test = json_of(*folder_ / "best/test.json");
  EXPECT_EQ(test.at("best_epoch"), best);
  EXPECT_EQ(test.at("by_rule").at("accuracy").at("epoch"), best);
  EXPECT_EQ(test.at("by_rule").at("accuracy").at("test_mean_average_precision"),
            test.at("test_mean_average_precision"));
}

// evaluate is told nothing: the file knows its task.
TEST_F(SeveralLabels, EvaluateGivesTheNumbersOfTheTest) {
  const Outcome result =
      run_program("evaluate", {{"--checkpoint", file()}, {"--json", *folder_ / "numbers.json"}, {"--threads", "1"}});
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(contains(result.out, "mean average precision"));
  EXPECT_FALSE(contains(result.out, "accuracy"));
  const json numbers = json_of(*folder_ / "numbers.json"), test = json_of(run() + "/test.json");
  int compared = 0;
  for (const auto& [split, prefix] :
       {std::pair{"test (in context)", "test_"}, std::pair{"test (out of context)", "out_of_context_"}})
    for (const auto& [key, value] : test.items())
      if (key.starts_with(prefix)) {
        EXPECT_EQ(numbers.at(split).at(key.substr(std::string(prefix).size())), value) << key;
        ++compared;
      }
  EXPECT_GE(compared, 14);
  EXPECT_EQ(numbers.at("test (in context)").at("per_class_average_precision"), test.at("per_class_average_precision"));
}

// The test's mean average precision and Content-Heatmap, from the library and its definition alone.
TEST_F(SeveralLabels, TheTestIsWhatTheModelSays) {
  const Scenes data(0, 16, ScenesSplit::test_in, {.image_size = kSize, .task = Task::multi_label});
  const auto model = make_classifier("resnet-mini", kClasses);
  load_weights(model->named_tensors(), read_safetensors(file()));
  ExplainOptions options;
  settle_taps(options, *model);
  std::vector<double> scores;
  std::vector<char> shows;
  double inside = 0, total = 0;
  for (int64_t i = 0; i < data.size(); ++i) {
    const Sample sample = data.load(i);
    for (int32_t q = 0; q < kClasses; ++q) {
      std::vector<Box> boxes;
      for (size_t b = 0; b < sample.boxes.size(); ++b)
        if (sample.box_classes[b] == q) boxes.push_back(sample.boxes[b]);
      const ImageExplanation e = explain_image(*model, sample.image, q, options);
      scores.push_back(e.logits.to_vector()[static_cast<size_t>(q)]);
      shows.push_back(!boxes.empty());
      if (boxes.empty()) continue;
      const CamRecord record = cam_records(e.explanation.cam, box_masks({boxes}, kSize, kSize, 0))[0];
      inside += record.inside, total += record.total;
    }
  }
  const Outcome result = run_program("evaluate", {{"--checkpoint", file()},
                                                  {"--json", *folder_ / "pooled.json"},
                                                  {"--threads", "1"},
                                                  {"--content-heatmap", "pooled"}});
  ASSERT_EQ(result.status, 0) << result.err;
  const json numbers = json_of(*folder_ / "pooled.json").at("test (in context)");
  EXPECT_NEAR(numbers.at("mean_average_precision").get<double>(), mean_average_precision(scores, shows, kClasses),
              1e-9);
  EXPECT_NEAR(numbers.at("content_heatmap").get<double>(), inside / total, 1e-5) << "f32: alone and in a batch";
}

TEST_F(SeveralLabels, ExplainShowsSigmoids) {
  write_png(*folder_ / "one.png", scenes().load(0).image);
  const Outcome result = run_program("explain", {{"--checkpoint", file()},
                                                 {"--image", *folder_ / "one.png"},
                                                 {"--output", *folder_ / "overlays"},
                                                 {"--dump", *folder_ / "dump"},
                                                 {"--threads", "1"}});
  ASSERT_EQ(result.status, 0) << result.err;
  const std::string npy = bytes_of(*folder_ / "dump/logits.npy");
  std::vector<float> y(3);
  ASSERT_GT(npy.size(), 12u);
  std::memcpy(y.data(), npy.data() + npy.size() - 12, 12);
  const std::vector<std::string> names = {"plane", "ship", "car"};
  for (size_t q = 0; q < 3; ++q) {
    char text[32];
    std::snprintf(text, sizeof text, " %.2f %%", 100 / (1 + std::exp(-y[q])));
    EXPECT_TRUE(contains(result.out, names[q] + text));
  }
}

void expect_refused(const Outcome& result, int status, const std::vector<std::string>& parts) {
  EXPECT_EQ(result.status, status) << result.out;
  for (const std::string& part : parts) EXPECT_TRUE(contains(result.err, part));
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
}

TEST_F(SeveralLabels, AFileIsOfItsTaskAndNoOther) {
  for (const char* program : {"evaluate", "explain"}) {
    Arguments arguments = {{"--checkpoint", file()}, {"--task", "single-label"}};
    if (std::string(program) == "explain")
      arguments = with(arguments, {{"--image", *folder_ / "none.png"}, {"--output", *folder_ / "nowhere"}});
    expect_refused(run_program(program, arguments), 1, {"--task single-label does not fit", "multi-label"});
  }
  train(*folder_ / "single");
  EXPECT_FALSE(read_metadata(*folder_ / "single/best.safetensors").contains("task"));
  expect_refused(
      run_program("evaluate", {{"--checkpoint", *folder_ / "single/best.safetensors"}, {"--task", "multi-label"}}), 1,
      {"--task multi-label does not fit", "single-label"});
  expect_refused(run_program("walkthrough", {{"--checkpoint", file()}}), 2, {"--task: "});
  for (const auto& [option, value] : Arguments{{"--sanity", ""},
                                               {"--metrics", "iou"},
                                               {"--background-variants", ""},
                                               {"--cam-class", "predicted"},
                                               {"--cam-target", "centered"}})
    expect_refused(run_program("evaluate", {{"--checkpoint", file()}, {option, value}}), 2, {option + ": "});
  expect_refused(run_program("evaluate", {{"--checkpoint", file()}, {"--split", "mixed-rand"}}), 1, {"scenes: "});
}

TEST_F(SeveralLabels, WhatIsNotDerivedIsRefused) {
  const std::vector<std::pair<std::string, std::string>> refused = {{"--thesis", ""},
                                                                    {"--cam-target", "centered"},
                                                                    {"--cam-class", "predicted"},
                                                                    {"--evidence-split", "1"},
                                                                    {"--background-swap", "1"},
                                                                    {"--context-only", "1"},
                                                                    {"--penalty-gradient", "leak"},
                                                                    {"--boxes", "shuffled"},
                                                                    {"--class-balance", "on"},
                                                                    {"--unboxed", "skip"},
                                                                    {"--best-by", "worst-group"},
                                                                    {"--several-classes", "drop"},
                                                                    {"--background-variants", ""}};
  for (const auto& [option, value] : refused)
    expect_refused(
        run_program("train", with(with(tiny_run(), kSeveral), {{option, value}, {"--output", *folder_ / "refused"}})),
        2, {"train: " + option + ": ", "multi-label"});
  expect_refused(run_program("train", with(with(tiny_run(), kSeveral),
                                           {{"--data", "waterbirds:x"}, {"--output", *folder_ / "refused"}})),
                 2, {"train: --task: multi-label needs images with boxes of several classes"});
  expect_refused(run_program("prepare", {{"--task", "multi-label"}, {"--output", *folder_ / "packed"}}), 2,
                 {"prepare: --task: "});
  EXPECT_FALSE(std::filesystem::exists(*folder_ / "refused"));
}

// ---- data of files
// -----------------------------------------------------------------------------------------------------------

/// A table of pictures with a red square, a green one, both, or none.
void write_table(const TemporaryFolder& folder, const std::string& more = "") {
  std::ofstream table(folder / "table.csv");
  table << "# boxes: pixels\npath,label,xmin,ymin,xmax,ymax,split\n";
  for (const char* split : {"train", "validation", "test"})
    for (int i = 0; i < 8; ++i) {
      const std::string name = split + std::to_string(i) + ".png";
      Image image(40, 40);
      std::fill(image.pixels.begin(), image.pixels.end(), 128);
      const auto square = [&](int channel, int from, const char* label) {
        for (int y = from; y < from + 12; ++y)
          for (int x = from; x < from + 12; ++x) image.at(y, x)[channel] = 255;
        table << name << "," << label << "," << from << "," << from << "," << from + 12 << "," << from + 12 << ","
              << split << "\n";
      };
      if (i % 4 != 1 && i % 4 != 3) square(0, 4, "red");
      if (i % 4 == 1 || i % 4 == 2) square(1, 22, "green");
      if (i % 4 == 3) table << name << ",none,,,,," << split << "\n";
      write_png(folder / name, image);
    }
  table << more;
}

TEST(SeveralLabelsOfFiles, EveryBoxKeepsItsClass) {
  const TemporaryFolder folder;
  write_table(folder);
  const Arguments options = {{"--task", "multi-label"}, {"--data", "csv:" + (folder / "table.csv")},
                             {"--train-images", "0"},   {"--val-images", "0"},
                             {"--test-images", "0"},    {"--lambda", "1"}};
  train(folder / "run", options);
  const json run = json_of(folder / "run/run.json");
  EXPECT_EQ(run.at("data").at("classes"), json({"green", "red"}));
  EXPECT_EQ(run.at("data").at("train").at("content"), "8 images (green 4, red 4)") << "two show both, two none";
  EXPECT_EQ(json_of(folder / "run/test.json").at("test_images"), 8);
  train(folder / "off", with(options, {{"--none-class", "off"}}));
  EXPECT_EQ(json_of(folder / "off/test.json").at("test_images"), 6) << "those of none are left out";
  train(folder / "single", with(options, {{"--task", "single-label"}}));
  EXPECT_EQ(json_of(folder / "single/run.json").at("data").at("train").at("content"),
            "8 images (green 2, red 4, none 2)");
  EXPECT_NE(json_of(folder / "single/run.json").at("data").at("train").at("identity"),
            run.at("data").at("train").at("identity"));
  const Outcome evaluated = run_program(
      "evaluate",
      {{"--checkpoint", folder / "run/best.safetensors"}, {"--json", folder / "numbers.json"}, {"--threads", "1"}});
  ASSERT_EQ(evaluated.status, 0) << evaluated.err;
  EXPECT_EQ(json_of(folder / "numbers.json").at("test").at("mean_average_precision"),
            json_of(folder / "run/test.json").at("test_mean_average_precision"));
}

TEST(SeveralLabelsOfFiles, ALabelWithoutItsBoxIsRefused) {
  const TemporaryFolder folder;
  write_table(folder, "late.png,red,,,,,train\n");
  expect_refused(run_program("train", with(tiny_run(), {{"--task", "multi-label"},
                                                        {"--data", "csv:" + (folder / "table.csv")},
                                                        {"--train-images", "0"},
                                                        {"--val-images", "0"},
                                                        {"--test-images", "0"},
                                                        {"--output", folder / "run"}})),
                 1, {"the class of late.png is known without a box"});
}

}  // namespace
}  // namespace boxcam
