// What every model of the table keeps, whichever comes next: taps on the way to the logits, a head behind the last one,
// copies that share nothing, files that say how many classes there are, and passes that look on and move nothing.
#include "models/models.h"

#include <gtest/gtest.h>

#include <set>

#include "engine/base/random.h"
#include "models/weights.h"

namespace boxcam {
namespace {

constexpr int64_t kClasses = 3, kSize = 32;

Tensor images(int64_t n, DType dtype = DType::f32) {
  Random random(1, stream_of("models_test"));
  std::vector<double> values(static_cast<size_t>(n * kSize * kSize * 3));
  for (double& v : values) v = random.normal();
  return Tensor::from({n, kSize, kSize, 3}, values).to(dtype);
}

std::vector<std::vector<double>> contents(const Classifier& model) {
  std::vector<std::vector<double>> all;
  for (const NamedTensor& t : model.named_tensors()) all.push_back(t.tensor.to_vector());
  return all;
}

/// f(model) for a fresh one of every kind but the larger siblings of resnet18, which take long: resnet_test has them.
template <class F>
void for_each_model(F f) {
  const std::set<std::string> larger = {"resnet34", "resnet50", "resnet50-v1", "resnet101", "resnet152"};
  for (const ModelKind& kind : model_kinds()) {
    if (larger.contains(kind.name)) continue;
    SCOPED_TRACE(kind.name);
    const std::unique_ptr<Classifier> model = kind.make(kClasses, DType::f32, 1);
    EXPECT_EQ(model->name(), kind.name);
    EXPECT_EQ(model->classes(), kClasses);
    f(*model, kind);
  }
}

TEST(EveryModel, HasTapsOnTheWayToItsLogits) {
  for_each_model([](Classifier& model, const ModelKind&) {
    const std::vector<std::string> taps = model.tap_names();
    EXPECT_EQ(model.default_tap(), taps.back());
    const Forward pass = model.forward(images(2), ForwardOptions::observing(Mode::train), taps);
    EXPECT_EQ(pass.logits.shape(), (Shape{2, kClasses}));
    std::vector<Tensor> activations;
    for (const std::string& tap : taps) {
      activations.push_back(pass.taps.at(tap));
      ASSERT_EQ(activations.back().ndim(), 4) << tap;
      EXPECT_EQ(activations.back().dim(0), 2) << tap;
    }
    const std::vector<Tensor> gradients = grad({sum(pass.logits)}, activations);
    for (size_t i = 0; i < taps.size(); ++i) EXPECT_GT(sum(abs(gradients[i])).item(), 0) << taps[i];
    EXPECT_TRUE(model.forward(images(1), ForwardOptions::observing()).taps.empty());
    EXPECT_THROW(model.forward(images(1), ForwardOptions::observing(), {"no-such-tap"}), Error);
  });
}

TEST(EveryModel, HeadOfTheDefaultTapIsTheWayToTheLogits) {
  for_each_model([](Classifier& model, const ModelKind& kind) {
    const Tensor W = model.head_of(model.default_tap());
    ASSERT_TRUE(W.defined());
    const Forward pass = model.forward(images(2), ForwardOptions::observing(), {model.default_tap()});
    Tensor bias;
    for (const NamedTensor& t : model.named_tensors()) {
      EXPECT_EQ(t.head, names_part(kind.head, t.name)) << t.name;
      if (t.name == kind.head + ".bias") bias = t.tensor;
    }
    const Tensor pooled = global_avg_pool(pass.taps.at(model.default_tap()));
    const auto ours = (matmul(pooled, W, {.transpose_b = true}) + bias).to_vector(), theirs = pass.logits.to_vector();
    for (size_t i = 0; i < ours.size(); ++i) EXPECT_NEAR(ours[i], theirs[i], 1e-6);
    EXPECT_FALSE(model.head_of(model.tap_names().front()).defined());
  });
}

TEST(EveryModel, ACopyIsEqualAndSharesNothing) {
  for_each_model([](Classifier& model, const ModelKind&) {
    const auto before = contents(model);
    const std::unique_ptr<Classifier> copy = model.copy();
    EXPECT_EQ(contents(*copy), before);
    copy->forward(images(2), ForwardOptions::training());
    for (Tensor t : copy->parameters()) t.copy_from(Tensor::zeros(t.shape()));
    EXPECT_EQ(contents(model), before);
    model.copy_from(*copy);
    EXPECT_EQ(contents(model), contents(*copy));
  });
}

TEST(EveryModel, OnlyThePassThatPredictsMovesStatistics) {
  for_each_model([](Classifier& model, const ModelKind&) {
    const auto before = contents(model);
    model.forward(images(2), ForwardOptions::observing(Mode::train));
    model.forward(images(2), ForwardOptions::observing());
    EXPECT_EQ(contents(model), before);
    model.forward(images(2), ForwardOptions::training());
    EXPECT_NE(contents(model), before);
  });
}

// Folded where nothing is recorded: the same but for rounding.
TEST(EveryModel, ComputesTheSameWithAndWithoutRecording) {
  for_each_model([](Classifier& model, const ModelKind&) {
    model.forward(images(3), ForwardOptions::training());
    const auto recorded = model.forward(images(2), ForwardOptions::observing()).logits.to_vector();
    const NoGrad no_grad;
    const auto plain = model.forward(images(2), ForwardOptions::observing()).logits.to_vector();
    for (size_t i = 0; i < plain.size(); ++i) EXPECT_NEAR(plain[i], recorded[i], 1e-4 * (1 + std::abs(recorded[i])));
  });
}

TEST(EveryModel, NamesItsTensorsOnceAndItsPartsInOrder) {
  for_each_model([](Classifier& model, const ModelKind& kind) {
    std::set<std::string> names;
    for (const NamedTensor& t : model.named_tensors()) EXPECT_TRUE(names.insert(t.name).second) << t.name;
    const std::vector<std::string> parts = model.parts();
    EXPECT_EQ(std::set(parts.begin(), parts.end()).size(), parts.size());
    EXPECT_EQ(parts.back(), kind.head);
    EXPECT_EQ(static_cast<int64_t>(model.parameters().size()),
              static_cast<int64_t>(only_parameters(model.named_tensors()).size()));
  });
}

TEST(EveryModel, AFileSaysHowManyClassesItHas) {
  for_each_model([](Classifier& model, const ModelKind& kind) {
    const TensorFile file = export_weights(model.named_tensors());
    EXPECT_EQ(classes_in(file, kind), kClasses);
    const auto other = kind.make(kClasses, DType::f32, 2);
    load_weights(other->named_tensors(), file);
    EXPECT_EQ(contents(*other), contents(model));
    EXPECT_THROW(classes_in(TensorFile{}, kind), Error);
  });
}

// Of the larger ones parity_resnet_test reads files by these names.
TEST(EveryModel, NamesItsTensorsWithoutBeingMade) {
  for_each_model([](const Classifier& model, const ModelKind& kind) {
    std::vector<std::string> names;
    for (const NamedTensor& t : model.named_tensors()) names.push_back(t.name);
    EXPECT_EQ(tensor_names(kind), names);
  });
}

TEST(Plain, HasFourStagesThatHalveThePicture) {
  const auto model = make_classifier("plain-mini", 4);
  EXPECT_EQ(model->parameter_count(), 27 * 16 + 144 * 32 + 288 * 64 + 576 * 64 + 2 * (16 + 32 + 64 + 64) + 65 * 4);
  const Forward pass = model->forward(images(2), ForwardOptions::observing(), {"stage1", "stage4"});
  EXPECT_EQ(pass.taps.at("stage1").shape(), (Shape{2, 16, 16, 16}));
  EXPECT_EQ(pass.taps.at("stage4").shape(), (Shape{2, 2, 2, 64}));
}

TEST(Models, AreFoundByName) {
  EXPECT_EQ(model_names().front(), "resnet50");
  EXPECT_EQ(make_classifier("resnet-mini", 4)->name(), "resnet-mini");
  try {
    model_kind("resnet5");
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("did you mean 'resnet50'"), std::string::npos) << e.what();
  }
}

}  // namespace
}  // namespace boxcam
