// Every row of the table of explainers: values by hand, and what all of them must keep, whichever comes next.
#include "xai/explainers.h"

#include <cmath>

#include "tests/gradcheck.h"
#include "xai/boxes.h"
#include "xai/eigen_cam.h"
#include "xai/explain.h"

namespace boxcam {
namespace {

using Values = std::vector<double>;

// ---- values by hand -------------------------------------------------------------------------------------------------

/// One image, two cells, two channels: A_0 = (1, 3), A_1 = (2, 0); g_0 = (0.5, -1), g_1 = (2, 1).
const Tensor A = Tensor::from({1, 1, 2, 2}, Values{1, 2, 3, 0});
const Tensor g = Tensor::from({1, 1, 2, 2}, Values{0.5, 2, -1, 1});

Values weights(const std::string& name, const Tensor& activations = A, const Tensor& gradient = g) {
  return explainer(name).weigh(Evidence(activations, gradient, DType::f64)).to_vector();
}

TEST(Explainers, GradCamByHand) { EXPECT_EQ(weights("grad-cam"), (Values{-0.25, 1.5})); }

TEST(Explainers, GradCamPlusPlusByHand) {
  const auto term = [](double gradient, double total) {
    return std::pow(gradient, 3) / (2 * std::pow(gradient, 2) + total * std::pow(gradient, 3) + 1e-6);
  };
  const Values w = weights("grad-cam++");
  ASSERT_EQ(w.size(), 2u);
  EXPECT_DOUBLE_EQ(w[0], term(0.5, 4));
  EXPECT_DOUBLE_EQ(w[1], term(2, 2) + term(1, 2));
  // sum A = -4 and g = 1: 2 - 4 + 1e-6 is not positive; g = 0.25: 0.125 - 0.0625 + 1e-6 is.
  const Values negative =
      weights("grad-cam++", Tensor::from({1, 1, 2, 1}, Values{-1, -3}), Tensor::from({1, 1, 2, 1}, Values{1, 0.25}));
  EXPECT_DOUBLE_EQ(negative[0], term(0.25, -4));
}

TEST(Explainers, LayerCamByHand) { EXPECT_EQ(weights("layer-cam"), (Values{0.5, 2, 0, 1})); }

TEST(Explainers, HiresCamByHand) { EXPECT_EQ(weights("hires-cam"), (Values{0.5, 2, -1, 1})); }

TEST(Explainers, XGradCamByHand) {
  const Values w = weights("xgrad-cam");
  EXPECT_DOUBLE_EQ(w[0], (0.5 * 1 - 1 * 3) / (4 + 1e-7));
  EXPECT_DOUBLE_EQ(w[1], (2 * 2 + 1 * 0) / (2 + 1e-7));
}

TEST(Explainers, ElementWiseByHand) {
  const Tensor signs = Tensor::from({1, 1, 2, 2}, Values{1, -2, 3, 0});  // g A = 0.5, -4; -3, 0
  EXPECT_EQ(weights("element-wise", signs), (Values{0.5, 0, 0, 0}));
}

// y = (1, 3, 2.5, -1, 2) of class 1: the nearest are 2, 4 and 0, in that order.
TEST(Explainers, FinerCamsScoreByHand) {
  const Tensor y = Tensor::from({1, 5}, Values{1, 3, 2.5, -1, 2}), c = Tensor::from({1}, std::vector<int32_t>{1});
  const double a = std::exp(2.5), b = std::exp(2.0), d = std::exp(1.0),
               total = a + b + d + std::exp(3.0) + std::exp(-1);
  const double expected = (a * 0.5 + b * 1 + d * 2) / total / ((a + b + d) / total + 1e-9);
  EXPECT_NEAR(explainer("finer-cam").score(y, c).item(), expected, 1e-14);
  const Function f = function([&](const std::vector<Tensor>& in) { return explainer("finer-cam").score(in[0], c); });
  EXPECT_TRUE(check_first_order(f, {y}));
  EXPECT_TRUE(check_second_order(f, {y}));
  // Of two classes there is one to compare, whose probability cancels; among equals the first numbers are compared.
  const Tensor two = Tensor::from({1, 2}, Values{0.5, 2});
  EXPECT_NEAR(explainer("finer-cam").score(two, c).item(), 1.5, 1e-8);
}

Tensor projection(const Shape& shape, const Values& values) { return first_projection(Tensor::from(shape, values)); }

// One channel that varies: the projection is that channel without its mean, with the sign of the channels' sum.
TEST(EigenCam, ByHand) {
  const Values up = projection({1, 1, 3, 2}, {0, 5, 1, 5, 5, 5}).to_vector();
  for (size_t i = 0; i < 3; ++i) EXPECT_NEAR(up[i], (Values{-2, -1, 3})[i], 1e-14);
  // Columns (1, 1, -2) and 2 (1, 1, -2): v = (1, 2) / sqrt 5.
  const Values two = projection({1, 3, 1, 2}, {1, 2, 1, 2, -2, -4}).to_vector();
  for (size_t i = 0; i < 3; ++i) EXPECT_NEAR(two[i], (Values{1, 1, -2})[i] * std::sqrt(5), 1e-14);
  const Values down = projection({1, 3, 1, 2}, {1, -2, 1, -2, -2, 4}).to_vector();  // their sum is -(1, 1, -2)
  for (size_t i = 0; i < 3; ++i) EXPECT_NEAR(down[i], (Values{-1, -1, 2})[i] * std::sqrt(5), 1e-14);
}

// Through X X^T and through X^T X the same: a channel of zeros more changes which of the two is smaller.
TEST(EigenCam, IsTheSameThroughEitherGramMatrix) {
  const Tensor few = random_tensor({2, 3, 3, 8}, 4);
  const Tensor many = pad(few, 3, 0, 3);
  const Values a = first_projection(few).to_vector(), b = first_projection(many).to_vector();
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-12);
}

TEST(EigenCam, EqualSingularValuesAndNanAreNoTrap) {
  const std::vector<double> v = dominant_eigenvector({2, 0, 0, 2}, 2);
  EXPECT_NEAR(v[0] * v[0] + v[1] * v[1], 1, 1e-15);
  // A ratio of 1 - 1e-9, which a power iteration would take ten billion steps for.
  const std::vector<double> near = dominant_eigenvector({1, 0, 0, 1 - 1e-9}, 2);
  EXPECT_NEAR(near[0], 1, 1e-12);
  EXPECT_TRUE(std::isnan(projection({1, 1, 2, 1}, {1, std::nan("")}).to_vector()[0]));
}

// ---- what every row keeps -------------------------------------------------------------------------------------------

constexpr int64_t kImages = 2, kSide = 3, kChannels = 4, kClasses = 3;
const Tensor labels = Tensor::from({kImages}, std::vector<int32_t>{2, 0});

Tensor head() { return random_tensor({kClasses, kChannels}, 7); }
Tensor masks(int64_t height, int64_t width, DType dtype = DType::f64) {
  return box_masks({{{1, 1, 4, 5}}, {}}, height, width, 0, dtype);
}

/// The explanation of a tap [N, h, w, K] that a nonlinear layer follows, so that the gradient depends on A; f64.
Explanation behind_a_layer(const Tensor& tap, const Tensor& W, const CamOptions& options) {
  const GradMode recorded(true);
  const Tensor logits = matmul(global_avg_pool(tap * tap), W, {.transpose_b = true});
  return explain(logits, labels, {tap}, 6, 8, options, {&cam_losses().front(), masks(6, 8)});
}

/// f(explainer) for every row that explains tensors, with its name in messages; only those that can teach, if asked.
template <class F>
void for_each_explainer(F f, bool only_teaching = false) {
  ASSERT_GE(explainers().size(), 3u);
  EXPECT_STREQ(explainers().front().name, "grad-cam");
  for (const Explainer& e : explainers()) {
    SCOPED_TRACE(e.name);
    EXPECT_GT(std::string(e.formula).size(), 4u);
    EXPECT_EQ(&explainer(e.name), &e);
    EXPECT_EQ((e.weigh != nullptr) + (e.map != nullptr) + (e.of_input != nullptr), 1);
    if (!e.asks_model() && (e.can_teach() || !only_teaching)) f(e);
  }
}

/// What a map of an explainer can be differentiated through.
CamGradient through_all(const Explainer& e) { return e.can_teach() ? CamGradient::full : CamGradient::none; }

TEST(EveryExplainer, BothDerivativesOfAPenalty) {
  for_each_explainer(
      [](const Explainer& e) {
        const Function f = function([&](const std::vector<Tensor>& in) {
          const GradMode recorded(true);
          const CamOptions options{.target = CamTarget::centered, .gradient = CamGradient::full, .explainer = &e};
          return mean(behind_a_layer(in[0] * in[0], in[1], options).losses);
        });
        const std::vector<Tensor> inputs = {random_tensor({kImages, kSide, kSide, kChannels}, 3, 0.2, 1), head()};
        EXPECT_TRUE(check_first_order(f, inputs));
        EXPECT_TRUE(check_second_order(f, inputs));
      },
      true);
}

// d(sum w A) by the product rule: what goes through A and what goes through the weights is the whole, and nothing of
// either is the other's.
TEST(EveryExplainer, ActivationsAndWeightsAddUpToFull) {
  for_each_explainer(
      [](const Explainer& e) {
        const auto gradients = [&](CamGradient through) {
          Tensor tap = random_tensor({kImages, kSide, kSide, kChannels}, 5, 0.2, 1), W = head();
          tap.set_requires_grad();
          W.set_requires_grad();
          const CamOptions options{.target = CamTarget::centered, .gradient = through, .explainer = &e};
          const Tensor loss = mean(behind_a_layer(tap, W, options).losses);
          Values all;
          for (const Tensor& t : grad({loss}, {tap, W}))
            for (const double v : t.to_vector()) all.push_back(v);
          return all;
        };
        const Values full = gradients(CamGradient::full), a = gradients(CamGradient::activations),
                     w = gradients(CamGradient::weights);
        double through_a = 0, through_w = 0;
        for (size_t i = 0; i < full.size(); ++i) {
          EXPECT_NEAR(a[i] + w[i], full[i], 1e-12);
          through_a += std::abs(a[i]), through_w += std::abs(w[i]);
        }
        EXPECT_GT(through_a, 1e-3);
        EXPECT_GT(through_w, 1e-3);
        for (size_t i = full.size() - kClasses * kChannels; i < full.size(); ++i) EXPECT_EQ(a[i], 0);  // the head's
      },
      true);
}

TEST(EveryExplainer, TheClosedFormBehindALinearHeadIsTheGeneralPath) {
  for_each_explainer([](const Explainer& e) {
    for (const CamTarget target : {CamTarget::logit, CamTarget::centered}) {
      const CamOptions options{.target = target, .gradient = through_all(e), .explainer = &e};
      std::vector<Values> seen;
      for (const bool closed : {false, true}) {
        Tensor tap = random_tensor({kImages, kSide, kSide, kChannels}, 5, 0, 1), W = head();
        tap.set_requires_grad();
        W.set_requires_grad();
        const Tensor logits = matmul(global_avg_pool(tap), W, {.transpose_b = true});
        const MaskedLoss loss{&cam_losses().front(), masks(6, 8)};
        const Explanation x = closed ? explain_linear_head(W, labels, tap, 6, 8, options, loss, logits)
                                     : explain(logits, labels, {tap}, 6, 8, options, loss);
        Values all;
        std::vector<Tensor> results = {x.raw[0], x.cam, x.losses};
        results.insert(results.end(), x.alpha.begin(), x.alpha.end());
        if (e.can_teach())
          for (const Tensor& t : grad({sum(x.losses)}, {tap, W})) results.push_back(t);
        for (const Tensor& t : results)
          for (const double v : t.to_vector()) all.push_back(v);
        seen.push_back(all);
      }
      for (size_t i = 0; i < seen[0].size(); ++i) EXPECT_NEAR(seen[0][i], seen[1][i], 1e-11) << i;
    }
  });
}

// One who asks for a CAM without recording gets one all the same, and it is data.
TEST(EveryExplainer, IsDataUnlessADerivativeIsAskedFor) {
  for_each_explainer([](const Explainer& e) {
    Tensor tap = random_tensor({kImages, kSide, kSide, kChannels}, 5, 0, 1);
    tap.set_requires_grad();
    const Tensor logits = matmul(global_avg_pool(tap * tap), head(), {.transpose_b = true});
    const NoGrad no_grad;
    const Explanation x = explain(logits, labels, {tap}, 6, 8, {.target = CamTarget::centered, .explainer = &e});
    EXPECT_FALSE(x.cam.requires_grad());
    EXPECT_FALSE(x.raw[0].requires_grad());
    EXPECT_GT(sum(abs(x.raw[0])).item(), 0);
  });
}

TEST(EveryExplainer, AnEmptyMapGivesAnEmptyCamAndFiniteGradients) {
  for_each_explainer([](const Explainer& e) {
    Tensor tap = Tensor::zeros({kImages, kSide, kSide, kChannels}, DType::f64), W = head();
    tap.set_requires_grad();
    W.set_requires_grad();
    const Tensor logits = matmul(global_avg_pool(tap), W, {.transpose_b = true});
    const CamOptions options{.gradient = through_all(e), .explainer = &e};
    const Explanation x = explain_linear_head(W, labels, tap, 6, 8, options, {}, logits);
    EXPECT_EQ(sum(abs(x.cam)).item(), 0);
    if (!e.can_teach()) return;
    for (const Tensor& t : grad({sum(x.cam)}, {tap, W}))
      for (const double v : t.to_vector()) EXPECT_TRUE(std::isfinite(v));
  });
}

// Under min-max a map that is the same everywhere is empty, and so it is whatever makes it.
TEST(EveryExplainer, AConstantMapIsEmpty) {
  for_each_explainer([](const Explainer& e) {
    for (const DType dtype : {DType::f64, DType::f32}) {
      const Tensor tap = Tensor::full({kImages, kSide, kSide, kChannels}, 0.7, dtype), W = head().to(dtype);
      const Tensor logits = matmul(global_avg_pool(tap), W, {.transpose_b = true});
      const Explanation x = explain_linear_head(W, labels, tap, 6, 8, {.explainer = &e}, {}, logits);
      EXPECT_EQ(x.cam.to_vector(), Values(kImages * 48, 0.0)) << dtype;
    }
  });
}

TEST(EveryExplainer, TakesNegativeActivationsAndASingleCell) {
  for_each_explainer([](const Explainer& e) {
    for (const int64_t side : {int64_t{1}, kSide}) {
      Tensor tap = random_tensor({kImages, side, side, kChannels}, 9, -1, 1);
      tap.set_requires_grad();
      const CamOptions options{.gradient = through_all(e), .explainer = &e};
      const Explanation x = behind_a_layer(tap, head(), options);
      for (const double v : x.cam.to_vector()) EXPECT_TRUE(v >= 0 && v <= 1) << v;
      if (!e.can_teach()) continue;
      for (const double v : grad({sum(x.losses)}, {tap})[0].to_vector()) EXPECT_TRUE(std::isfinite(v));
    }
  });
}

// An image's map is its own: a batch is its images, one by one, bit for bit.
TEST(EveryExplainer, ABatchIsItsImages) {
  for_each_explainer([](const Explainer& e) {
    const Tensor tap = random_tensor({kImages, kSide, kSide, kChannels}, 5, -0.2, 1), W = head();
    const CamOptions options{.target = CamTarget::centered, .explainer = &e};
    const Tensor logits = matmul(global_avg_pool(tap), W, {.transpose_b = true});
    const Values all = explain_linear_head(W, labels, tap, 6, 8, options, {}, logits).cam.to_vector();
    for (int64_t n = 0; n < kImages; ++n) {
      const Tensor label = slice(reshape(labels.to(DType::f64), {kImages}), 0, n, 1).to(DType::i32);
      const Tensor own = slice(tap, 0, n, 1), y = slice(logits, 0, n, 1);
      const Values one = explain_linear_head(W, label, own, 6, 8, options, {}, y).cam.to_vector();
      EXPECT_EQ(one, Values(all.begin() + n * 48, all.begin() + (n + 1) * 48)) << "image " << n;
    }
  });
}

// bf16 taps are cast before anything is computed from them, so they give what their rounded values give in f32.
TEST(EveryExplainer, TakesBf16Taps) {
  for_each_explainer([](const Explainer& e) {
    const CamOptions options{.gradient = through_all(e), .explainer = &e};
    const Tensor rounded = random_tensor({kImages, kSide, kSide, kChannels}, 5, 0, 1).to(DType::bf16);
    std::vector<std::vector<Values>> seen;
    for (const bool bf16 : {true, false}) {
      Tensor tap = bf16 ? rounded : rounded.to(DType::f32), W = head().to(DType::f32);
      tap.set_requires_grad();
      W.set_requires_grad();
      const Tensor logits = matmul(global_avg_pool(cast(tap, DType::f32)), W, {.transpose_b = true});
      const Explanation closed = explain_linear_head(W, labels, tap, 6, 8, options, {}, logits);
      const Explanation general = explain(logits, labels, {tap}, 6, 8, options);
      EXPECT_EQ(closed.cam.dtype(), DType::f32);
      if (e.can_teach()) {
        EXPECT_EQ(grad({sum(general.cam)}, {tap})[0].dtype(), tap.dtype());
      }
      seen.push_back({closed.cam.to_vector(), general.cam.to_vector()});
    }
    EXPECT_EQ(seen[0][0], seen[1][0]);
    for (size_t i = 0; i < seen[0][1].size(); ++i)  // here the score's gradient was rounded to bf16 on its way
      EXPECT_NEAR(seen[0][1][i], seen[1][1][i], 0.05);
  });
}

TEST(Explain, OneTapTwiceIsTheTap) {
  Tensor tap = random_tensor({kImages, kSide, kSide, kChannels}, 5, 0, 1);
  tap.set_requires_grad();
  const Tensor logits = matmul(global_avg_pool(tap * tap), head(), {.transpose_b = true});
  const Explanation one = explain(logits, labels, {tap}, 6, 8), two = explain(logits, labels, {tap, tap}, 6, 8);
  EXPECT_EQ(two.raw.size(), 2u);
  const Values a = one.cam.to_vector(), b = two.cam.to_vector();
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-14);
}

std::string error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

TEST(Explain, WrongCallsAreSentences) {
  const Tensor tap = random_tensor({kImages, kSide, kSide, kChannels}, 5), logits = random_tensor({kImages, 3}, 5);
  EXPECT_EQ(error_of([&] { explain(logits, labels, {}, 6, 8); }), "explain: expected at least one tap");
  EXPECT_EQ(error_of([&] { explain(logits, labels, {tap}, 6, 8); }),
            "explain: the forward pass was not recorded, so there is no gradient from the logits to the tap");
  EXPECT_EQ(error_of([&] {
              explain_linear_head(random_tensor({3, 5}, 1), labels, tap, 6, 8);
            }),
            "explain_linear_head: the head [3, 5] does not fit the tap [2, 3, 3, 4]");
  EXPECT_EQ(error_of([] { explainer("layercam"); }),
            "unknown explainer 'layercam'; did you mean 'layer-cam' or 'finer-cam'?");
  EXPECT_EQ(error_of([&] { explain(logits, labels, {tap}, 6, 8, {.explainer = &explainer("score-cam")}); }),
            "explain: score-cam asks the model again, and so explains a model, not tensors");
  EXPECT_EQ(error_of([&] {
              explain(logits, labels, {tap}, 6, 8, {.gradient = CamGradient::full, .explainer = &explainer("random")});
            }),
            "explain: random cannot be differentiated: its weights are drawn, and know nothing of the network");
  EXPECT_EQ(error_of([&] {
              explain_linear_head(random_tensor({3, 4}, 1), labels, tap, 6, 8, {.explainer = &explainer("finer-cam")});
            }),
            "explain_linear_head: finer-cam has a score of its own, and reads the logits");
}

}  // namespace
}  // namespace boxcam
