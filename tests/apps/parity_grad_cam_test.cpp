// Grad-CAM and the box penalty against PyTorch: pytorch-grad-cam 1.4's arithmetic, and the penalty's gradient by double
// backward (fixtures/make_parity_fixtures.py).
#include "tests/fixture.h"
#include "xai/boxes.h"
#include "xai/explain.h"

namespace boxcam {
namespace {

/// A case's model after its forward pass.
struct Explained {
  ResNet model;
  Tensor labels, tap;
  Forward forward;
  int64_t size;
  CamOptions options;
  bool feeds_head;

  Explained(const nlohmann::json& c, const Fixture& fixture, DType dtype)
      : model(filled_resnet(c["model"], fixture, dtype)), labels(filled_labels(c["batch"], fixture)), size(c["size"]) {
    const std::string name = c["tap"];
    // The running statistics are left alone: a CAM pass never moves them.
    forward = model.forward(filled_images(c["batch"], size, dtype, fixture.seed()),
                            {c["mode"] == "train" ? Mode::train : Mode::eval, false}, {name});
    tap = forward.taps.at(name);
    feeds_head = model.head_of(name).defined();
    options.target = c["target"] == "centered" ? CamTarget::centered : CamTarget::logit;
  }

  Explanation general() const { return explain(forward.logits, labels, {tap}, size, size, options); }
  Explanation closed() const { return explain_linear_head(model.head().weight, labels, tap, size, size, options); }
};

/// Every stride-th pixel of [N, H, W] in both directions.
std::vector<double> sampled(const Tensor& maps, int64_t stride) {
  const std::vector<double> all = maps.to_vector();
  std::vector<double> result;
  for (int64_t n = 0; n < maps.dim(0); ++n)
    for (int64_t y = 0; y < maps.dim(1); y += stride)
      for (int64_t x = 0; x < maps.dim(2); x += stride) result.push_back(all[(n * maps.dim(1) + y) * maps.dim(2) + x]);
  return result;
}

/// One image's map.
std::vector<double> map_of(const Tensor& maps, int64_t n) {
  const std::vector<double> all = maps.to_vector();
  const auto size = static_cast<std::ptrdiff_t>(maps.numel() / maps.dim(0));
  return {all.begin() + n * size, all.begin() + (n + 1) * size};
}

/// alpha and M relative to their largest value, the CAM absolutely. In f32 a ReLU behind the tap may be within rounding
/// of its threshold; PyTorch's own runs then differ by more than `tolerance` (ResNet-50 at layer3: 1e-3), and three
/// times their distance to the truth is allowed.
void expect_cam(const Explanation& ours, const nlohmann::json& c, const Fixture& fixture, double tolerance) {
  const std::string key = c["case"];
  const bool is_double = ours.cam.dtype() == DType::f64;
  const std::vector<double> own = is_double ? std::vector<double>(3, 0.0) : fixture.values(key + "/distance");
  const auto expect_scaled = [&](const Tensor& t, const std::string& part, double pytorch) {
    const std::vector<double> theirs = fixture.values(key + part);
    const double scale = largest_difference(theirs, std::vector<double>(theirs.size()));
    EXPECT_LE(largest_difference(t.to_vector(), theirs), std::max(tolerance, 3 * pytorch) * scale) << key << part;
  };
  expect_scaled(ours.alpha[0], "/alpha", own[0]);
  expect_scaled(ours.raw[0], "/raw", own[1]);
  const std::vector<double> theirs = fixture.values(key + "/cam");
  EXPECT_LE(largest_difference(sampled(ours.cam, c["stride"]), theirs), std::max(tolerance, 3 * own[2])) << key;
  if (!is_double) return;
  for (int64_t n = 0; n < ours.cam.dim(0); ++n) {  // and the pixels in between: |difference| bounds each of them
    const Summary s = summarise("cam", map_of(ours.cam, n), fixture.seed());
    EXPECT_LE(distance(s, summary_at(fixture.tensor(key + "/cam_table"), n)), tolerance) << key << " image " << n;
  }
}

void expect_cams(const std::string& dtype, double tolerance) {
  const Fixture fixture("grad_cam.safetensors");
  int cases = 0;
  for (const nlohmann::json& c : fixture.json("cases")) {
    if (c["dtype"] != dtype) continue;
    ++cases;
    const Explained explained(c, fixture, dtype == "f64" ? DType::f64 : DType::f32);
    expect_cam(explained.general(), c, fixture, tolerance);
    if (explained.feeds_head) expect_cam(explained.closed(), c, fixture, tolerance);
  }
  EXPECT_EQ(cases, dtype == "f64" ? 16 : 12);
}

TEST(GradCamParity, PytorchGradCamInDouble) { expect_cams("f64", 1e-9); }
TEST(GradCamParity, PytorchGradCamInFloat) { expect_cams("f32", 1e-4); }

TEST(GradCamParity, ClosedFormEqualsTheGeneralPathAndSumsToTheScore) {
  const Fixture fixture("grad_cam.safetensors");
  for (const nlohmann::json& c : fixture.json("cases")) {
    if (c["dtype"] != "f64" || c["model"] != "resnet-mini" || c["tap"] != "layer4") continue;
    const Explained explained(c, fixture, DType::f64);
    const Explanation general = explained.general(), closed = explained.closed();
    EXPECT_LE(largest_difference(general.alpha[0].to_vector(), closed.alpha[0].to_vector()), 1e-10);
    EXPECT_LE(largest_difference(general.raw[0].to_vector(), closed.raw[0].to_vector()), 1e-10);
    EXPECT_LE(largest_difference(general.cam.to_vector(), closed.cam.to_vector()), 1e-10);

    // sum M = y_c - b_c, for the centred score less the mean over the classes of the same.
    const Tensor without_bias = explained.forward.logits - explained.model.head().bias;
    const Tensor weights = target_weights(explained.labels, fixture.classes(), explained.options.target, DType::f64);
    EXPECT_LE(largest_difference(sum(closed.raw[0], {1, 2}).to_vector(), sum(without_bias * weights, {1}).to_vector()),
              1e-10);
  }
}

TEST(BoxPenaltyParity, EveryGradientOfTheDoubleBackward) {
  const Fixture fixture("penalty.safetensors");
  for (const nlohmann::json& c : fixture.json("cases")) {
    const std::string key = c["case"];
    SCOPED_TRACE(key);
    Explained explained(c, fixture, DType::f64);
    explained.options.gradient = CamGradient::full;
    explained.options.normalizer =
        c["normalizer"] == "constant" ? CamNormalizer::constant : CamNormalizer::differentiated;

    const int64_t margin = c["margin"];
    const auto boxes = boxes_of(fixture.tensor(str("boxes/", explained.size)), c["batch"]);
    const Tensor mask =
        box_masks(boxes, explained.size, explained.size, static_cast<double>(margin), DType::f64, test_device());
    for (int64_t n = 0; n < mask.dim(0); ++n)
      EXPECT_EQ(distance(summarise("mask", map_of(mask, n), fixture.seed()),
                         summary_at(fixture.tensor(str("mask/", explained.size, "/", margin)), n)),
                0)
          << "mask of image " << n;

    const auto parameters = parameters_of(explained.model);
    const auto expect_penalty = [&](const Explanation& cam) {
      const Tensor penalty = box_penalty(cam.cam, mask);
      const double theirs = fixture.values(key + "/penalty")[0];
      EXPECT_NEAR(penalty.item(), theirs, 1e-9 * theirs);
      expect_rows(parameters, grad({penalty}, tensors_of(parameters)), fixture.json("names")[c["model"]]["parameters"],
                  fixture.tensor(key + "/gradients"), fixture.seed(), 1e-6);
    };
    expect_penalty(explained.general());
    if (explained.feeds_head) expect_penalty(explained.closed());
  }
}

}  // namespace
}  // namespace boxcam
