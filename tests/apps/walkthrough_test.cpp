// apps/walkthrough: what it tells is what the step did; its page needs nothing but itself.
#include <gtest/gtest.h>

#include <cmath>

#include "apps/walkthrough/figures.h"
#include "apps/walkthrough/story.h"
#include "apps/walkthrough/story_page.h"
#include "apps/walkthrough/story_text.h"
#include "nn/files/safetensors.h"
#include "tests/programs.h"

namespace boxcam {
namespace {

Arguments tiny_walk() {
  return {{"--model", "resnet-mini"},
          {"--image-size", "32"},
          {"--batch", "8"},
          {"--train-images", "8"},
          {"--threads", "1"}};
}

Outcome walk(const Arguments& more) {
  const Outcome result = run_program("walkthrough", with(tiny_walk(), more));
  EXPECT_EQ(result.status, 0) << result.err;
  return result;
}

TensorFile dump(const TemporaryFolder& folder, const Arguments& more) {
  walk(with(more, {{"--dump", folder / "dump.safetensors"}}));
  return read_safetensors(folder / "dump.safetensors");
}

/// |a - b| / |b|
double distance(const std::vector<double>& a, const std::vector<double>& b) {
  EXPECT_EQ(a.size(), b.size());
  double difference = 0, norm = 0;
  for (size_t i = 0; i < a.size(); ++i) difference += std::pow(a[i] - b[i], 2), norm += b[i] * b[i];
  return std::sqrt(difference / norm);
}
double distance(const Tensor& a, const Tensor& b) { return distance(a.to_vector(), b.to_vector()); }

WalkOptions tiny_options() {
  WalkOptions o;
  o.data.image_size = 32, o.data.batch = 8, o.data.train_images = 16;
  o.model.model = "resnet-mini";
  o.train.method.penalty.lambda = 1;
  return o;
}

std::string text_of(const Story& story, const WalkOptions& o) {
  std::ostringstream text;
  print_story(text, story, o);
  return text.str();
}

// Closed forms are compared within f32's rounding: the step may take a fused kernel.
TEST(Walkthrough, DumpHoldsWhatXaiComputes) {
  const TemporaryFolder folder;
  const TensorFile file = dump(folder, {});
  const auto at = [&](const std::string& name) { return file.at(name).tensor; };
  EXPECT_EQ(at("step1.activations").shape(), (Shape{8, 4, 4, 64}));
  EXPECT_EQ(at("step1.logits").shape(), (Shape{8, 4}));
  EXPECT_EQ(at("step4.mask").shape(), (Shape{8, 32, 32}));
  const Explanation cam =
      explain_linear_head(at("model.fc.weight"), at("input.labels"), at("step1.activations"), 32, 32);
  EXPECT_LT(distance(at("step1.alpha"), cam.alpha[0]), 1e-6);
  EXPECT_LT(distance(at("step1.cam_raw"), cam.raw[0]), 1e-5);
  EXPECT_LT(distance(at("step1.cam"), cam.cam), 1e-5);
  EXPECT_NEAR(at("loss.penalty").item(), box_penalty(at("step1.cam"), at("step4.mask")).item(), 1e-6);
  EXPECT_NEAR(at("loss.cross_entropy").item(), cross_entropy(at("step2.logits"), at("input.labels")).item(), 1e-6);
  EXPECT_NEAR(at("loss.total").item(), at("loss.cross_entropy").item() + at("loss.penalty").item(), 1e-6);
  // dP/dA = alpha G at layer4.
  const Tensor G = at("step4.cam_raw_gradient"), alpha = at("step1.alpha");
  EXPECT_LT(distance(at("grad_penalty.activations.layer4"), reshape(G, {8, 4, 4, 1}) * reshape(alpha, {8, 1, 1, 64})),
            1e-5);
}

TEST(Walkthrough, SeveralTapsAreDumpedByName) {
  const TemporaryFolder folder;
  const TensorFile file = dump(folder, {{"--tap", "layer3,layer4"}});
  std::vector<Tensor> maps;
  for (const std::string tap : {"layer3", "layer4"}) {
    const Tensor A = file.at("step1.activations." + tap).tensor, alpha = file.at("step1.alpha." + tap).tensor;
    maps.push_back(file.at("step1.cam_raw." + tap).tensor);
    EXPECT_LT(distance(maps.back(), sum(A * reshape(alpha, {8, 1, 1, A.dim(3)}), {3})), 1e-5);
    EXPECT_EQ(file.at("grad_penalty.activations." + tap).shape(), A.shape());
  }
  const Tensor C = normalize_cam(maps, 32, 32, CamProfile::pgc_1_4, CamNormalizer::constant);
  EXPECT_LT(distance(file.at("step1.cam").tensor, C), 1e-5);
}

/// The weights of `train` after one step are those of the dump minus the learning rate times its gradients.
TEST(Walkthrough, GradientsAreThoseOfTrain) {
  const std::pair<const char*, Arguments> readings[] = {{"full", {}},
                                                        {"layer3", {{"--tap", "layer3"}, {"--cam-batch-norm", "eval"}}},
                                                        {"transfer", {{"--penalty-gradient", "transfer"}}},
                                                        {"leak", {{"--penalty-gradient", "leak"}}},
                                                        {"thesis", {{"--thesis", ""}, {"--batch", "8"}}}};
  for (const auto& [name, reading] : readings) {
    SCOPED_TRACE(name);
    const TemporaryFolder folder;
    const Arguments step = with(reading, {{"--lambda", "2"}, {"--seed", "3"}});
    const TensorFile told = dump(folder, step);
    train(folder / "run", with(with(step, tiny_walk()), {{"--epochs", "1"},
                                                         {"--val-images", "8"},
                                                         {"--test-images", "8"},
                                                         {"--lr", "0.25"},
                                                         {"--momentum", "0"},
                                                         {"--weight-decay", "0"}}));
    const TensorFile after = read_safetensors(folder / "run/last.safetensors");
    int parameters = 0;
    double taught = 0;
    for (const FileTensor& t : told.tensors) {
      if (!t.name.starts_with("grad.")) continue;
      ++parameters;
      const std::string parameter = t.name.substr(5);
      const auto before = told.at("model." + parameter).tensor.to_vector(),
                 now = after.at(parameter).tensor.to_vector();
      const auto gradient = t.tensor.to_vector();
      std::vector<double> change;
      for (size_t i = 0; i < now.size(); ++i) change.push_back((before[i] - now[i]) / 0.25);
      EXPECT_LT(distance(change, gradient), 1e-4) << parameter;

      const std::string term = std::string(name) == "leak" ? "grad_leak." : "grad_penalty.";
      const auto ce = told.at("grad_cross_entropy." + parameter).tensor, other = told.at(term + parameter).tensor;
      EXPECT_LT(distance(ce + other, t.tensor), 1e-4) << parameter;
      taught += norm_of(told.at("grad_penalty." + parameter).tensor);
    }
    EXPECT_EQ(parameters, 38);
    EXPECT_EQ(taught == 0, std::string(name) == "leak" || std::string(name) == "thesis");
  }
}

TEST(Walkthrough, TheLastStageGivesTheCam) {
  for (const CamProfile profile : {CamProfile::pgc_1_4, CamProfile::pgc_1_3_1, CamProfile::paper}) {
    WalkOptions o = tiny_options();
    o.train.method.explain.cam.profile = profile;
    const Story story = tell_step(o);
    const Tensor C = scale_cam(story.stages[0].back().maps, CamNormalizer::constant);
    EXPECT_LT(distance(story.step.C, C), 1e-5);
    EXPECT_TRUE(contains(page_of(story, o), "</html>"));
  }
}

TEST(Walkthrough, SaysWhichTensorsChangedWhen) {
  WalkOptions o = tiny_options();
  const Story shared = tell_step(o);
  EXPECT_EQ(shared.costs[0].buffers, 36);  // the pass that is explained is the one that moves running statistics
  EXPECT_EQ(shared.costs[1].buffers, 0);
  EXPECT_EQ(shared.costs[5].parameters, 38);
  EXPECT_EQ(shared.costs[6].parameters, 0);

  o.train.method.reading.cam_model = Reading::CamModel::copy;
  o.train.method.reading.batch_norm = Reading::BatchNorm::eval;
  o.train.method.reading.teaches = Reading::Teaches::constant;
  const Story copy = tell_step(o);
  EXPECT_EQ(copy.costs[0].buffers, 0);
  EXPECT_EQ(copy.costs[1].buffers, 36);
  for (int i = 0; i < 7; ++i) EXPECT_EQ(copy.costs[i].copied, 0) << i;
  EXPECT_EQ(copy.costs[7].copied, 74);
  EXPECT_EQ(copy.costs[7].parameters, 0);
  EXPECT_GT(copy.copy.bytes, 4u * 151924);
}

TEST(Walkthrough, SaysWhenThePenaltyTeachesNothing) {
  WalkOptions o = tiny_options();
  EXPECT_FALSE(contains(text_of(tell_step(o), o), "teaches nothing"));
  o.train.method.penalty.lambda = 0;
  EXPECT_TRUE(contains(text_of(tell_step(o), o), "it teaches nothing in this step"));
  o.train.method.penalty.lambda = 25;
  o.train.method.reading.teaches = Reading::Teaches::constant;
  const Story story = tell_step(o);
  EXPECT_FALSE(story.penalty.teaches);
  for (const std::string& text : {text_of(story, o), page_of(story, o)}) {
    EXPECT_TRUE(contains(text, "moves no"));
    EXPECT_TRUE(contains(text, "it teaches nothing in this step"));
  }
}

TEST(Walkthrough, SaysHowManyPassesAndWhatIsClipped) {
  WalkOptions o = tiny_options();
  o.train.method.clip_grad_norm = 0.125;
  const Story clipped = tell_step(o);
  EXPECT_NEAR(norm_of(clipped.step.gradients), 0.125, 1e-5);
  const auto words = [&](const Story& story) { return chapters(story, o)[5].words; };
  EXPECT_TRUE(contains(words(clipped), "in one pass through the graph; the total is clipped to the norm 0.125; then"));

  o.train.method.penalty.lambda = 0;  // the scores leak all the same
  o.train.method.reading.teaches = Reading::Teaches::leak;
  o.train.method.reading.batch_norm = Reading::BatchNorm::eval;
  o.train.method.clip_grad_norm = 0;
  const Story leak = tell_step(o);
  EXPECT_TRUE(contains(words(leak), "in two passes whose results are added; then the update"));
  EXPECT_TRUE(contains(text_of(leak, o), "|dΣ score|"));
  EXPECT_TRUE(contains(page_of(leak, o), "dΣ score/dA"));
}

TEST(Walkthrough, SaysWhatEmptyCamsDo) {
  WalkOptions o = tiny_options();
  Story story = tell_step(o);
  const NoGrad no_grad;
  story.step.C = story.step.C * 0.0;
  story.asked[0] = story.asked[0] * 0.0;
  EXPECT_TRUE(
      contains(chapters(story, o)[0].findings[0], "above 0, or M the same in every cell) has no penalty and no"));
  EXPECT_TRUE(contains(chapters(story, o)[3].findings[0], "no CAM asks anything of M."));
  o.train.method.penalty.loss = &cam_losses()[3];
  EXPECT_TRUE(contains(chapters(story, o)[0].findings[0], "has a penalty, but no gradient"));
  o.train.method.explain.cam.profile = CamProfile::pgc_1_3_1;
  EXPECT_TRUE(contains(chapters(story, o)[0].findings[0], "(M the same in every cell)"));
}

TEST(Html, HistogramCountsZerosApart) {
  MagnitudeHistogram histogram;
  const float values[] = {0, -0.0f, 1e-30f, 1.5e-12f, -1.5f, 1e30f};
  histogram.add(values);
  EXPECT_EQ(histogram.zeros, 3);
  EXPECT_EQ(histogram.all, 6);
  EXPECT_EQ(histogram.counts.front(), 1);
  EXPECT_EQ(histogram.counts[12 * MagnitudeHistogram::kPerDecade], 1);
  EXPECT_EQ(histogram.counts.back(), 1);
}

TEST(Html, NumbersAsTheyArePrinted) {
  EXPECT_EQ(number_html(-0.0), "0");
  EXPECT_EQ(number_html(-0.0123), "−0.0123");
  EXPECT_EQ(number_html(1.2e-7), "1.2 × 10<sup>−7</sup>");
  EXPECT_EQ(number_html(std::nan("")), "–");
}

TEST(Walkthrough, ThePageIsCompleteAndNeedsNoNetwork) {
  const TemporaryFolder folder;
  for (const char* size : {"32", "64"}) {
    const std::string name = std::string(size) + "-page.html";
    const Outcome result = walk({{"--html", folder / name},
                                 {"--image-size", size},
                                 {"--tap", "layer3,layer4"},
                                 {"--margin", "3"},
                                 {"--unboxed", "skip"},
                                 {"--boxes", "shuffled"}});
    EXPECT_TRUE(contains(result.out, name));
    std::string page = bytes_of(folder / name);
    EXPECT_TRUE(page.starts_with("<!DOCTYPE html>"));
    EXPECT_TRUE(page.ends_with("</html>\n"));
    for (int step = 1; step <= 8; ++step)
      EXPECT_TRUE(contains(page, "<section id=\"step" + std::to_string(step) + "\">"));
    size_t pictures = 0;
    for (const char* attribute : {" src=\"", " href=\""})
      for (size_t at = 0; (at = page.find(attribute, at)) != std::string::npos; ++at, ++pictures)
        EXPECT_EQ(page.substr(page.find('"', at) + 1, 5), "data:");
    EXPECT_GT(pictures, 4u * 12);
    for (size_t at = 0; (at = page.find("data:image", at)) != std::string::npos;)
      page.erase(at, page.find('"', at) - at);
    for (const char* absent : {"http:", "https:", "url(", "<script", "@import", "nan", "inf"}) {
      const size_t at = page.find(absent);
      EXPECT_EQ(at, std::string::npos) << absent << ": " << page.substr(at < 60 ? 0 : at - 60, 120);
    }
  }
}

TEST(Walkthrough, TellsOfACheckpoint) {
  const TemporaryFolder folder;
  train(folder / "run");
  const std::string checkpoint = folder / "run/best.safetensors";
  const TensorFile file = dump(folder, {{"--checkpoint", checkpoint}});
  EXPECT_EQ(file.at("model.fc.weight").tensor.to_vector(),
            read_safetensors(checkpoint).at("fc.weight").tensor.to_vector());
}

TEST(Walkthrough, ErrorsNameWhatIsWrong) {
  const auto error = [](const Arguments& more) {
    const Outcome result = run_program("walkthrough", with(tiny_walk(), more));
    EXPECT_EQ(result.status, 1);
    EXPECT_EQ(result.out, "");
    return result.err;
  };
  EXPECT_TRUE(contains(error({{"--checkpoint", "/nowhere/best.safetensors"}}), "/nowhere/best.safetensors"));
  EXPECT_TRUE(contains(error({{"--html", "/nowhere/page.html"}}), "--html: cannot write /nowhere/page.html"));
  EXPECT_TRUE(contains(error({{"--dump", "/nowhere/a.safetensors"}}), "--dump: cannot write /nowhere/a.safetensors"));
  EXPECT_TRUE(contains(error({{"--batch", "9"}}), "--batch 9: the training split has 8 images"));
  const TemporaryFolder folder;
  EXPECT_TRUE(
      contains(error({{"--html", folder / "a"}, {"--dump", folder / "a"}}), "name the same file, " + folder / "a"));
  EXPECT_TRUE(contains(error({{"--checkpoint", "a"}, {"--weights", "b"}}), "--checkpoint and --weights"));
}

}  // namespace
}  // namespace boxcam
