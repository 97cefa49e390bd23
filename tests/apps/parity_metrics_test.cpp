// Metrics that change the picture against pytorch-grad-cam's own classes, and RISE's curves and kernel against SciPy
// and PyTorch (make_metrics of fixtures/make_parity_fixtures.py).
#include "models/resnet.h"
#include "tests/fixture.h"
#include "xai/cam_metrics.h"
#include "xai/imputation.h"
#include "xai/perturbation.h"

namespace boxcam {
namespace {

/// The fixture's network, pictures and maps.
struct Measured {
  Fixture fixture{"metrics.safetensors"};
  nlohmann::json of = fixture.json("cases")[0];
  ResNet model = filled_resnet(of["model"], fixture, DType::f64);
  MetricPictures pictures;

  /// `rounded`: to f32, which is all that the library imputes.
  explicit Measured(bool rounded) {
    Tensor x = filled_images(of["batch"], of["size"], DType::f64, fixture.seed());
    if (rounded) x = x.to(DType::f32).to(DType::f64);
    const Tensor labels = filled_labels(of["batch"], fixture).to(Device::cpu);
    pictures.x = x;
    pictures.classes.assign(labels.data<int32_t>(), labels.data<int32_t>() + labels.numel());
    pictures.logits = [this](const Tensor& shown) { return model.forward(shown, ForwardOptions::observing()).logits; };
    const NoGrad no_grad;
    const Tensor probabilities = softmax(pictures.logits(x));
    for (int64_t n = 0; n < x.dim(0); ++n) {
      pictures.scores.push_back(probabilities.to_vector()[n * fixture.classes() + pictures.classes[n]]);
      pictures.indices.push_back(n);
    }
    pictures.noise = 0;
  }

  MetricScores scores(const std::string& name) const {
    const Tensor& cam = fixture.tensor("maps");
    Maps maps(cam);
    MetricGround ground(Tensor::zeros(cam.shape(), DType::f64), pictures);
    MetricScores result;
    EXPECT_TRUE(measure(cam_metric(name), maps, ground, result));
    return result;
  }
};

/// Field `ours` of every image against column `theirs` of a table of PyTorch's.
void expect_fields(const MetricScores& scores, int ours, const Tensor& table, int theirs, double tolerance) {
  ASSERT_EQ(scores.size(), table.dim(0));
  for (int64_t n = 0; n < scores.size(); ++n)
    EXPECT_NEAR(scores.field(n, ours), table.to_vector()[n * table.dim(1) + theirs], tolerance) << n;
}

// The library keeps imputed values and scores in f32; scores are at most 1.
TEST(MetricsParity, RoadOfPytorchGradCam) {
  const Measured measured(true);
  const MetricScores scores = measured.scores("road-pgc");
  for (int field = 0; field < 3; ++field) expect_fields(scores, field, measured.fixture.tensor("road"), field, 1e-6);
  // Where no two values are equal, ranks and percentiles take the same pixels, but for one where they round otherwise.
  const MetricScores by_rank = measured.scores("road");
  for (int field = 0; field < 3; ++field) expect_fields(by_rank, field, measured.fixture.tensor("road"), field, 2e-4);
}

TEST(MetricsParity, ThePictureThatTheLibraryImputes) {
  const Measured measured(true);
  const Maps maps(measured.fixture.tensor("maps"));
  const Tensor x = slice(measured.pictures.x.to(Device::cpu), 0, 0, 1);
  const std::vector<double> ours =
      impute(x, removed_by_percentile(maps.map(0), measured.of["percentile"]), 1e-12).to_vector();
  const Summary theirs = summary_at(measured.fixture.tensor("imputed"), 0);
  EXPECT_LE(distance(summarise("imputed", ours, measured.fixture.seed()), theirs), 1e-6 * theirs.norm);
}

TEST(MetricsParity, DropAndIncreaseOfPytorchGradCam) {
  const Measured measured(false);
  expect_fields(measured.scores("drop"), 1, measured.fixture.tensor("drop"), 0, 1e-6);  // scores in f32
  expect_fields(measured.scores("increase"), 0, measured.fixture.tensor("drop"), 1, 0);
}

TEST(MetricsParity, InsertionAndDeletionOfRise) {
  const Measured measured(false);
  expect_fields(measured.scores("insertion"), 0, measured.fixture.tensor("rise"), 0, 1e-11);
  expect_fields(measured.scores("deletion"), 0, measured.fixture.tensor("rise"), 1, 1e-11);
}

TEST(MetricsParity, TheKernelOfSciPy) {
  const std::vector<double> along = rise_kernel(), theirs = Fixture("metrics.safetensors").values("kernel");
  std::vector<double> ours;
  for (const double down : along)
    for (const double across : along) ours.push_back(down * across);
  EXPECT_LE(largest_difference(ours, theirs), 1e-16);
}

}  // namespace
}  // namespace boxcam
