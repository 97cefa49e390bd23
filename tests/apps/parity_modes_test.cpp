// Every reading of the penalty (docs/method.md) against PyTorch: what it adds to the gradients of the classifier's
// parameters, once by the functions of xai/ and once as train_step hands it to the optimiser.
#include "apps/common/cam.h"
#include "apps/train_step.h"
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
  CamOptions cam;
  TrainOptions train;

  Case(const Fixture& f, const nlohmann::json& c) : fixture(f), json(c) {
    using Teaches = TrainOptions::PenaltyGradient;
    const auto boxes = boxes_of(fixture.tensor("boxes"), batch);
    input = {filled_images(batch, size, DType::f64, fixture.seed()), filled_labels(batch, fixture), boxes, boxes,
             std::vector<std::string>(batch, "image")};
    cam.taps = json["taps"].get<std::vector<std::string>>();
    cam.target = chosen<CamTarget>(json["target"], {{"logit", CamTarget::logit}, {"centered", CamTarget::centered}});
    cam.normalizer = chosen<CamNormalizer>(
        json["normalizer"], {{"differentiated", CamNormalizer::differentiated}, {"constant", CamNormalizer::constant}});
    cam.profile = chosen<CamProfile>(
        json["profile"],
        {{"pgc-1.4", CamProfile::pgc_1_4}, {"pgc-1.3.1", CamProfile::pgc_1_3_1}, {"paper", CamProfile::paper}});
    cam.explains_predicted = json["class"] == "predicted";
    train.skip_unboxed = json["unboxed"] == "skip";
    train.cam_batch_norm = chosen<CamOptions::BatchNorm>(
        json["batch_norm"], {{"train", CamOptions::BatchNorm::train}, {"eval", CamOptions::BatchNorm::eval}});
    train.penalty_gradient = chosen<Teaches>(mode, {{"full", Teaches::full},
                                                    {"activations", Teaches::activations},
                                                    {"weights", Teaches::weights},
                                                    {"transfer full", Teaches::transfer},
                                                    {"transfer activations", Teaches::transfer},
                                                    {"leak", Teaches::leak}});
    train.transfer_activations = mode == "transfer activations";
  }

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
    const bool batch_statistics = c.train.cam_batch_norm == CamOptions::BatchNorm::train;
    const Forward pass = explained.forward(c.input.x, {batch_statistics ? Mode::train : Mode::eval, false}, c.cam.taps);
    const Tensor classes = explained_classes(pass, c.input.labels, c.cam);
    const Tensor B = box_masks(c.input.boxes, c.size, c.size, 0, DType::f64, test_device());
    std::vector<char> counted;
    for (const auto& boxes : c.input.boxes) counted.push_back(!c.train.skip_unboxed || !boxes.empty());

    const CamGradient gradient = c.mode.ends_with("activations") ? CamGradient::activations
                                 : c.mode.ends_with("full")      ? CamGradient::full
                                 : c.mode == "weights"           ? CamGradient::weights
                                                                 : CamGradient::none;
    const GradCamOptions options{c.cam.target, c.cam.normalizer, c.cam.profile, gradient};
    std::vector<Tensor> taps;
    for (const std::string& name : c.cam.taps) taps.push_back(pass.taps.at(name));
    double worst = 0;
    const auto check = [&](const Tensor& P) {
      c.expect_penalty(P);
      EXPECT_EQ(P.requires_grad(), gradient != CamGradient::none);
      const Tensor taught = c.leaks() ? explained_score(pass.logits, classes, c.cam.target) : P;
      worst = std::max(worst, c.expect_gradients(explained, grad({taught}, explained.parameters())));
    };
    // Each writing of the penalty: on the finished CAM, with it in one pass, and without a backward pass for alpha.
    check(box_penalty(grad_cam(pass.logits, classes, taps, c.size, c.size, options).cam, B, counted));
    check(mean_over_images(grad_cam(pass.logits, classes, taps, c.size, c.size, options, B).box_losses, counted));
    if (has_closed_form(explained, c.cam)) {
      const Tensor& W = explained.head().weight;
      check(box_penalty(grad_cam_linear_head(W, classes, taps[0], c.size, c.size, options).cam, B, counted));
      check(
          mean_over_images(grad_cam_linear_head(W, classes, taps[0], c.size, c.size, options, B).box_losses, counted));
    }
    return worst;
  });
}

TEST(ModesParity, EveryGradientOfTheTrainingStep) {
  constexpr double kLambda = 25;
  for_each_case([&](const Case& c) {
    ResNet CL = c.model(), GC = CL.clone(), plain = CL.clone();
    const std::vector<Tensor> of_cross_entropy = grad(
        {cross_entropy(plain.forward(c.input.x, {Mode::train, false}).logits, c.input.labels)}, plain.parameters());

    Optimizer optimizer(parameters_of(CL), {});
    Metrics metrics(c.fixture.classes());
    TrainOptions train = c.train;
    train.lambda = kLambda;
    Step seen;
    train_step(CL, c.transfers() ? &GC : nullptr, optimizer, c.input, 0.01, c.cam, train, metrics,
               [&](int number, const Step& step) {
                 if (number == 6) seen = step;
               });

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
