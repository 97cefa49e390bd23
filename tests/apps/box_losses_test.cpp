// Losses beside the penalty that read boxes, in training steps and in the program: with which readings and options they
// go, and that what is off changes no bit.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <sstream>

#include "apps/train_step.h"
#include "engine/base/random.h"
#include "models/resnet.h"
#include "tests/programs.h"

namespace boxcam {
namespace {

using Teaches = Reading::Teaches;
using nlohmann::json;

constexpr int64_t kClasses = 4, kBatch = 4, kSize = 32;

/// Four random images of four classes, in f64; all but the last have a box.
StepInput random_input() {
  Random random(1, stream_of("box_losses_test"));
  std::vector<double> pixels(kBatch * kSize * kSize * 3);
  for (double& v : pixels) v = random.uniform(-2, 2);
  const BoxLists boxes = {{{2, 4, 14, 20}}, {{10, 10, 30, 30}}, {{0, 0, 9, 31}}, {}};
  return {Tensor::from({kBatch, kSize, kSize, 3}, pixels),
          Tensor::from({kBatch}, std::vector<int32_t>{0, 1, 2, 3}),
          boxes,
          boxes,
          {"first", "second", "third", "fourth"}};
}

ResNet fresh() { return ResNet(resnet_config("resnet-mini"), kClasses, DType::f64); }

/// The gradients that the optimiser gets, one vector.
std::vector<double> gradients_of(const Method& method, StepReport* terms = nullptr) {
  ResNet CL = fresh();
  Metrics metrics(kClasses);
  std::vector<double> all;
  const StepReport found = TrainStep(CL, method, {})(random_input(), 0, metrics, {[&](int number, const Step& step) {
                                                       if (number != 6) return;
                                                       for (const Tensor& g : step.gradients)
                                                         for (const double v : g.to_vector()) all.push_back(v);
                                                     }});
  if (terms) *terms = found;
  return all;
}

std::vector<Method> readings() {
  const auto method = [](Teaches teaches, bool copy, Reading::BatchNorm batch_norm, const std::string& tap) {
    Method m;
    m.explain.taps = {tap};
    m.penalty.lambda = 5;
    m.reading = {.teaches = teaches,
                 .cam_model = copy ? Reading::CamModel::copy : Reading::CamModel::shared,
                 .batch_norm = batch_norm};
    return m;
  };
  using BN = Reading::BatchNorm;
  return {method(Teaches::full, false, BN::train, "layer4"),       method(Teaches::full, false, BN::train, "layer3"),
          method(Teaches::activations, false, BN::eval, "layer3"), method(Teaches::constant, true, BN::eval, "layer4"),
          method(Teaches::transfer, true, BN::eval, "layer2"),     method(Teaches::leak, false, BN::train, "layer4")};
}

// The split is of the classifier's own pass: it adds the same to the gradient in every reading and at every tap.
TEST(EvidenceSplitStep, AddsTheSameGradientInEveryReading) {
  std::vector<double> reference;
  StepReport first;
  for (const Method& without : readings()) {
    Method with = without;
    with.evidence_split = 0.7;
    StepReport terms;
    const std::vector<double> a = gradients_of(without), b = gradients_of(with, &terms);
    double largest = 0;
    std::vector<double> added(a.size());
    for (size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(added[i] = b[i] - a[i]));
    EXPECT_GT(largest, 1e-3);
    if (reference.empty()) reference = added, first = terms;
    for (size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(added[i], reference[i], 1e-12 * (1 + std::abs(b[i]))) << i;
    EXPECT_EQ(terms.evidence_cross_entropy, first.evidence_cross_entropy);
    EXPECT_EQ(terms.evidence_penalty, first.evidence_penalty);
    EXPECT_GT(terms.evidence_penalty, 0);
  }
}

TEST(EvidenceSplitProgram, TrainsRepeatsAndReportsBothTermsInTheLoss) {
  const TemporaryFolder folder;
  const Arguments options = {{"--evidence-split", "0.5"}, {"--lambda", "2"}, {"--boxes", "shuffled"}};
  train(folder / "a", options);
  train(folder / "b", options);
  EXPECT_TRUE(bytes_of(folder / "a/checkpoint.safetensors") == bytes_of(folder / "b/checkpoint.safetensors"));
  const json epoch = epochs_of(folder / "a").back();
  const auto value = [&](const char* key) { return epoch.at(key).get<double>(); };
  EXPECT_NEAR(value("loss"),
              value("cross_entropy") + 2 * value("penalty") + 0.5 * value("evidence_cross_entropy") +
                  0.5 * value("evidence_penalty"),
              1e-9);
  train(folder / "plain", {{"--lambda", "2"}, {"--boxes", "shuffled"}});
  EXPECT_FALSE(bytes_of(folder / "a/last.safetensors") == bytes_of(folder / "plain/last.safetensors"));
  EXPECT_FALSE(epochs_of(folder / "plain").back().contains("evidence_penalty"));
}

TEST(EvidenceSplitProgram, TrainsInBf16) {
  if (!cpu_has_bf16()) GTEST_SKIP() << "no bf16 on this processor, or no oneDNN";
  const TemporaryFolder folder;
  const Arguments options = {{"--evidence-split", "1"}, {"--precision", "bf16"}};
  train(folder / "a", options);
  train(folder / "b", options);
  EXPECT_TRUE(bytes_of(folder / "a/checkpoint.safetensors") == bytes_of(folder / "b/checkpoint.safetensors"));
  EXPECT_GT(epochs_of(folder / "a")[0]["evidence_penalty"].get<double>(), 0);
}

TEST(BackgroundSwapProgram, RepeatsBitForBitFromImagesAndFromAPackedFile) {
  const TemporaryFolder folder;
  write_photographs(folder);
  const Arguments data = {{"--data", "open-images:" + folder.path().string()},
                          {"--train-images", "0"},
                          {"--val-images", "0"},
                          {"--test-images", "0"},
                          {"--image-size", "32"}};
  const Outcome packed = run_program("prepare", with(data, {{"--output", folder / "all.packed"}}));
  ASSERT_EQ(packed.status, 0) << packed.err;
  const Arguments options = {{"--background-swap", "0.5"}, {"--evidence-split", "1"}, {"--augment", "flip"}};
  train(folder / "a", with(data, options));
  train(folder / "b", with(with(data, options), {{"--data", "packed:" + folder / "all.packed"}}));
  EXPECT_TRUE(bytes_of(folder / "a/last.safetensors") == bytes_of(folder / "b/last.safetensors"));
  const double swapped = epochs_of(folder / "a")[0]["swapped"];
  EXPECT_TRUE(swapped > 0.1 && swapped < 0.9) << swapped;
  train(folder / "plain", with(data, with(options, {{"--background-swap", "0"}})));
  EXPECT_FALSE(bytes_of(folder / "a/last.safetensors") == bytes_of(folder / "plain/last.safetensors"));
  EXPECT_FALSE(epochs_of(folder / "plain")[0].contains("swapped"));
}

TEST(BackgroundSwapProgram, TheWalkthroughShowsTheSwappedBatch) {
  Arguments options = with(tiny_run(), {{"--background-swap", "1"}});
  options.erase("--val-images"), options.erase("--test-images");
  const Outcome walk = run_program("walkthrough", options);
  EXPECT_EQ(walk.status, 0) << walk.err;
  EXPECT_TRUE(contains(walk.out, "have the ground of another image"));
  const Outcome more =
      run_program("walkthrough", with(options, {{"--swap-consistency", "1"}, {"--context-only", "1"}}));
  EXPECT_EQ(more.status, 0) << more.err;
  EXPECT_TRUE(contains(more.out, "loss = CE + λ P + w KL + v CE_out."));
}

/// Labels alone.
class Labels : public Dataset {
 public:
  explicit Labels(std::vector<int64_t> labels) : labels_(std::move(labels)) {}
  int64_t size() const override { return static_cast<int64_t>(labels_.size()); }
  Sample load(int64_t) const override { return {}; }
  int64_t label(int64_t index) const override { return labels_[static_cast<size_t>(index)]; }
  const std::vector<std::string>& classes() const override {
    static const std::vector<std::string> names = {"a", "b", "c", "none"};
    return names;
  }
  std::string describe() const override { return "labels"; }
  std::string identity() const override { return "labels"; }

 private:
  std::vector<int64_t> labels_;
};

TEST(ClassBalance, WeighsByTheInverseFrequencyOfTheClassesThatOccur) {
  const std::vector<double> weights = balancing_weights(Labels({0, 0, 0, 1, 0, 0, 0, 1, 3, 3}));
  EXPECT_EQ(weights, (std::vector<double>{10.0 / (3 * 6), 10.0 / (3 * 2), 0, 10.0 / (3 * 2)}));
  EXPECT_NEAR((6 * weights[0] + 2 * weights[1] + 2 * weights[3]) / 10, 1, 1e-15);
}

// Both cross-entropies are weighed, by hand; the penalty and what is reported of each image are not.
TEST(ClassBalance, WeighsBothCrossEntropiesOfAStep) {
  Method method;
  method.evidence_split = 0.5;
  StepReport plain, balanced;
  gradients_of(method, &plain);
  ResNet CL = fresh();
  Metrics metrics(kClasses);
  method.class_weights = {0.5, 2, 0, 3};
  double expected = 0, inside = 0;
  balanced = TrainStep(CL, method, {})(
      random_input(), 0, metrics, {[&](int number, const Step& step) {
        if (number != 5) return;
        const auto each = step.cross_entropies.to_vector();
        const auto in = evidence_cross_entropies(step.evidence, CL.head_bias(), random_input().labels).to_vector();
        for (size_t n = 0; n < 4; ++n) {
          expected += method.class_weights[n] * each[n] / 4;
          if (n < 3) inside += method.class_weights[n] * in[n] / 3;
        }
      }});
  EXPECT_NEAR(balanced.cross_entropy, expected, 1e-12);
  EXPECT_NEAR(balanced.evidence_cross_entropy, inside, 1e-12);
  EXPECT_EQ(balanced.evidence_penalty, plain.evidence_penalty);
  EXPECT_EQ(balanced.penalty, plain.penalty);
  EXPECT_GT(std::abs(balanced.cross_entropy - plain.cross_entropy), 1e-3);
}

TEST(ClassBalance, TheProgramTakesTheWeightsOfItsTrainingSplit) {
  const TemporaryFolder folder;
  train(folder / "on", {{"--class-balance", "on"}, {"--train-images", "33"}});
  train(folder / "off", {{"--train-images", "33"}});
  EXPECT_FALSE(bytes_of(folder / "on/last.safetensors") == bytes_of(folder / "off/last.safetensors"));
  EXPECT_EQ(json::parse(bytes_of(folder / "on/run.json"))["options"]["class-balance"], "on");
}

// ---- swap consistency and context only: passes of their own ---------------------------------------------------------

/// random_input with other pictures for what a term compares with, or teaches.
StepInput input_with(bool unswapped, bool hidden, int64_t none) {
  StepInput input = random_input();
  const Tensor other = relu(-input.x);  // batch norm would undo a change of brightness or contrast
  if (unswapped) input.unswapped = other, input.swapped = {1, 0, 1, 0};
  if (hidden) input.hidden = other, input.hides = {1, 1, 0, 0};
  input.none = none;
  return input;
}

struct Terms {
  StepReport report;
  std::vector<Tensor> gradients, statistics;
};

Terms terms_of(const Method& method, const StepInput& input) {
  ResNet CL = fresh();
  Metrics metrics(kClasses);
  Terms found;
  found.report = TrainStep(CL, method, {})(input, 0, metrics, {[&](int number, const Step& step) {
                                             if (number == 6) found.gradients = step.gradients;
                                           }});
  for (const NamedTensor& t : CL.named_tensors())
    if (t.role == NamedTensor::Role::buffer) found.statistics.push_back(t.tensor);
  return found;
}

/// Of classes: the logarithm of the softmax of a row.
std::vector<double> log_probabilities(const Tensor& logits, int64_t row) {
  const auto all = logits.to_vector();
  std::vector<double> y(all.begin() + row * kClasses, all.begin() + (row + 1) * kClasses);
  double total = 0;
  for (const double v : y) total += std::exp(v);
  for (double& v : y) v -= std::log(total);
  return y;
}

Tensor logits_of(const Tensor& x) {
  const NoGrad data;
  return fresh().forward(x, ForwardOptions::observing(Mode::train)).logits;
}

/// Expects `with` to have the same running statistics as `without`, and gradients that differ by those of `term`.
void expect_added(const Terms& without, const Terms& with, const Tensor& term, ResNet& model) {
  const std::vector<Tensor> expected = grad({term}, model.parameters());
  double largest = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const auto e = expected[i].to_vector(), a = without.gradients[i].to_vector(), b = with.gradients[i].to_vector();
    for (size_t j = 0; j < e.size(); ++j) {
      ASSERT_NEAR(b[j] - a[j], e[j], 1e-12 * (1 + std::abs(b[j])));
      largest = std::max(largest, std::abs(e[j]));
    }
  }
  EXPECT_GT(largest, 1e-4);
  for (size_t i = 0; i < with.statistics.size(); ++i)
    EXPECT_EQ(with.statistics[i].to_vector(), without.statistics[i].to_vector());
}

TEST(SwapConsistency, IsTheDivergenceFromTheUnswappedPictureWhichIsAConstant) {
  Method method;
  method.swap = {0.5, 2};
  const StepInput input = input_with(true, false, 3);
  const Terms with = terms_of(method, input), without = terms_of({}, random_input());
  const Tensor before = logits_of(input.unswapped), after = logits_of(input.x);
  double expected = 0;
  for (const int64_t n : {0, 2}) {
    const auto p = log_probabilities(before, n), q = log_probabilities(after, n);
    for (int64_t c = 0; c < kClasses; ++c) expected += std::exp(p[c]) * (p[c] - q[c]) / 2;
  }
  EXPECT_NEAR(with.report.swap_consistency, expected, 1e-12);
  EXPECT_GT(expected, 1e-3);
  // Its gradient is that of the cross-entropy with the constant f(x) for the target.
  ResNet model = fresh();
  const Tensor q = log_softmax(model.forward(input.x, ForwardOptions::observing(Mode::train)).logits);
  const Tensor marks = Tensor::from({4, 1}, std::vector<double>{0.5, 0, 0.5, 0});
  expect_added(without, with, -2.0 * sum(marks * softmax(before) * q), model);
}

TEST(ContextOnly, TeachesNoneOrNoClassRatherThanAnother) {
  Method method;
  method.context.weight = 0.5;
  const Terms without = terms_of({}, random_input());
  for (const int64_t none : {int64_t{3}, int64_t{-1}}) {
    const StepInput input = input_with(false, true, none);
    const Terms with = terms_of(method, input);
    const Tensor y = logits_of(input.hidden);
    double expected = 0;
    for (const int64_t n : {0, 1}) {
      const auto p = log_probabilities(y, n);
      for (int64_t c = 0; c < kClasses; ++c) expected -= p[c] * (none < 0 ? 0.25 : c == none) / 2;
    }
    EXPECT_NEAR(with.report.context_only, expected, 1e-12) << none;
    ResNet model = fresh();
    const Tensor p = log_softmax(model.forward(input.hidden, ForwardOptions::observing(Mode::train)).logits);
    const Tensor target =
        none < 0 ? Tensor::full({4, 4}, 0.25, DType::f64) : one_hot(Tensor::full({4}, 3, DType::i32), 4, DType::f64);
    const Tensor marks = Tensor::from({4, 1}, std::vector<double>{0.5, 0.5, 0, 0});
    expect_added(without, with, -0.5 * sum(marks * target * p), model);
  }
}

TEST(ContextOnly, TheProgramRepeatsWithEveryFillAndReportsItsTerms) {
  const TemporaryFolder folder;
  for (const std::string fill : {"blur", "surroundings", "mean"}) {
    const Arguments options = {{"--context-only", "0.25"},     {"--context-fill", fill}, {"--background-swap", "0.5"},
                               {"--swap-consistency", "0.75"}, {"--lambda", "2"},        {"--epochs", "1"}};
    train(folder / ("a-" + fill), options);
    train(folder / ("b-" + fill), options);
    EXPECT_TRUE(bytes_of(folder / ("a-" + fill + "/checkpoint.safetensors")) ==
                bytes_of(folder / ("b-" + fill + "/checkpoint.safetensors")));
    const json epoch = epochs_of(folder / ("a-" + fill))[0];
    const auto value = [&](const char* key) { return epoch.at(key).get<double>(); };
    EXPECT_GT(value("context_only"), 0);
    EXPECT_GT(value("swap_consistency"), 0);
    EXPECT_NEAR(
        value("loss"),
        value("cross_entropy") + 2 * value("penalty") + 0.25 * value("context_only") + 0.75 * value("swap_consistency"),
        1e-9);
  }
  EXPECT_FALSE(bytes_of(folder / "a-blur/last.safetensors") == bytes_of(folder / "a-mean/last.safetensors"));
}

TEST(BoxLosses, RefusedPairsSayWhy) {
  struct Pair {
    Arguments options;
    std::string sentence;
  };
  const std::vector<Pair> pairs = {
      {{{"--thesis", ""}, {"--evidence-split", "1"}}, "--evidence-split: contradicts --thesis"},
      {{{"--thesis", ""}, {"--class-balance", "on"}}, "--class-balance: contradicts --thesis"},
      {{{"--thesis", ""}, {"--background-swap", "0.5"}}, "--background-swap: contradicts --thesis"},
      {{{"--thesis", ""}, {"--context-only", "1"}}, "--context-only: contradicts --thesis"},
      {{{"--boxes", "none"}, {"--context-only", "1"}}, "--boxes: none does not go with --context-only"},
      {{{"--swap-consistency", "1"}}, "--swap-consistency: belongs to --background-swap, which is off"},
      {{{"--context-fill", "mean"}}, "--context-fill: belongs to --context-only, which is off"},
      {{{"--boxes", "none"}, {"--evidence-split", "1"}}, "--boxes: none does not go with --evidence-split"},
      {{{"--boxes", "none"}, {"--background-swap", "1"}}, "--boxes: none does not go with --background-swap"},
  };
  const TemporaryFolder folder;
  for (const Pair& pair : pairs) {
    const Outcome result = run_program("train", with(with(tiny_run(), pair.options), {{"--output", folder / "run"}}));
    EXPECT_EQ(result.status, 2) << pair.sentence;
    EXPECT_TRUE(contains(result.err, "train: " + pair.sentence));
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    EXPECT_FALSE(std::filesystem::exists(folder / "run"));
  }
}

/// A network whose last tap is not what its head pools.
class EarlyTaps : public ResNet {
 public:
  EarlyTaps() : ResNet(resnet_config("resnet-mini"), kClasses) {}
  Tensor head_of(const std::string&) const override { return {}; }
};

TEST(BoxLosses, ASplitNeedsPoolingAndALinearHead) {
  EarlyTaps model;
  Method method;
  method.evidence_split = 1;
  try {
    TrainStep(model, method, {});
    FAIL();
  } catch (const Error& e) {
    EXPECT_TRUE(contains(e.what(), "--evidence-split: the tap layer4 of resnet-mini does not go through pooling"));
  }
}

TEST(BoxLosses, TheWalkthroughTellsOfTheSplitWhereThereIsOne) {
  Arguments options = with(tiny_run(), {{"--evidence-split", "1"}});
  options.erase("--val-images"), options.erase("--test-images");
  const Outcome with_split = run_program("walkthrough", options);
  EXPECT_EQ(with_split.status, 0) << with_split.err;
  EXPECT_TRUE(contains(with_split.out, "loss = CE + λ P + ½ CE_in + μ V_out."));
  options.erase("--evidence-split");
  const Outcome without = run_program("walkthrough", options);
  EXPECT_EQ(without.status, 0) << without.err;
  EXPECT_FALSE(contains(without.out, "CE_in"));
}

}  // namespace
}  // namespace boxcam
