// Every explainer that weighs by a gradient against the real pytorch-grad-cam: M and the CAM, and the penalty's
// gradients by PyTorch's double backward (make_explainers of fixtures/make_parity_fixtures.py).
#include "models/resnet.h"
#include "tests/fixture.h"
#include "xai/boxes.h"
#include "xai/explain.h"

namespace boxcam {
namespace {

/// A case's model and its forward pass.
struct Explained {
  ResNet model;
  Tensor labels, x;
  ExplainOptions options;
  Forward pass;

  Explained(const nlohmann::json& c, const Fixture& fixture, const std::string& mode, CamGradient gradient)
      : model(filled_resnet(c["model"], fixture, DType::f64)),
        labels(filled_labels(c["batch"], fixture)),
        x(filled_images(c["batch"], c["size"], DType::f64, fixture.seed())) {
    options.taps = c["taps"].get<std::vector<std::string>>();
    options.cam = {.target = c["target"] == "centered" ? CamTarget::centered : CamTarget::logit,
                   .gradient = gradient,
                   .explainer = &explainer(c["explainer"])};
    // Recorded, so that the general path can be taken as well; the running statistics are left alone.
    pass = model.forward(x, ForwardOptions::observing(mode == "train" ? Mode::train : Mode::eval), options.taps);
  }

  /// By the general path, and where the tap feeds the head by the closed form.
  template <class F>
  void by_each_path(const MaskedLoss& loss, F f) {
    std::vector<Tensor> taps;
    for (const std::string& name : options.taps) taps.push_back(pass.taps.at(name));
    const int64_t size = x.dim(1);
    f(explain(pass.logits, labels, taps, size, size, options.cam, loss));
    if (has_closed_form(model, options)) f(explain(model, x, pass, labels, options, loss));
  }
};

/// Of all values, relative to PyTorch's largest.
double relative_difference(const std::vector<double>& ours, const std::vector<double>& theirs) {
  return largest_difference(ours, theirs) / largest_difference(theirs, std::vector<double>(theirs.size()));
}

// In f64 both do the same arithmetic in another order.
constexpr double kMapTolerance = 1e-10, kGradientTolerance = 1e-6;

TEST(ExplainersParity, PytorchGradCamsMapsInDouble) {
  const Fixture fixture("explainers.safetensors");
  std::map<std::string, std::pair<int, double>> worst;
  for (const nlohmann::json& c : fixture.json("cases")) {
    const std::string key = c["case"];
    SCOPED_TRACE(key);
    Explained explained(c, fixture, c["mode"], CamGradient::none);
    explained.by_each_path({}, [&](const Explanation& e) {
      std::vector<double> raw;
      for (const Tensor& M : e.raw)
        for (const double v : M.to_vector()) raw.push_back(v);
      const double error = relative_difference(raw, fixture.values(key + "/raw"));
      EXPECT_LE(error, kMapTolerance);
      const int64_t stride = c["stride"], size = c["size"];
      const std::vector<double> cam = e.cam.to_vector();
      std::vector<double> sampled;
      for (int64_t n = 0; n < e.cam.dim(0); ++n) {
        for (int64_t y = 0; y < size; y += stride)
          for (int64_t at = 0; at < size; at += stride) sampled.push_back(cam[(n * size + y) * size + at]);
        const auto begin = cam.begin() + n * size * size;
        const Summary whole = summarise("cam", {begin, begin + size * size}, fixture.seed());
        EXPECT_LE(distance(whole, summary_at(fixture.tensor(key + "/cam_table"), n)), 1e-9) << "image " << n;
      }
      EXPECT_LE(largest_difference(sampled, fixture.values(key + "/cam")), kMapTolerance);
      auto& [cases, most] = worst[c["explainer"]];
      ++cases;
      most = std::max(most, error);
    });
  }
  for (const auto& [name, seen] : worst) print_worst(str(name, ", ", seen.first, " maps"), seen.second, kMapTolerance);
  for (const char* name : {"grad-cam", "grad-cam++", "layer-cam", "hires-cam", "xgrad-cam"})
    EXPECT_GE(worst[name].first, 7) << name;
}

TEST(ExplainersParity, EveryGradientOfThePenalty) {
  const Fixture fixture("explainers.safetensors");
  const std::map<std::string, CamGradient> readings = {
      {"full", CamGradient::full}, {"activations", CamGradient::activations}, {"weights", CamGradient::weights}};
  std::map<std::string, std::pair<int, double>> worst;
  for (const nlohmann::json& c : fixture.json("penalty_cases")) {
    const std::string key = c["case"];
    SCOPED_TRACE(key);
    Explained explained(c, fixture, c["batch_norm"], readings.at(c["reading"]));
    if (c["normalizer"] == "constant") explained.options.cam.normalizer = CamNormalizer::constant;
    const int64_t size = c["size"];
    const Tensor B = box_masks(boxes_of(fixture.tensor("boxes"), c["batch"]), size, size, 0, DType::f64, test_device());
    const auto parameters = parameters_of(explained.model);
    explained.by_each_path({&cam_losses().front(), B}, [&](const Explanation& e) {
      const Tensor P = mean_over_images(e.losses);
      const double theirs = fixture.values(key + "/penalty")[0];
      EXPECT_NEAR(P.item(), theirs, 1e-9 * theirs);
      const double error =
          worst_of_rows(parameters, grad({P}, tensors_of(parameters)), fixture.json("names")["parameters"],
                        fixture.tensor(key + "/gradients"), fixture.seed(), kGradientTolerance);
      auto& [cases, most] = worst[c["explainer"]];
      ++cases;
      most = std::max(most, error);
    });
  }
  for (const auto& [name, seen] : worst)
    print_worst(str(name, ", ", seen.first, " gradients"), seen.second, kGradientTolerance);
  for (const char* name : {"grad-cam", "grad-cam++", "layer-cam", "hires-cam", "xgrad-cam"})
    EXPECT_GE(worst[name].first, 16) << name;
}

}  // namespace
}  // namespace boxcam
