// Several labels a picture: the loss against its definition and PyTorch, with both derivatives; the mean over pairs;
// and mean average precision against its definition.
#include "xai/multi_label.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "engine/base/check.h"
#include "nn/files/safetensors.h"
#include "tests/gradcheck.h"
#include "xai/boxes.h"
#include "xai/explain.h"

namespace boxcam {
namespace {

using Values = std::vector<double>;

Tensor marks(const Shape& shape, const std::vector<int32_t>& values) { return Tensor::from(shape, values); }

const Tensor kPresent = marks({4, 3}, {1, 0, 1, 0, 0, 0, 1, 1, 1, 0, 1, 0});

TEST(SigmoidCrossEntropy, IsItsDefinition) {
  const Tensor y = random_tensor({4, 3}, 3, -4, 4);
  const Values logits = y.to_vector(), p = kPresent.to_vector(),
               losses = sigmoid_cross_entropies(y, kPresent).to_vector();
  ASSERT_EQ(losses.size(), 4u);
  for (size_t n = 0; n < 4; ++n) {
    double sum = 0;
    for (size_t i = 3 * n; i < 3 * n + 3; ++i) {
      const double s = 1 / (1 + std::exp(-logits[i]));
      sum -= p[i] * std::log(s) + (1 - p[i]) * std::log(1 - s);
    }
    EXPECT_NEAR(losses[n], sum / 3, 1e-14);
  }
}

TEST(SigmoidCrossEntropy, BothDerivativesAlsoAtZero) {
  for (const Tensor& y : {random_tensor({4, 3}, 3, -4, 4), Tensor::zeros({4, 3}, DType::f64)}) {
    const Function f = function([](const std::vector<Tensor>& in) { return sigmoid_cross_entropies(in[0], kPresent); });
    EXPECT_TRUE(check_first_order(f, {y}));
    EXPECT_TRUE(check_second_order(f, {y}));
  }
}

TEST(SigmoidCrossEntropy, IsExactFarFromZero) {
  const Tensor y = Tensor::from({1, 4}, Values{800, -800, 800, -800}).set_requires_grad();
  const Tensor loss = sigmoid_cross_entropies(y, marks({1, 4}, {1, 0, 0, 1}));
  EXPECT_EQ(loss.item(), 400);
  EXPECT_EQ(grad({loss}, {y})[0].to_vector(), (Values{0, 0, 0.25, -0.25}));
}

TEST(SigmoidCrossEntropy, AgreesWithPyTorch) {
  const TensorFile file =
      read_safetensors(std::string(BOXCAM_SOURCE_DIR) + "/tests/fixtures/parity/multi_label.safetensors");
  const auto tensor = [&](const char* name) { return file.at(name).tensor; };
  const auto expect_near = [](const Tensor& ours, const Tensor& theirs) {
    ASSERT_EQ(ours.shape(), theirs.shape());
    const Values a = ours.to_vector(), b = theirs.to_vector();
    for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-12);
  };
  Tensor y = tensor("logits");
  y.set_requires_grad();
  const Tensor losses = sigmoid_cross_entropies(y, tensor("present"));
  expect_near(losses, tensor("losses"));
  const Tensor gradient = grad({losses}, {y}, {.seeds = {tensor("seeds")}, .create_graph = true})[0];
  expect_near(gradient, tensor("gradient"));
  expect_near(grad({gradient}, {y}, {.seeds = {tensor("direction")}})[0], tensor("second"));

  const Values scores = y.to_vector(), present = tensor("present").to_vector(),
               precisions = tensor("precisions").to_vector();
  const std::vector<char> shows(present.begin(), present.end());
  const auto classes = static_cast<int64_t>(precisions.size());
  double sum = 0;
  for (const double precision : precisions) sum += precision;
  EXPECT_NEAR(mean_average_precision(scores, shows, classes), sum / static_cast<double>(classes), 1e-14);
}

TEST(MeanOverPairs, CountsEachPresentClassOnce) {
  const Tensor losses = Tensor::from({4, 3}, Values{1, 100, 2, 100, 100, 100, 3, 4, 5, 100, 6, 100});
  EXPECT_DOUBLE_EQ(mean_over_pairs(losses, kPresent).item(), (1 + 2 + 3 + 4 + 5 + 6) / 6.0);
  EXPECT_EQ(mean_over_pairs(losses, marks({4, 3}, std::vector<int32_t>(12, 0))).item(), 0);
  const Function f = function([](const std::vector<Tensor>& in) { return mean_over_pairs(in[0] * in[0], kPresent); });
  EXPECT_TRUE(check_first_order(f, {losses}));
  EXPECT_TRUE(check_second_order(f, {losses}));
}

constexpr int64_t kPictures = 4, kClasses = 3;

/// Of each class other boxes, and of the second none in the first picture.
std::vector<Tensor> class_masks() {
  std::vector<Tensor> masks;
  for (int q = 0; q < kClasses; ++q) {
    std::vector<std::vector<Box>> boxes(kPictures, {Box{1.0 + q, 1, 4.0 + q, 5}});
    if (q == 1) boxes[0].clear();
    masks.push_back(box_masks(boxes, 6, 8, 0, DType::f64));
  }
  return masks;
}

/// A tap that a square and pooling follow, so that the weights of its CAM depend on it.
Explanation explained(const Tensor& tap, const Tensor& classes, const Tensor& masks) {
  const Tensor W = random_tensor({kClasses, 4}, 12);
  const Tensor logits = matmul(global_avg_pool(tap * tap), W, {.transpose_b = true});
  return explain(logits, classes, {tap}, 6, 8, {.target = CamTarget::centered, .gradient = CamGradient::full},
                 {&cam_losses().front(), masks});
}

Tensor all_pair_losses(const Tensor& tap) {
  return pair_losses(kPresent, class_masks(),
                     [&](const Tensor& classes, const Tensor& B) { return explained(tap, classes, B).losses; });
}

// A pair's loss is what its picture alone gives when its class is explained.
TEST(PairLosses, AreThoseOfEachPairAlone) {
  Tensor tap = random_tensor({kPictures, 3, 3, 4}, 5, 0, 1);
  tap.set_requires_grad();
  const Values losses = all_pair_losses(tap).to_vector(), present = kPresent.to_vector();
  ASSERT_EQ(losses.size(), size_t{kPictures * kClasses});
  for (int64_t n = 0; n < kPictures; ++n)
    for (int64_t q = 0; q < kClasses; ++q) {
      const auto pair = static_cast<size_t>(n * kClasses + q);
      if (present[pair] == 0) {
        EXPECT_EQ(losses[pair], 0);
        continue;
      }
      Tensor one = slice(tap.detach(), 0, n, 1);
      one.set_requires_grad();
      const Tensor B = slice(class_masks()[static_cast<size_t>(q)], 0, n, 1);
      const double alone =
          explained(one, Tensor::from({1}, std::vector<int32_t>{static_cast<int32_t>(q)}), B).losses.item();
      EXPECT_NEAR(losses[pair], alone, 1e-12) << n << " " << q;
      EXPECT_GT(alone, 0) << n << " " << q;
    }
}

TEST(PairLosses, BothDerivativesOfTheirMean) {
  const Tensor tap = random_tensor({kPictures, 3, 3, 4}, 5, 0, 1);
  const Function f = function([](const std::vector<Tensor>& in) {
    const GradMode recorded(true);  // a CAM needs it, also where no derivative is asked for
    return mean_over_pairs(all_pair_losses(in[0] * in[0]), kPresent);
  });
  EXPECT_TRUE(check_first_order(f, {tap}));
  EXPECT_TRUE(check_second_order(f, {tap}));
}

TEST(PairLosses, ClassesThatNoPictureShowsAreNotExplained) {
  std::vector<Values> asked;
  const Tensor losses = pair_losses(marks({4, 3}, {0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0}), class_masks(),
                                    [&](const Tensor& classes, const Tensor&) {
                                      asked.push_back(classes.to_vector());
                                      return Tensor::full({4}, 2, DType::f64);
                                    });
  EXPECT_EQ(asked, (std::vector<Values>{{2, 2, 2, 2}}));
  EXPECT_EQ(losses.to_vector(), (Values{0, 0, 2, 0, 0, 0, 0, 0, 2, 0, 0, 0}));
}

TEST(MultiLabel, ShapesMustAgree) {
  EXPECT_THROW(pair_losses(kPresent, {class_masks()[0]}, {}), Error);
  for (const Tensor& present :
       {marks({4}, {1, 0, 1, 0}), marks({3, 4}, std::vector<int32_t>(12, 0)), Tensor::zeros({4, 3}, DType::f64)}) {
    EXPECT_THROW(sigmoid_cross_entropies(random_tensor({4, 3}, 1), present), Error);
    EXPECT_THROW(mean_over_pairs(random_tensor({4, 3}, 1), present), Error);
  }
}

/// For each picture that shows the class: of those that score as high or higher, how many show it.
double by_definition(const Values& scores, const std::vector<char>& shows) {
  double sum = 0, count = 0;
  for (size_t i = 0; i < scores.size(); ++i) {
    if (!shows[i]) continue;
    double above = 0, right = 0;
    for (size_t j = 0; j < scores.size(); ++j)
      if (scores[j] >= scores[i]) ++above, right += shows[j];
    sum += right / above, ++count;
  }
  return sum / count;
}

TEST(AveragePrecision, ByHand) {
  EXPECT_DOUBLE_EQ(average_precision(Values{.9, .8, .7, .6}, std::vector<char>{1, 0, 1, 0}), (1 + 2. / 3) / 2);
  EXPECT_EQ(average_precision(Values{.1, .9}, std::vector<char>{0, 1}), 1);
  EXPECT_EQ(average_precision(Values{.5, .5, .5, .5}, std::vector<char>{0, 1, 0, 0}), 0.25) << "a tie has no order";
  EXPECT_TRUE(std::isnan(average_precision(Values{.5}, std::vector<char>{0})));
  EXPECT_THROW(average_precision(Values{.5, .1}, std::vector<char>{1}), Error);
  EXPECT_THROW(average_precision(Values{std::nan(""), .1}, std::vector<char>{1, 0}), Error);
}

TEST(AveragePrecision, IsItsDefinitionWithTiesToo) {
  Random random(5);
  for (int trial = 0; trial < 200; ++trial) {
    Values scores;
    std::vector<char> shows;
    for (int64_t i = 0, n = 1 + random.below(30); i < n; ++i) {
      scores.push_back(static_cast<double>(random.below(8)));
      shows.push_back(random.chance(.4));
    }
    const double ours = average_precision(scores, shows), defined = by_definition(scores, shows);
    EXPECT_EQ(std::isnan(ours), std::isnan(defined));
    if (!std::isnan(ours)) {
      EXPECT_NEAR(ours, defined, 1e-14);
    }
  }
}

// The second class never occurs, so it has no precision and no part.
TEST(AveragePrecision, MeanIsOverTheClassesThatOccur) {
  const Values scores = {.9, .5, .1, .8, .5, .7, .7, .5, .3};
  const std::vector<char> shows = {1, 0, 0, 0, 0, 1, 1, 0, 1};
  EXPECT_DOUBLE_EQ(mean_average_precision(scores, shows, 3), ((1 + 2. / 3) / 2 + 1) / 2);
  EXPECT_TRUE(std::isnan(mean_average_precision(scores, std::vector<char>(9, 0), 3)));
  EXPECT_THROW(mean_average_precision(scores, shows, 4), Error);
}

}  // namespace
}  // namespace boxcam
