// Explainers that are no weighted sum of a gradient against pytorch-grad-cam and Captum (make_model_explainers of
// fixtures/make_parity_fixtures.py), and what those that ask a model must keep.
#include <cmath>

#include "models/models.h"
#include "models/resnet.h"
#include "tests/fixture.h"
#include "tests/gradcheck.h"
#include "xai/boxes.h"
#include "xai/explain.h"
#include "xai/input_explainers.h"
#include "xai/masking_explainers.h"

namespace boxcam {
namespace {

struct Case {
  ResNet model;
  Tensor labels, x;
  ExplainOptions options;

  Case(const nlohmann::json& c, const Fixture& fixture)
      : model(filled_resnet(c["model"], fixture, DType::f64)),
        labels(filled_labels(c["batch"], fixture)),
        x(filled_images(c["batch"], c["size"], DType::f64, fixture.seed())) {
    options.taps = {c["tap"] == "input" ? model.default_tap() : c["tap"].get<std::string>()};
    options.cam.explainer = &explainer(c["explainer"]);
    if (c["target"] == "centered") options.cam.target = CamTarget::centered;
    if (c.value("mean", false)) options.cam.ablation = Ablation::mean;
  }
  Explanation run(Mode mode = Mode::eval, const MaskedLoss& loss = {}) {
    const Forward pass = explained_forward(model, x, ForwardOptions::observing(mode), options);
    return explain(model, x, pass, labels, options, loss);
  }
};

double relative_difference(const std::vector<double>& ours, const std::vector<double>& theirs) {
  return largest_difference(ours, theirs) / largest_difference(theirs, std::vector<double>(theirs.size()));
}

TEST(ModelExplainersParity, MapsInDouble) {
  const Fixture fixture("model_explainers.safetensors");
  std::map<std::string, std::pair<int, double>> worst;
  for (const nlohmann::json& c : fixture.json("cases")) {
    SCOPED_TRACE(c["case"]);
    const double error = relative_difference(Case(c, fixture).run().raw[0].to_vector(), fixture.values(c["case"]));
    EXPECT_LE(error, 1e-10);
    auto& [cases, most] = worst[c["explainer"]];
    ++cases;
    most = std::max(most, error);
  }
  for (const auto& [name, seen] : worst) print_worst(str(name, ", ", seen.first, " maps"), seen.second, 1e-10);
  // smooth-grad's noise and random's weights are our own.
  for (const Explainer& e : explainers()) {
    const std::string name = e.name;
    if (e.can_teach() || name == "smooth-grad" || name == "random") continue;
    EXPECT_GE(worst[name].first, 2) << name;
  }
  EXPECT_GE(worst["finer-cam"].first, 6);
  EXPECT_GE(worst["element-wise"].first, 6);
}

TEST(ModelExplainersParity, EveryGradientOfThePenaltyOfThoseThatTeach) {
  const Fixture fixture("model_explainers.safetensors");
  int cases = 0;
  for (const nlohmann::json& c : fixture.json("penalty_cases")) {
    const std::string key = c["case"];
    SCOPED_TRACE(key);
    Case one(c, fixture);
    one.options.cam.gradient = CamGradient::full;
    const int64_t size = c["size"];
    const Tensor B = box_masks(boxes_of(fixture.tensor("boxes"), c["batch"]), size, size, 0, DType::f64, test_device());
    const Tensor P = mean_over_images(
        one.run(c["batch_norm"] == "train" ? Mode::train : Mode::eval, {&cam_losses().front(), B}).losses);
    const double theirs = fixture.values(key)[0];
    EXPECT_NEAR(P.item(), theirs, 1e-9 * theirs);
    const auto parameters = parameters_of(one.model);
    expect_rows(parameters, grad({P}, tensors_of(parameters)), fixture.json("names")["parameters"],
                fixture.tensor(key + "/gradients"), fixture.seed(), 1e-6);
    ++cases;
  }
  EXPECT_EQ(cases, 8);
}

// ---- what those that ask the model keep -----------------------------------------------------------------------------

/// A small network of f64 with statistics of its own, images and labels.
struct Asked {
  std::unique_ptr<Classifier> model;
  Tensor x, labels, logits, rows;

  explicit Asked(const std::string& name, DType dtype = DType::f64, int64_t images = 2)
      : Asked(make_classifier(name, 4, dtype, 3), dtype, images) {}
  Asked(std::unique_ptr<Classifier> of, DType dtype, int64_t images) : model(std::move(of)) {
    x = random_tensor({images, 32, 32, 3}, 1).to(dtype);
    std::vector<int32_t> classes;
    for (int64_t n = 0; n < images; ++n) classes.push_back(static_cast<int32_t>((2 * n + 1) % 4));
    labels = Tensor::from({images}, classes);
    model->forward(random_tensor({8, 32, 32, 3}, 2).to(dtype),
                   ForwardOptions::training());  // statistics that are not 0
    const NoGrad no_grad;
    logits = model->forward(x, ForwardOptions::observing()).logits;
    rows = target_weights(labels, 4, CamTarget::logit, dtype);
  }
  Subject subject() const { return {*model, x, logits, rows}; }
  Explanation run(const std::string& name, const std::string& tap) {
    ExplainOptions options{.cam = {.explainer = &explainer(name)}, .taps = {tap}};
    const Forward pass = explained_forward(*model, x, ForwardOptions::observing(), options);
    return explain(*model, x, pass, labels, options);
  }
};

void expect_resumes(Asked asked) {
  const NoGrad no_grad;
  const std::vector<std::string> taps = asked.model->tap_names();
  const Forward pass = asked.model->forward(asked.x, ForwardOptions::observing(), taps);
  for (const std::string& tap : taps) {
    SCOPED_TRACE(asked.model->name() + " " + tap);
    const std::string from = asked.model->restart_of(tap);
    const Tensor start = from == tap ? Tensor() : pass.taps.at(from);
    const Tensor logits = asked.model->resume(tap, pass.taps.at(tap), start);
    EXPECT_LE(largest_difference(logits.to_vector(), pass.logits.to_vector()), 1e-10);
    const Tensor changed = asked.model->resume(tap, pass.taps.at(tap) * 0.5, start);  // the tap is what counts
    EXPECT_GE(largest_difference(changed.to_vector(), pass.logits.to_vector()), 1e-8);
  }
}

TEST(Resume, GivesTheLogitsOfThePassFromEveryTap) {
  expect_resumes(Asked("resnet-mini"));
  expect_resumes(Asked("plain-mini"));
  // A pooled stem, bottlenecks, and a stage with more than ten blocks.
  const ResNetConfig deep{.name = "deep",
                          .what = "for this test",
                          .block = ResNetConfig::Block::bottleneck,
                          .depths = {2, 12, 1, 1},
                          .widths = {4, 4, 8, 8},
                          .stem_width = 8};
  expect_resumes(Asked(std::make_unique<ResNet>(deep, 4, DType::f64, 3), DType::f64, 2));
}

TEST(AblationCam, TheClosedFormIsWhatThePassesGive) {
  Asked asked("resnet-mini");
  const std::string tap = asked.model->default_tap();
  const Explanation closed = asked.run("ablation-cam", tap);
  const NoGrad no_grad;
  const Tensor A = asked.model->forward(asked.x, ForwardOptions::observing(), {tap}).taps.at(tap);
  for (int64_t k = 0; k < A.dim(3); k += 9) {
    std::vector<double> values = A.to_vector();
    for (size_t i = static_cast<size_t>(k); i < values.size(); i += static_cast<size_t>(A.dim(3))) values[i] = 0;
    const Tensor without = asked.model->resume(tap, Tensor::from(A.shape(), values));
    for (int64_t n = 0; n < 2; ++n) {
      const auto at = static_cast<size_t>(n * 4 + asked.labels.data<int32_t>()[n]);
      const double y = asked.logits.to_vector()[at], expected = (y - without.to_vector()[at]) / std::abs(y);
      EXPECT_NEAR(closed.alpha[0].to_vector()[n * A.dim(3) + k], expected, 1e-10);
    }
  }
}

TEST(AblationCam, RefusesMeansBehindPooling) {
  Asked asked("resnet-mini");
  ExplainOptions options{.cam = {.explainer = &explainer("ablation-cam"), .ablation = Ablation::mean}, .taps = {}};
  settle_taps(options, *asked.model);
  const Forward pass = explained_forward(*asked.model, asked.x, ForwardOptions::observing(), options);
  try {
    explain(*asked.model, asked.x, pass, asked.labels, options);
    ADD_FAILURE() << "not refused";
  } catch (const Error& e) {
    EXPECT_EQ(std::string(e.what()),
              "ablation-cam: behind the tap layer4 is pooling, for which a channel's mean stands for the channel, so "
              "that no score changes; expected --ablation zero, or an earlier tap");
  }
}

TEST(ChannelMasks, ByHand) {
  // Two channels of 2 x 2 on 3 x 3 pixels: corners stay, the middle is the mean; a constant one has no range.
  const Tensor channels = Tensor::from({2, 2, 2}, std::vector<double>{0, 5, 1, 5, 2, 5, 4, 5});
  const std::vector<double> u = {0, 0.5, 1, 1, 1.75, 2.5, 2, 3, 4}, masks = channel_masks(channels, 3, 3).to_vector();
  for (size_t i = 0; i < 9; ++i) EXPECT_NEAR(masks[i], u[i] / (4 + 1e-8), 1e-15);
  for (size_t i = 9; i < 18; ++i) EXPECT_EQ(masks[i], 0);
}

TEST(IntegratedGradients, SumToTheDifferenceOfTheScores) {
  for (const std::string name : {"resnet-mini", "plain-mini"}) {
    Asked asked(name);
    const NoGrad no_grad;
    const Tensor none = asked.model->forward(asked.x * 0.0, ForwardOptions::observing()).logits;
    const auto expected = sum((asked.logits - none) * asked.rows, {1}).to_vector();
    const auto sums = sum(integrated_gradients(asked.subject()), {1, 2}).to_vector();
    // The score has kinks on the way, where ReLUs open, so that quadrature is not exact.
    for (size_t n = 0; n < 2; ++n) EXPECT_NEAR(sums[n], expected[n], 5e-3 * std::abs(expected[n]) + 1e-3) << name;
  }
}

TEST(GaussLegendre, IntegratesPolynomialsExactly) {
  for (const int points : {1, 2, 5, 50}) {
    const Quadrature q = gauss_legendre(points);
    ASSERT_EQ(q.nodes.size(), static_cast<size_t>(points));
    EXPECT_TRUE(std::is_sorted(q.nodes.begin(), q.nodes.end()));
    for (int power = 0; power < 2 * points; ++power) {
      double integral = 0;
      for (int i = 0; i < points; ++i) integral += q.weights[i] * std::pow(q.nodes[i], power);
      EXPECT_NEAR(integral, 1.0 / (power + 1), 1e-14) << points << " " << power;
    }
  }
}

TEST(FullGrad, PartsSumToTheScoreWithoutTheHeadsBias) {
  for (const std::string name : {"resnet-mini", "plain-mini"}) {
    Asked asked(name);
    std::vector<double> total(2);
    for (const Tensor& part : full_gradients(asked.subject())) {
      const auto sums = sum(part, {1, 2, 3}).to_vector();
      for (size_t n = 0; n < 2; ++n) total[n] += sums[n];
    }
    for (size_t n = 0; n < 2; ++n) {
      const auto c = static_cast<size_t>(asked.labels.data<int32_t>()[n]);
      EXPECT_NEAR(total[n], asked.logits.to_vector()[n * 4 + c] - asked.model->head_bias().to_vector()[c], 1e-9)
          << name;
    }
  }
}

TEST(InputGradient, IsThatOfTheScore) {
  Asked asked("plain-mini", DType::f64, 1);
  const auto map = input_gradient(asked.subject()).to_vector();
  const double h = 1e-6;
  for (const size_t pixel : {0u, 333u, 700u}) {
    double expected = 0;
    for (size_t colour = 0; colour < 3; ++colour) {
      const auto score = [&](double step) {
        std::vector<double> x = asked.x.to_vector();
        x[3 * pixel + colour] += step;
        const NoGrad no_grad;
        return sum(asked.model->forward(Tensor::from(asked.x.shape(), x), ForwardOptions::observing()).logits *
                   asked.rows)
            .item();
      };
      expected += std::abs((score(h) - score(-h)) / (2 * h));
    }
    EXPECT_NEAR(map[pixel], expected, 1e-6 * expected + 1e-9);
  }
}

TEST(SmoothGrad, OfANetworkWithoutKinksIsTheGradient) {
  // With biases that grow from stage to stage no ReLU is ever shut: the gradient is the same wherever it is taken.
  Asked asked("plain-mini");
  double bias = 1;
  for (NamedTensor& t : asked.model->named_tensors())
    if (t.name.ends_with("norm.bias")) t.tensor.copy_from(Tensor::full(t.tensor.shape(), bias *= 1000, DType::f64));
  const auto smooth = smooth_grad(asked.subject()).to_vector(), plain = input_gradient(asked.subject()).to_vector();
  EXPECT_LE(relative_difference(smooth, plain), 1e-12);
}

TEST(ScoreCam, FlatChannelsGetWhatTheirOwnPassWouldGiveThem) {
  // Half of the channels are dead, one is constant; each weight is held to a pass of its own.
  Asked asked("plain-mini");
  for (NamedTensor& t : asked.model->named_tensors()) {
    if (t.name != "stage4.norm.weight" && t.name != "stage4.norm.bias") continue;
    std::vector<double> values = t.tensor.to_vector();
    for (size_t k = 0; k < values.size(); k += 2) values[k] = 0;
    if (t.name == "stage4.norm.bias") values[4] = 0.3;
    t.tensor.copy_from(Tensor::from(t.tensor.shape(), values));
  }
  const Explanation e = asked.run("score-cam", "stage4");
  const NoGrad no_grad;
  const Tensor A = asked.model->forward(asked.x, ForwardOptions::observing(), {"stage4"}).taps.at("stage4");
  const int64_t K = A.dim(3), side = asked.x.dim(1);
  for (int64_t n = 0; n < A.dim(0); ++n) {
    std::vector<double> scores, weights;
    for (int64_t k = 0; k < K; ++k) {
      const Tensor channel = slice(slice(A, 0, n, 1), 3, k, 1);
      const Tensor mask = channel_masks(reshape(channel, {A.dim(1), A.dim(2), 1}), side, side);
      const Tensor picture = slice(asked.x, 0, n, 1) * reshape(mask, {1, side, side, 1});
      const Tensor logits = asked.model->forward(picture, ForwardOptions::observing()).logits;
      scores.push_back(sum(logits * slice(asked.rows, 0, n, 1)).item());
    }
    double total = 0;
    for (const double score : scores) total += std::exp(score - scores[0]);
    for (const double score : scores) weights.push_back(std::exp(score - scores[0]) / total);
    const auto found = slice(e.alpha[0], 0, n, 1).to_vector();
    // The constant channel's own mask is rounding over 1e-8, and not exactly 0.
    EXPECT_LE(relative_difference(found, weights), 1e-6);
  }
}

std::vector<std::string> asking() {
  std::vector<std::string> names;
  for (const Explainer& e : explainers())
    if (e.asks_model()) names.push_back(e.name);
  return names;
}

TEST(EveryExplainerOfAModel, IsDataAndMovesNothing) {
  ASSERT_GE(asking().size(), 6u);
  for (const std::string& name : asking()) {
    SCOPED_TRACE(name);
    Asked asked("resnet-mini");
    const std::unique_ptr<Classifier> before = asked.model->copy();
    const Explanation e = asked.run(name, "layer3");
    EXPECT_FALSE(e.cam.requires_grad());
    EXPECT_EQ(e.cam.shape(), (Shape{2, 32, 32}));
    EXPECT_GT(sum(e.cam).item(), 0);
    const auto mine = asked.model->named_tensors(), theirs = before->named_tensors();
    for (size_t i = 0; i < mine.size(); ++i)
      EXPECT_EQ(mine[i].tensor.to_vector(), theirs[i].tensor.to_vector()) << mine[i].name;
    ExplainOptions teaching{.cam = {.gradient = CamGradient::full, .explainer = &explainer(name)}, .taps = {"layer3"}};
    const Forward pass = explained_forward(*asked.model, asked.x, ForwardOptions::observing(), teaching);
    EXPECT_THROW(explain(*asked.model, asked.x, pass, asked.labels, teaching), Error);
  }
}

TEST(EveryExplainerOfAModel, ABatchIsItsImages) {
  for (const std::string& name : asking()) {
    SCOPED_TRACE(name);
    Asked both("resnet-mini"), first("resnet-mini", DType::f64, 1);
    const auto images = random_tensor({2, 32, 32, 3}, 1);
    first.x = slice(images, 0, 0, 1);
    first.logits = slice(both.logits, 0, 0, 1);
    const auto all = both.run(name, "layer3").cam.to_vector(), one = first.run(name, "layer3").cam.to_vector();
    // Through the network: to rounding.
    EXPECT_LE(largest_difference(one, {all.begin(), all.begin() + 1024}), 1e-9);
  }
}

TEST(EveryExplainerOfAModel, TakesBf16ActivationsAndZeroTaps) {
  for (const std::string& name : asking()) {
    SCOPED_TRACE(name);
    Asked asked("resnet-mini", DType::f32);
    const auto exact = asked.run(name, "layer3").cam.to_vector();
    asked.model->set_activation_dtype(DType::bf16);
    const Explanation e = asked.run(name, "layer3");
    EXPECT_EQ(e.cam.dtype(), DType::f32);
    const auto rounded = e.cam.to_vector();
    double difference = 0;
    for (size_t i = 0; i < exact.size(); ++i) difference += std::abs(exact[i] - rounded[i]);
    EXPECT_LE(difference / static_cast<double>(exact.size()), 0.1);  // maps from 0 to 1, digits of bf16: 2 to 3
  }
  // A network whose last stage gives zeros has an empty map where activations are weighted.
  for (const std::string name : {"score-cam", "ablation-cam"}) {
    Asked asked("plain-mini");
    for (NamedTensor& t : asked.model->named_tensors())
      if (t.name.starts_with("stage4.norm")) t.tensor.copy_from(Tensor::zeros(t.tensor.shape(), t.tensor.dtype()));
    const Explanation e = asked.run(name, "stage4");
    EXPECT_EQ(sum(e.cam).item(), 0) << name;
    for (const double w : e.alpha[0].to_vector()) EXPECT_TRUE(std::isfinite(w)) << name;
  }
}

}  // namespace
}  // namespace boxcam
