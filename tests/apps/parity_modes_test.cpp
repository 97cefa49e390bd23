// Every reading of the penalty (docs/method.md) against PyTorch: what it adds to the gradients of the classifier's
// parameters, once by the functions of xai/ and once as train_step hands it to the optimiser.
#include "apps/train_step.h"
#include "models/resnet.h"
#include "tests/fixture.h"
#include "xai/boxes.h"
#include "xai/losses.h"

namespace boxcam {
namespace {

constexpr double kTolerance = 1e-6;

template <class T>
T chosen(const nlohmann::json& word, const std::map<std::string, T>& meanings) {
  return meanings.at(word.get<std::string>());
}

/// A case of modes.safetensors, which make_modes of make_parity_fixtures.py wrote.
struct Case {
  const Fixture& fixture;
  const nlohmann::json& json;
  std::string key = json["case"], mode = json["mode"];
  int64_t batch = json["batch"], size = json["size"];
  StepInput input;
  Method method;
  CamOptions& cam = method.explain.cam;

  Case(const Fixture& f, const nlohmann::json& c) : fixture(f), json(c) {
    using Teaches = Reading::Teaches;
    const auto boxes = boxes_of(fixture.tensor("boxes"), batch);
    input = {filled_images(batch, size, DType::f64, fixture.seed()), filled_labels(batch, fixture), boxes, boxes,
             std::vector<std::string>(batch, "image")};
    method.explain.taps = json["taps"].get<std::vector<std::string>>();
    cam.target = chosen<CamTarget>(json["target"], {{"logit", CamTarget::logit}, {"centered", CamTarget::centered}});
    cam.normalizer = chosen<CamNormalizer>(
        json["normalizer"], {{"differentiated", CamNormalizer::differentiated}, {"constant", CamNormalizer::constant}});
    cam.profile = chosen<CamProfile>(
        json["profile"],
        {{"pgc-1.4", CamProfile::pgc_1_4}, {"pgc-1.3.1", CamProfile::pgc_1_3_1}, {"paper", CamProfile::paper}});
    method.explain.explains =
        json["class"] == "predicted" ? ExplainOptions::Class::predicted : ExplainOptions::Class::label;
    method.penalty.unboxed = json["unboxed"] == "skip" ? Penalty::Unboxed::skip : Penalty::Unboxed::penalise;
    method.reading.batch_norm = chosen<Reading::BatchNorm>(
        json["batch_norm"], {{"train", Reading::BatchNorm::train}, {"eval", Reading::BatchNorm::eval}});
    method.reading.teaches = chosen<Teaches>(mode, {{"full", Teaches::full},
                                                    {"activations", Teaches::activations},
                                                    {"weights", Teaches::weights},
                                                    {"transfer full", Teaches::transfer},
                                                    {"transfer activations", Teaches::transfer},
                                                    {"leak", Teaches::leak}});
    method.reading.transfer = mode == "transfer activations" ? Reading::Transfer::activations : Reading::Transfer::full;
    if (transfers()) method.reading.cam_model = Reading::CamModel::copy;
  }
  Case(const Case&) = delete;
  Case& operator=(const Case&) = delete;

  ResNet model() const { return filled_resnet(json["model"], fixture, DType::f64); }
  bool leaks() const { return mode == "leak"; }
  bool transfers() const { return mode.starts_with("transfer"); }

  void expect_penalty(const Tensor& P) const {
    const double theirs = fixture.values(key + "/penalty")[0];
    EXPECT_NEAR(P.item(), theirs, 1e-9 * theirs);
  }
  double expect_gradients(const ResNet& of, const std::vector<Tensor>& gradients) const {
    return worst_of_rows(parameters_of(of), gradients, fixture.json("names")["parameters"],
                         fixture.tensor(key + "/gradients"), fixture.seed(), kTolerance);
  }
};

/// Calls check(case), which returns the worst error it saw, for all cases and prints the worst of each mode.
template <class Check>
void for_each_case(Check check) {
  const Fixture fixture("modes.safetensors");
  std::map<std::string, std::pair<int, double>> worst;  // cases and error, by mode
  for (const nlohmann::json& c : fixture.json("cases")) {
    const Case one(fixture, c);
    SCOPED_TRACE(one.key);
    auto& [cases, error] = worst[one.mode];
    ++cases;
    error = std::max(error, check(one));
  }
  for (const auto& [mode, seen] : worst) print_worst(str(mode, ", ", seen.first, " cases"), seen.second, kTolerance);
  const std::vector<std::string> modes = {"activations",          "full",          "leak",
                                          "transfer activations", "transfer full", "weights"};
  for (const std::string& mode : modes) EXPECT_GE(worst[mode].first, 5) << mode;
}

TEST(ModesParity, EveryGradientOfTheFunctions) {
  for_each_case([](const Case& c) {
    ResNet CL = c.model();
    ResNet GC = CL.clone();
    ResNet& explained = c.transfers() ? GC : CL;
    const bool batch_statistics = c.method.reading.batch_norm == Reading::BatchNorm::train;
    const Forward pass =
        explained.forward(c.input.x, {batch_statistics ? Mode::train : Mode::eval, false}, c.method.explain.taps);
    const Tensor classes = explained_classes(pass.logits, c.input.labels, c.method.explain);
    const Tensor B = box_masks(c.input.boxes, c.size, c.size, 0, DType::f64, test_device());
    std::vector<char> counted;
    for (const auto& boxes : c.input.boxes)
      counted.push_back(c.method.penalty.unboxed == Penalty::Unboxed::penalise || !boxes.empty());

    const CamGradient gradient = c.mode.ends_with("activations") ? CamGradient::activations
                                 : c.mode.ends_with("full")      ? CamGradient::full
                                 : c.mode == "weights"           ? CamGradient::weights
                                                                 : CamGradient::none;
    const CamOptions options{c.cam.target, c.cam.normalizer, c.cam.profile, gradient};
    std::vector<Tensor> taps;
    for (const std::string& name : c.method.explain.taps) taps.push_back(pass.taps.at(name));
    double worst = 0;
    const auto check = [&](const Tensor& P) {
      c.expect_penalty(P);
      EXPECT_EQ(P.requires_grad(), gradient != CamGradient::none);
      const Tensor taught = c.leaks() ? explained_score(pass.logits, classes, c.cam.target) : P;
      worst = std::max(worst, c.expect_gradients(explained, grad({taught}, explained.parameters())));
    };
    // Each writing of the penalty: on the finished CAM, with it in one pass, and without a backward pass for alpha.
    check(box_penalty(explain(pass.logits, classes, taps, c.size, c.size, options).cam, B, counted));
    const MaskedLoss box{&cam_losses().front(), B};
    check(mean_over_images(explain(pass.logits, classes, taps, c.size, c.size, options, box).losses, counted));
    if (has_closed_form(explained, c.method.explain)) {
      const Tensor& W = explained.head().weight;
      check(box_penalty(explain_linear_head(W, classes, taps[0], c.size, c.size, options).cam, B, counted));
      check(mean_over_images(explain_linear_head(W, classes, taps[0], c.size, c.size, options, box).losses, counted));
    }
    return worst;
  });
}

TEST(ModesParity, EveryGradientOfTheTrainingStep) {
  constexpr double kLambda = 25;
  for_each_case([&](const Case& c) {
    ResNet CL = c.model(), plain = CL.clone();
    const std::vector<Tensor> of_cross_entropy = grad(
        {cross_entropy(plain.forward(c.input.x, {Mode::train, false}).logits, c.input.labels)}, plain.parameters());

    Metrics metrics(c.fixture.classes());
    Method method = c.method;
    method.penalty.lambda = kLambda;
    Step seen;
    TrainStep(CL, method, {})(c.input, 0.01, metrics, {[&](int number, const Step& step) {
                                if (number == 6) seen = step;
                              }});

    c.expect_penalty(seen.P);
    const double of_taught =
        c.leaks() ? explained_score(seen.gc.logits, seen.classes, c.cam.target).item() : kLambda * seen.P.item();
    EXPECT_DOUBLE_EQ(seen.taught.item(), of_taught);
    std::vector<Tensor> added;  // to the gradients of the cross-entropy, for lambda 1
    for (size_t i = 0; i < seen.gradients.size(); ++i)
      added.push_back((seen.gradients[i] - of_cross_entropy[i]) / (c.leaks() ? 1 : kLambda));
    return c.expect_gradients(CL, added);
  });
}

}  // namespace
}  // namespace boxcam
