// The sanity check of a model, and evaluate --sanity.
#include "xai/sanity.h"

#include "models/models.h"
#include "tests/gradcheck.h"
#include "tests/programs.h"

namespace boxcam {
namespace {

struct Checked {
  std::unique_ptr<Classifier> model = make_classifier("resnet-mini", 4, DType::f64, 1);
  std::unique_ptr<Classifier> fresh = make_classifier("resnet-mini", 4, DType::f64, 2);
  Tensor x = random_tensor({2, 24, 24, 3}, 3), labels = Tensor::from({2}, std::vector<int32_t>{1, 2});
  std::vector<const Explainer*> explainers = {&explainer("layer-cam"), &explainer("eigen-cam")};
  ExplainOptions options;

  Tensor cam(Classifier& of, const Explainer* e) {
    ExplainOptions o = options;
    settle_taps(o, of);
    o.cam.explainer = e;
    const Forward pass = explained_forward(of, x, ForwardOptions::observing(), o);
    return explain(of, x, pass, labels, o).cam;
  }
};

TEST(Randomise, ChangesOnePartAndNoOther) {
  Checked s;
  const auto trained = s.model->copy();
  randomise(*s.model, *s.fresh, "layer2");
  const auto now = s.model->named_tensors(), before = trained->named_tensors(), fresh = s.fresh->named_tensors();
  for (size_t i = 0; i < now.size(); ++i) {
    const auto& expected = s.model->part_of(now[i].name) == "layer2" ? fresh[i] : before[i];
    EXPECT_EQ(now[i].tensor.to_vector(), expected.tensor.to_vector()) << now[i].name;
  }
}

TEST(SanityCheck, GoesThroughThePartsFromTheHeadOnBothWays) {
  Checked s;
  const auto trained = s.model->copy();
  SanityCheck check(*s.model, *s.fresh, s.explainers, s.options);
  check.add(s.x, s.labels);
  const std::vector<std::string> parts = {"fc", "layer4", "layer3", "layer2", "layer1", "stem"};
  ASSERT_EQ(check.rows().size(), 12u);
  for (size_t i = 0; i < 12; ++i) {
    EXPECT_EQ(check.rows()[i].part, parts[i % 6]);
    EXPECT_EQ(check.rows()[i].how, i < 6 ? Randomisation::cascading : Randomisation::independent);
    for (const MapSimilarity& m : check.rows()[i].explainers) EXPECT_EQ(m.images, 2);
  }
  // The head alone is the first row of both; Eigen-CAM does not read it.
  EXPECT_EQ(check.rows()[0].explainers[0].rank(), check.rows()[6].explainers[0].rank());
  EXPECT_LT(check.rows()[0].explainers[0].rank(), 0.99);
  EXPECT_DOUBLE_EQ(check.rows()[0].explainers[1].rank(), 1);
  EXPECT_DOUBLE_EQ(check.rows()[6].explainers[1].ssim(), 1);
  // At the end of the cascade nothing is left of the model: its maps are those of the fresh one.
  for (size_t i = 0; i < 2; ++i) {
    MapSimilarity expected;
    const auto before = s.cam(*trained, s.explainers[i]).to_vector(),
               after = s.cam(*s.fresh, s.explainers[i]).to_vector();
    for (size_t n = 0; n < 2; ++n) expected.add({&before[n * 576], 576}, {&after[n * 576], 576}, 24, 24);
    EXPECT_DOUBLE_EQ(check.rows()[5].explainers[i].rank(), expected.rank());
    EXPECT_DOUBLE_EQ(check.rows()[5].explainers[i].ssim(), expected.ssim());
  }
  const auto now = s.model->named_tensors(), was = trained->named_tensors();
  for (size_t i = 0; i < now.size(); ++i) EXPECT_EQ(now[i].tensor.to_vector(), was[i].tensor.to_vector());
}

// The class that the trained network predicts is explained, whatever the changed one would predict.
TEST(SanityCheck, KeepsThePredictedClass) {
  Checked s;
  s.options.explains = ExplainOptions::Class::predicted;
  SanityCheck of_prediction(*s.model, *s.fresh, s.explainers, s.options);
  of_prediction.add(s.x, s.labels);
  const Tensor predicted =
      reshape(argmax(s.model->forward(s.x, ForwardOptions::observing()).logits.detach()), s.labels.shape());
  s.options.explains = ExplainOptions::Class::label;
  SanityCheck of_label(*s.model, *s.fresh, s.explainers, s.options);
  of_label.add(s.x, predicted);
  for (size_t i = 0; i < 12; ++i)
    EXPECT_EQ(of_prediction.rows()[i].explainers[0].rank_sum, of_label.rows()[i].explainers[0].rank_sum);
}

TEST(EvaluateSanity, PrintsTablesAndWritesJson) {
  const TemporaryFolder folder;
  train(folder / "run");
  const Arguments options = {{"--checkpoint", folder / "run/best.safetensors"},
                             {"--threads", "1"},
                             {"--split", "validation"},
                             {"--sanity", ""},
                             {"--explainers", "grad-cam,random"},
                             {"--json", folder / "sanity.json"}};
  const Outcome result = run_program("evaluate", options);
  ASSERT_EQ(result.status, 0) << result.err;
  for (const char* part : {"rank correlation, cascading", "SSIM, independent", "grad-cam  ", "random  ", "layer4"})
    EXPECT_NE(result.out.find(part), std::string::npos) << part << "\n" << result.out;
  const nlohmann::json json = json_of(folder / "sanity.json").at("validation").at("sanity");
  EXPECT_EQ(json.at("cascading").size(), 12u);
  EXPECT_EQ(json.at("independent").size(), 12u);
  EXPECT_EQ(json.at("cascading")[1].at("explainer"), "random");
  EXPECT_EQ(json.at("cascading")[1].at("rank_correlation"), 1);  // of the head, which it does not read
  const Outcome both = run_program(
      "evaluate", {{"--checkpoint", folder / "run/best.safetensors"}, {"--sanity", ""}, {"--metrics", "epg"}});
  EXPECT_EQ(both.status, 2);
  EXPECT_NE(both.err.find("--metrics: are of the page of explainers"), std::string::npos) << both.err;
}

}  // namespace
}  // namespace boxcam
