// --head-bias off: without a bias a picture that is classified right cannot have an empty CAM of the centred score at
// the head's tap, because sum_uv M = y_c - mean y, which is positive for the largest logit. And what is stored of it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/train_step.h"
#include "engine/base/random.h"
#include "models/models.h"
#include "nn/files/safetensors.h"
#include "tests/gradcheck.h"
#include "tests/programs.h"

namespace boxcam {
namespace {

constexpr int64_t kClasses = 4;

/// The largest value and the sum of each map.
struct Map {
  double largest = 0, sum = 0;
};
std::vector<Map> maps_of(const Tensor& M) {
  const auto values = M.to_vector();
  const size_t cells = values.size() / static_cast<size_t>(M.dim(0));
  std::vector<Map> maps(static_cast<size_t>(M.dim(0)));
  for (size_t i = 0; i < values.size(); ++i) {
    Map& map = maps[i / cells];
    map.largest = i % cells ? std::max(map.largest, values[i]) : values[i];
    map.sum += values[i];
  }
  return maps;
}

/// Checks the bound for the predicted classes of `logits`, and returns how many images it spoke of.
int expect_bound(const Tensor& M, const Tensor& logits) {
  const auto y = logits.to_vector();
  const auto maps = maps_of(M);
  const auto classes = static_cast<size_t>(logits.dim(1));
  for (size_t n = 0; n < maps.size(); ++n) {
    double largest = y[n * classes], total = 0;
    for (size_t c = 0; c < classes; ++c) largest = std::max(largest, y[n * classes + c]), total += y[n * classes + c];
    const double margin = largest - total / static_cast<double>(classes);
    EXPECT_NEAR(maps[n].sum, margin, 1e-10 * (1 + std::abs(margin)));
    EXPECT_GT(maps[n].largest, 0);  // M is positive somewhere: ReLU leaves something
  }
  return static_cast<int>(maps.size());
}

const CamOptions kCentered{.target = CamTarget::centered};

// Random activations of either sign, and heads: the bound needs no ReLU before the tap.
TEST(HeadBiasOff, NoPredictedClassHasAnEmptyMapOfRandomTensors) {
  int images = 0;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    const int64_t h = 2 + static_cast<int64_t>(seed % 4), w = 1 + static_cast<int64_t>(seed % 3);
    const Tensor A = random_tensor({5, h, w, 7}, seed, seed % 2 ? -1 : 0, 1);
    const Tensor W = random_tensor({2 + static_cast<int64_t>(seed % 5), 7}, seed + 1000);
    const Tensor logits = matmul(global_avg_pool(A), W, {.transpose_b = true});
    const Explanation e = explain_linear_head(W, reshape(argmax(logits), {5}), A, 8, 8, kCentered);
    images += expect_bound(e.raw[0], logits);
    for (const Map& cam : maps_of(e.cam)) EXPECT_GT(cam.largest, 0.5);
  }
  EXPECT_EQ(images, 1500);
}

TEST(HeadBiasOff, NoPredictedClassHasAnEmptyMapOfRandomNetworks) {
  for (const std::string name : {"resnet-mini", "plain-mini"})
    for (uint64_t seed = 0; seed < 5; ++seed)
      for (const Mode mode : {Mode::train, Mode::eval}) {
        const auto model = make_classifier(name, kClasses, DType::f64, seed);
        model->head_bias().copy_from(Tensor::zeros({kClasses}, DType::f64));
        const Tensor x = random_tensor({3, 48, 48, 3}, seed, -2, 2);
        ExplainOptions options{kCentered, {}, ExplainOptions::Class::predicted};
        settle_taps(options, *model);
        const Forward pass = explained_forward(*model, x, ForwardOptions::observing(mode), options);
        const Tensor labels = Tensor::from({3}, std::vector<int32_t>{0, 0, 0});
        ASSERT_GT(pass.taps.begin()->second.dim(1), 1);
        expect_bound(explain(*model, x, pass, labels, options).raw[0], pass.logits);
      }
}

// The way out that a bias leaves: a class can be predicted by it alone, against all evidence.
TEST(HeadBiasOn, AClassWithAPositiveCentredBiasCanBePredictedWithAnEmptyMap) {
  const Tensor A = random_tensor({1, 3, 3, 2}, 0, 0.1, 1), W = Tensor::from({2, 2}, std::vector<double>{-1, -1, 1, 1});
  const Tensor b = Tensor::from({2}, std::vector<double>{9, 0});
  const Tensor logits = matmul(global_avg_pool(A), W, {.transpose_b = true}) + b;
  const Tensor predicted = reshape(argmax(logits), {1});
  EXPECT_EQ(predicted.to_vector()[0], 0);
  EXPECT_LT(maps_of(explain_linear_head(W, predicted, A, 6, 6, kCentered).raw[0])[0].largest, 0);
}

/// Random images with a box each, but for the last.
StepInput random_input(uint64_t seed) {
  Random random(seed, stream_of("head_bias_test"));
  std::vector<float> pixels(4 * 32 * 32 * 3);
  for (float& v : pixels) v = static_cast<float>(random.uniform(-2, 2));
  const BoxLists boxes = {{{2, 4, 14, 20}}, {{10, 10, 30, 30}}, {{0, 0, 9, 31}}, {}};
  return {Tensor::from({4, 32, 32, 3}, pixels),
          Tensor::from({4}, std::vector<int32_t>{0, 1, 2, 3}),
          boxes,
          boxes,
          {"a", "b", "c", "d"}};
}

// One pass gives CAM and logits: whatever the penalty does in training, what is classified right keeps a CAM. The bias
// is exactly zero, under momentum, weight decay and either optimiser.
TEST(HeadBiasOff, TrainingKeepsTheBoundAndTheBiasAtZero) {
  for (const auto kind : {OptimizerOptions::Kind::sgd, OptimizerOptions::Kind::adamw}) {
    const auto CL = make_classifier("resnet-mini", kClasses, DType::f32, 3);
    Method method;
    method.explain.cam.target = CamTarget::centered;
    method.penalty.lambda = 30;
    method.head_bias = false;
    TrainStep step_of(*CL, method, {.kind = kind, .weight_decay = 0.1});
    Metrics metrics(kClasses);
    int right = 0;
    for (uint64_t n = 0; n < 12; ++n)
      step_of(random_input(n % 2), kind == OptimizerOptions::Kind::sgd ? 0.02 : 0.002, metrics,
              {[&](int number, const Step& step) {
                if (number != 7) return;
                const auto maps = maps_of(step.C);
                const auto predicted = predictions(step.cl.logits);
                for (int32_t image = 0; image < 4; ++image)
                  if (predicted[image] == image) {
                    ++right;
                    EXPECT_GT(maps[image].largest, 0) << "step " << n << ", image " << image;
                  }
              }});
    EXPECT_GT(right, 10);
    for (const double b : CL->head_bias().to_vector()) EXPECT_EQ(b, 0);
  }
}

TEST(HeadBiasOff, FilesHoldZerosAndEvaluateShowsEmptyCamsBesideTheCentredBias) {
  const TemporaryFolder folder;
  train(folder / "off", {{"--head-bias", "off"}, {"--lambda", "2"}, {"--cam-target", "centered"}});
  train(folder / "on", {{"--lambda", "2"}, {"--cam-target", "centered"}});
  for (const char* file : {"best.safetensors", "last.safetensors"})
    EXPECT_EQ(read_safetensors(folder / (std::string("off/") + file)).at("fc.bias").tensor.to_vector(),
              std::vector<double>(kClasses, 0));
  for (const std::string run : {"off", "on"}) {
    const Outcome measured = run_program("evaluate", {{"--checkpoint", folder / (run + "/last.safetensors")},
                                                      {"--test-images", "16"},
                                                      {"--split", "validation"},
                                                      {"--val-images", "16"},
                                                      {"--json", folder / (run + ".json")}});
    ASSERT_EQ(measured.status, 0) << measured.err;
    EXPECT_TRUE(contains(measured.out, "empty CAMs by class (centred bias): plane "));
    const auto split = nlohmann::json::parse(bytes_of(folder / (run + ".json"))).at("validation");
    double total = 0, size = 0;
    for (const auto& [name, bias] : split.at("centred_bias").items()) {
      total += bias.get<double>(), size += std::abs(bias.get<double>());
      EXPECT_TRUE(split.at("empty_cams_by_class").contains(name));
    }
    EXPECT_NEAR(total, 0, 1e-6);
    EXPECT_EQ(size == 0, run == "off");
    EXPECT_TRUE(split.at("empty_cams_by_class").at("none").is_null());  // no image of it has a box
    EXPECT_EQ(nlohmann::json::parse(bytes_of(folder / (run + "/test.json"))).at("centred_bias").size(), 4u);
  }
}

TEST(HeadBiasOff, ContradictsTheThesis) {
  const TemporaryFolder folder;
  const Outcome result =
      run_program("train", with(tiny_run(), {{"--thesis", ""}, {"--head-bias", "off"}, {"--output", folder / "run"}}));
  EXPECT_EQ(result.status, 2);
  EXPECT_TRUE(contains(result.err, "train: --head-bias: contradicts --thesis"));
}

}  // namespace
}  // namespace boxcam
