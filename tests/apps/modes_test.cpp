// What docs/method.md says of the readings of the penalty, shown on real training steps.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>

#include "apps/train_step.h"
#include "engine/base/random.h"
#include "models/resnet.h"
#include "tests/programs.h"
#include "xai/boxes.h"
#include "xai/losses.h"

namespace boxcam {
namespace {

using Teaches = Reading::Teaches;
using BN = Reading::BatchNorm;

constexpr int64_t kClasses = 4, kBatch = 4, kSize = 32;

ResNet fresh() { return ResNet(resnet_config("resnet-mini"), kClasses); }

/// Four random images of four classes; all but the last have a box.
StepInput random_input(uint64_t seed) {
  Random random(seed, stream_of("modes_test"));
  std::vector<float> pixels(kBatch * kSize * kSize * 3);
  for (float& v : pixels) v = static_cast<float>(random.uniform(-2, 2));
  const std::vector<std::vector<Box>> boxes = {{{2, 4, 14, 20}}, {{10, 10, 30, 30}}, {{0, 0, 9, 31}}, {}};
  return {Tensor::from({kBatch, kSize, kSize, 3}, pixels),
          Tensor::from({kBatch}, std::vector<int32_t>{0, 1, 2, 3}),
          boxes,
          boxes,
          {"first", "second", "third", "fourth"}};
}

struct Setup {
  Teaches gradient = Teaches::constant;
  double lambda = 0;
  bool copy = false;
  BN batch_norm = BN::eval;
  std::vector<std::string> taps = {"layer4"};
  bool transfer_activations = false;
};

struct Trained {
  ResNet model;
  double penalty;  ///< of the last step
};

/// A fresh network after some steps of SGD with momentum.
Trained trained(const Setup& r, int steps = 3, double learning_rate = 0.05) {
  Method method;
  method.explain.taps = r.taps;
  method.penalty.lambda = r.lambda;
  method.reading = {.teaches = r.gradient,
                    .transfer = r.transfer_activations ? Reading::Transfer::activations : Reading::Transfer::full,
                    .cam_model = r.copy ? Reading::CamModel::copy : Reading::CamModel::shared,
                    .batch_norm = r.batch_norm};
  Trained result{fresh(), 0};
  TrainStep step_of(result.model, method, {});
  Metrics metrics(kClasses);
  for (int step = 0; step < steps; ++step)
    result.penalty = step_of(random_input(static_cast<uint64_t>(step)), learning_rate, metrics).penalty;
  return result;
}

/// Parameters, running statistics and counters, bit for bit.
bool same(const ResNet& a, const ResNet& b) {
  const auto ours = a.named_tensors(), theirs = b.named_tensors();
  for (size_t i = 0; i < ours.size(); ++i)
    if (std::memcmp(ours[i].tensor.raw_data(), theirs[i].tensor.raw_data(), ours[i].tensor.bytes()) != 0) return false;
  return true;
}

bool same_parameters(const ResNet& a, const ResNet& b) {
  const auto ours = a.parameters(), theirs = b.parameters();
  for (size_t i = 0; i < ours.size(); ++i)
    if (std::memcmp(ours[i].raw_data(), theirs[i].raw_data(), ours[i].bytes()) != 0) return false;
  return true;
}

double norm(const std::vector<Tensor>& tensors) {
  double square = 0;
  for (const Tensor& t : tensors)
    for (const double v : t.to_vector()) square += v * v;
  return std::sqrt(square);
}

// (a) To the letter, lambda reaches no weight: not with a copy, not without, in neither batch-norm mode.
TEST(Constant, LeavesTheSameWeightsForEveryLambda) {
  const ResNet reference = trained({}).model;
  EXPECT_FALSE(same(reference, fresh()));
  for (const bool copy : {false, true})
    for (const BN batch_norm : {BN::train, BN::eval})
      for (const double lambda : {0.0, 1.0, 10.0, 25.0})
        for (const char* tap : {"layer3", "layer4"}) {
          const Trained run = trained({Teaches::constant, lambda, copy, batch_norm, {tap}});
          EXPECT_TRUE(same(run.model, reference)) << "copy " << copy << ", lambda " << lambda << ", tap " << tap;
          EXPECT_GT(run.penalty, 0.01);
        }
  EXPECT_FALSE(same(trained({Teaches::full, 1}).model, reference));
}

// (b) What the copy's gradients teach is what the classifier's own CAM in eval mode teaches.
TEST(Transfer, EqualsSharedFullEvalBitForBit) {
  for (const std::vector<std::string>& taps : {std::vector<std::string>{"layer4"}, {"layer3"}, {"layer3", "layer4"}}) {
    const ResNet transfer = trained({Teaches::transfer, 10, true, BN::eval, taps}).model;
    EXPECT_TRUE(same(transfer, trained({Teaches::full, 10, false, BN::eval, taps}).model)) << taps.size();
    EXPECT_FALSE(same(transfer, trained({Teaches::constant, 10, true, BN::eval, taps}).model));

    const ResNet part = trained({Teaches::transfer, 10, true, BN::eval, taps, true}).model;
    EXPECT_TRUE(same(part, trained({Teaches::activations, 10, false, BN::eval, taps}).model)) << taps.size();
    EXPECT_FALSE(same(part, transfer));
  }
}

TEST(Transfer, TheProgramGivesTheSameFilesAsSharedFullEval) {
  const TemporaryFolder folder;
  train(folder / "transfer", {{"--penalty-gradient", "transfer"}, {"--lambda", "5"}});
  train(folder / "shared", {{"--cam-batch-norm", "eval"}, {"--lambda", "5"}});
  for (const char* file : {"/best.safetensors", "/last.safetensors"})
    EXPECT_TRUE(bytes_of(folder / "transfer" + file) == bytes_of(folder / "shared" + file)) << file;
  const auto options = nlohmann::json::parse(bytes_of(folder / "transfer/run.json"))["options"];
  EXPECT_EQ(options["cam-model"], "copy");
  EXPECT_EQ(options["cam-batch-norm"], "eval");
}

/// The mean logit of the images' own classes.
double labelled_logit(ResNet model, const StepInput& input) {
  const NoGrad data;
  const Forward pass = model.forward(input.x, {Mode::eval, false});
  return mean(take_at(pass.logits, reshape(input.labels, {kBatch, 1}))).item();
}

// (c) The gradient that Grad-CAM leaves behind is one of the scores: following it down lowers the labelled logit.
TEST(Leak, ChangesTheWeightsAtLambdaZeroAndLowersTheLabelledLogit) {
  for (const BN batch_norm : {BN::train, BN::eval}) {
    const ResNet clean = trained({Teaches::constant, 0, false, batch_norm}, 1, 1e-3).model;
    const ResNet leaked = trained({Teaches::leak, 0, false, batch_norm}, 1, 1e-3).model;
    EXPECT_FALSE(same_parameters(clean, leaked));
    EXPECT_TRUE(same(leaked, trained({Teaches::leak, 25, false, batch_norm}, 1, 1e-3).model));

    const double before = labelled_logit(fresh(), random_input(0));
    const double with_leak = labelled_logit(leaked, random_input(0));
    const double without = labelled_logit(clean, random_input(0));
    std::printf("    labelled logit: %.4f, a step later %.4f, with the leak %.4f\n", before, without, with_leak);
    EXPECT_LT(with_leak, without);
  }
}

constexpr double kEpsilon = 1e-7;  // the normaliser's

/// P of one map M [1, h, w], and how it answers to scaling M.
struct Scaling {
  double penalty, derivative;  ///< P; sum M dP/dM, the derivative of P(s M) by s at s = 1
  double minimum, range;       ///< of the map that the last min-max is given
  double outside;              ///< share of the pixels outside the box
};
Scaling scaling(const std::vector<double>& cells, CamProfile profile, CamNormalizer normalizer) {
  constexpr int64_t kSide = 7, kPixels = 8 * kSide;
  Tensor M = Tensor::from({1, kSide, kSide}, cells);
  M.set_requires_grad();
  const Tensor B = box_masks({{{3, 5, 30, 40}}}, kPixels, kPixels, 0, DType::f64);
  const Tensor P = box_penalty(normalize_cam({M}, kPixels, kPixels, profile, normalizer), B);
  const Tensor rectified = relu(M.detach());
  const Tensor small = profile == CamProfile::paper ? rectified : scale_cam(rectified, normalizer);
  const auto large = bilinear_resize(small, kPixels, kPixels).to_vector();
  const auto [low, high] = std::minmax_element(large.begin(), large.end());
  return {P.item(), sum(M.detach() * grad({P}, {M})[0]).item(), *low, *high - *low, 1 - mean(B).item()};
}

std::vector<double> cells_between(int64_t count, double low, double high, uint64_t seed) {
  Random random(seed, stream_of("cells"));
  std::vector<double> cells(count);
  for (double& v : cells) v = random.uniform(low, high);
  return cells;
}

// (d) P(s M) = P(M) for a differentiated normaliser, but for its epsilon e: a min-max over a range r leaves e / (e + r)
// of P, and two leave the product. That is below 1e-6 P with one and 1e-13 P with two; 1e-14 is left to rounding.
TEST(Normalizer, DifferentiatedCanOnlyMoveMass) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const std::vector<double> cells = cells_between(49, seed % 2 ? -1 : 0.25, 1, seed);  // rectified ones, and none
    for (const CamProfile profile : {CamProfile::pgc_1_4, CamProfile::pgc_1_3_1}) {
      const Scaling s = scaling(cells, profile, CamNormalizer::differentiated);
      EXPECT_GT(s.penalty, 0.05);
      EXPECT_NEAR(s.derivative, 0, 1e-13);
    }
    const Scaling paper = scaling(cells, CamProfile::paper, CamNormalizer::differentiated);
    EXPECT_NEAR(paper.derivative, 0, 1e-6);
    EXPECT_NEAR(paper.derivative, paper.penalty * kEpsilon / (kEpsilon + paper.range), 1e-14);
  }
}

// With minimum and maximum held constant and both minima zero, P(s M) = s P(M): the penalty can also be met by making
// activations small. A rectified cell makes the first minimum zero. The second is taken after the resize, whose pixels
// mix a lone cell of the interior with its neighbours: it is zero for a block of cells, or a corner.
TEST(Normalizer, ConstantEqualsThePenaltyWhereCellsAreRectified) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const std::vector<double> positive = cells_between(49, 0.25, 1, seed);
    const auto rectifying = [&](const std::vector<int>& which) {
      std::vector<double> cells = positive;
      for (const int i : which) cells[i] = -1;
      return scaling(cells, CamProfile::pgc_1_4, CamNormalizer::constant);
    };
    const Scaling none = rectifying({});
    EXPECT_GT(none.derivative, none.penalty + 0.01);
    for (const auto& which : {std::vector<int>{24, 25, 31, 32}, {0}}) {
      const Scaling s = rectifying(which);
      EXPECT_EQ(s.minimum, 0);
      EXPECT_NEAR(s.derivative, s.penalty, 1e-14);
    }
    const Scaling lone = rectifying({24});
    EXPECT_GT(lone.minimum, 1e-3);
    EXPECT_NEAR(lone.derivative, lone.penalty + lone.outside * lone.minimum / (kEpsilon + lone.range), 1e-14);
  }
}

// Who looks on, and asks for taps that nothing else needs, changes no bit: parameters, statistics, penalty.
TEST(Watching, ChangesNoBit) {
  const std::vector<Method> methods = [] {
    const auto method = [](Teaches teaches, bool copy, BN batch_norm, const std::string& tap) {
      Method m;
      m.explain.taps = {tap};
      m.penalty.lambda = 5;
      m.reading.teaches = teaches;
      m.reading.cam_model = copy ? Reading::CamModel::copy : Reading::CamModel::shared;
      m.reading.batch_norm = batch_norm;
      return m;
    };
    return std::vector{
        method(Teaches::full, false, BN::train, "layer3"), method(Teaches::full, false, BN::eval, "layer4.0"),
        method(Teaches::constant, true, BN::eval, "layer4.0"), method(Teaches::transfer, true, BN::eval, "layer2"),
        method(Teaches::leak, false, BN::train, "layer4")};
  }();
  for (size_t i = 0; i < methods.size(); ++i) {
    std::vector<ResNet> models;
    std::vector<double> penalties;
    for (const bool watched : {false, true}) {
      ResNet CL = fresh();
      TrainStep step(CL, methods[i], {});
      Metrics metrics(kClasses);
      int calls = 0;
      StepWatch watch;
      if (watched) watch = {[&](int, const Step&) { ++calls; }, {"conv1", "layer1.0.conv2", "layer4"}};
      for (uint64_t n = 0; n < 3; ++n) penalties.push_back(step(random_input(n), 0.05, metrics, watch).penalty);
      EXPECT_EQ(calls, watched ? 24 : 0);
      models.push_back(CL.clone());
    }
    EXPECT_TRUE(same(models[0], models[1])) << "method " << i;
    for (int n = 0; n < 3; ++n) EXPECT_EQ(penalties[n], penalties[n + 3]) << "method " << i;
  }
}

// (e) A functional Grad-CAM leaves nothing behind: what the thesis' copy is for.
TEST(GradCamCalls, TenThousandLeaveNoTrace) {
  ResNetConfig config = resnet_config("resnet-mini");
  config.depths = {1, 1}, config.widths = {4, 4}, config.strides = {1, 1}, config.stem_width = 4;
  ResNet model(config, 3);
  model.forward(Tensor::full({2, 8, 8, 3}, 0.5), {Mode::train, true});  // running statistics of their own
  const ResNet before = model.clone();
  const StepInput images = random_input(0);
  const Tensor x = slice(slice(slice(images.x, 0, 0, 2), 1, 0, 8), 2, 0, 8);
  const Tensor labels = Tensor::from({2}, std::vector<int32_t>{2, 0});
  const size_t memory = memory_use().now;
  double mass = 0;
  for (int call = 0; call < 10000; ++call) {
    const Mode mode = call & 1 ? Mode::train : Mode::eval;
    const CamGradient gradient = call & 2 ? CamGradient::full : CamGradient::none;
    const CamOptions options{CamTarget::centered, CamNormalizer::differentiated, CamProfile::pgc_1_4, gradient};
    const Forward pass = model.forward(x, {mode, false}, {"layer1", "layer2"});
    mass += sum(call & 4 ? explain(pass.logits, labels, {pass.taps.at("layer1")}, 8, 8, options).cam
                         : explain_linear_head(model.head().weight, labels, pass.taps.at("layer2"), 8, 8, options).cam)
                .item();
  }
  EXPECT_GT(mass, 0);
  EXPECT_TRUE(same(model, before));
  EXPECT_EQ(memory_use().now, memory);
}

/// A network whose map of class 0 is (1 + slope w A) / (h w), w = 1: the first channel of layer4 is 1 everywhere, and
/// carries the class. All other classes' maps are as ever.
ResNet with_flat_class(double slope) {
  ResNet model = fresh();
  for (NamedTensor t : model.named_tensors()) {
    const auto set_first = [&](double value) {
      std::vector<double> values = t.tensor.to_vector();
      values[0] = value;
      t.tensor.copy_from(Tensor::from(t.tensor.shape(), values).to(t.tensor.dtype()));
    };
    if (t.name == "layer3.0.bn2.weight" || t.name == "layer3.0.downsample.1.weight" || t.name == "layer4.0.bn2.weight")
      set_first(0);
    if (t.name == "layer4.0.bn2.bias") set_first(1);
    if (t.name == "fc.weight") {
      std::vector<double> values = t.tensor.to_vector();
      for (int64_t k = 0; k < t.tensor.dim(1); ++k) values[k] = k == 0 ? 1 : slope;
      t.tensor.copy_from(Tensor::from(t.tensor.shape(), values).to(t.tensor.dtype()));
    }
  }
  return model;
}

struct FlatStep {
  ResNet model, before;
  double gradient = 0;  ///< its norm
  std::string error;    ///< empty where the step went through

  FlatStep(double slope, double lambda, bool has_flat_image, double clip = 0)
      : model(with_flat_class(slope)), before(model.clone()) {
    Method method;
    method.penalty.lambda = lambda;
    method.clip_grad_norm = clip;
    StepInput input = random_input(0);
    input.labels = Tensor::from({kBatch}, std::vector<int32_t>{1, 3, has_flat_image ? 0 : 2, 2});
    input.ids = {"plain-a", "plain-b", "the-flat-one", "plain-c"};
    TrainStep step_of(model, method, {});
    Metrics metrics(kClasses);
    try {
      step_of(input, 0.01, metrics, {[&](int number, const Step& step) {
                if (number == 6) gradient = norm(step.gradients);
              }});
    } catch (const Error& e) {
      error = e.what();
    }
  }
};

// (f) The normaliser's derivative grows as a map gets flat.
TEST(FlatMap, FiniteGradientsGrowAsTheMapGetsFlat) {
  const double plain = FlatStep(1e-2, 1, false).gradient;
  double last = plain;
  for (const double slope : {1e-3, 1e-4, 1e-5, 0.0}) {
    const FlatStep step(slope, 1, true);
    std::printf("    slope %.0e: norm of the gradient %.1e, without the flat image %.1e\n", slope, step.gradient,
                plain);
    EXPECT_EQ(step.error, "");
    EXPECT_TRUE(std::isfinite(step.gradient));
    EXPECT_GT(step.gradient, 3 * last);
    last = step.gradient;
  }
}

TEST(FlatMap, ClippingTheGradientKeepsTheStepSmall) {
  const FlatStep step(0, 1, true, 1);
  EXPECT_EQ(step.error, "");
  std::vector<Tensor> moved;
  const auto after = step.model.parameters(), before = step.before.parameters();
  for (size_t i = 0; i < after.size(); ++i) moved.push_back(after[i] - before[i]);
  EXPECT_GT(norm(moved), 0);
  EXPECT_LT(norm(moved), 0.011);  // learning rate times largest norm, and the weight decay
}

TEST(FlatMap, AStepThatIsNotFiniteNamesTheImageAndChangesNoParameter) {
  constexpr double kLambda = 1e28;  // at which only the flat map's gradient, 1e10 times the others', leaves f32
  const FlatStep plain(0, kLambda, false);
  EXPECT_EQ(plain.error, "");
  EXPECT_TRUE(std::isfinite(plain.gradient));

  const FlatStep flat(0, kLambda, true);
  EXPECT_TRUE(contains(flat.error, "step 0: the gradient of "));
  EXPECT_TRUE(contains(flat.error, "is not finite (the flattest Grad-CAM is that of image the-flat-one)"));
  EXPECT_TRUE(contains(flat.error, "--clip-grad-norm"));
  EXPECT_TRUE(same_parameters(flat.model, flat.before));
}

// Pairs of options that cannot go together.
TEST(Options, RefusedPairsSayWhy) {
  struct Pair {
    Arguments options;
    std::string option, reason;
  };
  const std::string no_way = "the copy's CAM cannot reach the classifier";
  const std::vector<Pair> pairs = {
      {{{"--cam-model", "copy"}, {"--penalty-gradient", "full"}}, "--penalty-gradient", no_way},
      {{{"--cam-model", "copy"}, {"--penalty-gradient", "activations"}}, "--penalty-gradient", no_way},
      {{{"--cam-model", "copy"}, {"--penalty-gradient", "weights"}}, "--penalty-gradient", no_way},
      {{{"--cam-model", "copy"}}, "--penalty-gradient", no_way},
      {{{"--cam-model", "copy"}, {"--penalty-gradient", "leak"}},
       "--penalty-gradient",
       "the copy is what keeps Grad-CAM's gradient out of the classifier's buffers"},
      {{{"--cam-model", "shared"}, {"--penalty-gradient", "transfer"}},
       "--cam-model",
       "whose gradient is taken on the copy"},
      {{{"--cam-batch-norm", "train"}, {"--penalty-gradient", "transfer"}},
       "--cam-batch-norm",
       "it implies --cam-model copy --cam-batch-norm eval"},
      {{{"--transfer-gradient", "activations"}}, "--transfer-gradient", "belongs to --penalty-gradient transfer"},
      {{{"--thesis", ""}, {"--cam-profile", "paper"}}, "--cam-profile", "contradicts --thesis"},
  };
  const TemporaryFolder folder;
  for (const Pair& pair : pairs) {
    const Outcome result = run_program("train", with(with(tiny_run(), pair.options), {{"--output", folder / "run"}}));
    EXPECT_EQ(result.status, 2);
    EXPECT_TRUE(contains(result.err, "train: " + pair.option + ": ")) << result.err;
    EXPECT_TRUE(contains(result.err, pair.reason));
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    EXPECT_FALSE(std::filesystem::exists(folder / "run"));
  }
}

}  // namespace
}  // namespace boxcam
