// The programs of docs/examples do what their first line says.
#include <gtest/gtest.h>

#include <regex>

#include "models/models.h"
#include "models/weights.h"
#include "nn/data/scenes/scenes.h"
#include "tests/programs.h"
#include "xai/explain_image.h"

namespace boxcam {
namespace {

Outcome example(const std::string& name, const std::vector<std::string>& words = {}) {
  const Outcome result = Program("../docs/examples/" + name, words).finish();
  EXPECT_EQ(result.status, 0) << result.err;
  return result;
}

/// What `pattern` captures, of each of its matches.
std::vector<double> numbers(const std::string& text, const std::string& pattern) {
  const std::regex regex(pattern);
  std::vector<double> list;
  for (std::sregex_iterator match(text.begin(), text.end(), regex), end; match != end; ++match)
    for (size_t i = 1; i < match->size(); ++i) list.push_back(std::stod(match->str(i)));
  return list;
}

TEST(Examples, GradCamOfAnImage) {
  const TemporaryFolder folder;
  const std::string weights = folder / "weights.safetensors", image = folder / "image.png", out = folder / "out.png";
  const auto model = make_classifier("resnet-mini", 5, DType::f32, 7);
  write_safetensors(weights, export_weights(model->named_tensors()));
  write_png(image, draw_scene(0, ScenesSplit::train, 1, {.image_size = 224}).image);
  const Outcome result = example("grad_cam_of_an_image", {image, out, "resnet-mini", weights});
  ExplainOptions options;
  settle_taps(options, *model);
  const ImageExplanation e = explain_image(*model, read_image(image), -1, options);
  EXPECT_TRUE(contains(result.out, str("class ", e.predicted, ", ")));
  // The heat map is over the picture: where it is hot there is more red than where it is not.
  const Image overlay = read_image(out), plain = read_image(image);
  ASSERT_EQ(overlay.width, 224);
  ASSERT_GT(overlay.height, 224) << "no caption";
  const auto cam = e.explanation.cam.to_vector();
  const auto added_red = [&](size_t pixel) {
    const int y = static_cast<int>(pixel) / 224, x = static_cast<int>(pixel) % 224;
    return (overlay.at(y, x)[0] - overlay.at(y, x)[2]) - (plain.at(y, x)[0] - plain.at(y, x)[2]);
  };
  const size_t hottest = std::max_element(cam.begin(), cam.end()) - cam.begin();
  const size_t coldest = std::min_element(cam.begin(), cam.end()) - cam.begin();
  EXPECT_GT(added_red(hottest), added_red(coldest) + 20);
}

TEST(Examples, GradCamOfAnImageSaysWhatIsWrong) {
  const Outcome result = Program("../docs/examples/grad_cam_of_an_image", {"no.png", "out.png"}).finish();
  EXPECT_EQ(result.status, 1);
  EXPECT_TRUE(contains(result.err, "no.png"));
}

TEST(Examples, ALossOfYourOwnFalls) {
  const auto dice = numbers(example("a_loss_of_your_own").out, "Dice = ([0-9.]+)");
  ASSERT_EQ(dice.size(), 4u);
  // A quarter of the images has no box and a loss of 1. Here it falls from 0.78 to 0.62; how far depends on last bits.
  EXPECT_LT(dice.front(), 0.9);
  EXPECT_LT(dice.back(), 0.9 * dice.front());
}

TEST(Examples, AnExplainerOfYourOwnDiffersFromGradCam) {
  const std::string out = example("an_explainer_of_your_own").out;
  const auto found = numbers(out, "M from ([-+0-9.e]+) to ([-+0-9.e]+); squared norm [^0-9]* ([-+0-9.e]+)");
  ASSERT_EQ(found.size(), 6u) << out;
  EXPECT_LT(found[0], 0) << "Grad-CAM: channels that speak against the class";
  EXPECT_GE(found[3], 0) << "positive-cam: there are none";
  EXPECT_GT(found[4], found[1]);
  EXPECT_GT(found[5], 0) << "it can be trained through";
}

TEST(Examples, ATinyNetworkLearns) {
  const auto cross_entropy = numbers(example("train_a_tiny_network").out, "cross-entropy ([0-9.]+)");
  ASSERT_EQ(cross_entropy.size(), 6u);
  EXPECT_GT(cross_entropy.front(), 0.4);
  EXPECT_LT(cross_entropy.back(), 0.2);
}

}  // namespace
}  // namespace boxcam
