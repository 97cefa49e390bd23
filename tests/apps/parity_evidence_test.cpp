// The signed split in a training step against PyTorch: its terms, the loss, and the gradient of every parameter.
#include "apps/train_step.h"
#include "models/resnet.h"
#include "nn/data/composite.h"
#include "nn/input.h"
#include "tests/fixture.h"

namespace boxcam {
namespace {

/// The pictures of the case "swap": 1 to 3 over the ground of 0, and 0 with the shape of 1 over that of 3, its object
/// filled.
Batch swapped_pictures(int64_t count, int size, const BoxLists& boxes, double margin, uint64_t seed) {
  Batch batch;
  batch.size = count, batch.image_size = size;
  const std::vector<double> values = filled_images(count, size, DType::f64, seed).to(Device::cpu).to_vector();
  std::vector<uint8_t> before;
  for (const double v : values)
    before.push_back(static_cast<uint8_t>(std::clamp(std::floor(128 + 40 * v + 0.5), 0.0, 255.0)));
  const size_t bytes = before.size() / static_cast<size_t>(count);
  const auto mask = [&](size_t n) { return soft_mask(boxes[n], size, margin); };
  const SoftMask hiding = soft_mask(boxes[3], size, margin + size / 32.0);
  batch.images = before;
  composite(mask(1), &before[0], filled_with_mean(hiding, &before[3 * bytes]).data(), &batch.images[0]);
  for (size_t n = 1; n < boxes.size(); ++n)
    composite(mask(n), &before[n * bytes], &before[0], &batch.images[n * bytes]);
  return batch;
}

TEST(EvidenceSplitParity, TermsAndGradientsOfTheTrainingStep) {
  constexpr double kTolerance = 1e-6;
  const Fixture fixture("evidence_split.safetensors");
  double worst = 0;
  for (const nlohmann::json& c : fixture.json("cases")) {
    const std::string key = c["case"];
    SCOPED_TRACE(key);
    const int64_t batch = c["batch"], size = c["size"];
    const auto boxes = boxes_of(fixture.tensor("boxes"), batch);
    StepInput input{filled_images(batch, size, DType::f64, fixture.seed()),
                    filled_labels(batch, fixture),
                    boxes,
                    boxes,
                    std::vector<std::string>(batch, "image"),
                    c["boxes"] == "inverse"};
    if (key == "swap") {
      const Batch pictures = swapped_pictures(batch, static_cast<int>(size), boxes, c["margin"], fixture.seed());
      const size_t bytes = pictures.images.size() / static_cast<size_t>(batch);
      for (int64_t n = 0; n < batch; ++n) {
        const std::vector<double> one(pictures.images.begin() + static_cast<std::ptrdiff_t>(n * bytes),
                                      pictures.images.begin() + static_cast<std::ptrdiff_t>((n + 1) * bytes));
        EXPECT_EQ(distance(summarise("pictures", one, fixture.seed()), summary_at(fixture.tensor("swap/pictures"), n)),
                  0);
      }
      input.x = input_tensor(pictures).to(DType::f64).to(test_device());
    }
    Method method;
    method.explain.taps = {"layer3"};  // the split is at the head's tap, whatever is explained
    method.evidence_split = c["mu"];
    method.penalty.margin = c["margin"];

    ResNet CL = filled_resnet(c["model"], fixture, DType::f64);
    Metrics metrics(fixture.classes());
    std::vector<Tensor> gradients;
    double loss = 0;
    const StepReport terms = TrainStep(CL, method, {})(input, 0, metrics, {[&](int number, const Step& step) {
                                                         if (number != 6) return;
                                                         gradients = step.gradients, loss = step.loss.item();
                                                       }});
    const std::vector<double> theirs = fixture.values(key + "/terms");
    EXPECT_NEAR(terms.evidence_cross_entropy, theirs[0], 1e-9);
    EXPECT_NEAR(terms.evidence_penalty, theirs[1], 1e-9);
    EXPECT_NEAR(loss, theirs[2], 1e-9);
    EXPECT_NEAR(method.loss(terms), theirs[2], 1e-9);
    worst = std::max(worst, worst_of_rows(parameters_of(CL), gradients, fixture.json("names")["parameters"],
                                          fixture.tensor(key + "/gradients"), fixture.seed(), kTolerance));
  }
  print_worst("signed split", worst, kTolerance);
}

}  // namespace
}  // namespace boxcam
