// The signed split in a training step against PyTorch: its terms, the loss, and the gradient of every parameter.
#include "apps/train_step.h"
#include "models/resnet.h"
#include "tests/fixture.h"

namespace boxcam {
namespace {

TEST(EvidenceSplitParity, TermsAndGradientsOfTheTrainingStep) {
  constexpr double kTolerance = 1e-6;
  const Fixture fixture("evidence_split.safetensors");
  double worst = 0;
  for (const nlohmann::json& c : fixture.json("cases")) {
    const std::string key = c["case"];
    SCOPED_TRACE(key);
    const int64_t batch = c["batch"], size = c["size"];
    const auto boxes = boxes_of(fixture.tensor("boxes"), batch);
    const StepInput input{filled_images(batch, size, DType::f64, fixture.seed()),
                          filled_labels(batch, fixture),
                          boxes,
                          boxes,
                          std::vector<std::string>(batch, "image"),
                          c["boxes"] == "inverse"};
    Method method;
    method.explain.taps = {"layer3"};  // the split is at the head's tap, whatever is explained
    method.evidence_split = c["mu"];
    method.penalty.margin = c["margin"];

    ResNet CL = filled_resnet(c["model"], fixture, DType::f64);
    Metrics metrics(fixture.classes());
    std::vector<Tensor> gradients;
    double loss = 0;
    const LossTerms terms = TrainStep(CL, method, {})(input, 0, metrics, {[&](int number, const Step& step) {
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
