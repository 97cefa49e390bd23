// The structure of the models (parity of numbers with PyTorch is another test): counts, names, taps, copies, repeatable
// passes, running statistics, and that no convolution of theirs falls into oneDNN's reference code.
#include "models/resnet.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "engine/backend/backend.h"
#include "engine/base/random.h"
#include "engine/machine.h"
#include "engine/settings.h"
#include "nn/optim.h"

namespace boxcam {
namespace {

constexpr ForwardOptions kTrain = ForwardOptions::training(), kCam = ForwardOptions::observing(Mode::train), kEval{};

Tensor images(int64_t n, int64_t size, uint64_t seed = 1, DType dtype = DType::f32) {
  Random random(seed);
  std::vector<float> values(n * size * size * 3);
  for (float& v : values) v = static_cast<float>(random.normal());
  return Tensor::from({n, size, size, 3}, values).to(dtype);
}

ResNet mini(uint64_t seed = 0, DType dtype = DType::f32) { return {resnet_config("resnet-mini"), 4, dtype, seed}; }

std::vector<std::vector<double>> contents(const ResNet& model) {
  std::vector<std::vector<double>> all;
  for (const NamedTensor& t : model.named_tensors()) all.push_back(t.tensor.to_vector());
  return all;
}

/// One convolution of a model, derived from its configuration alone.
struct Convolution {
  Shape x, w, y;
  Conv2dSpec spec;
};

std::vector<Convolution> convolutions(const ResNetConfig& c, int64_t batch, int64_t size) {
  std::vector<Convolution> list;
  const auto conv = [&](int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t extent) {
    const int64_t padding = kernel / 2, result = (extent + 2 * padding - kernel) / stride + 1;
    list.push_back(
        {{batch, extent, extent, in}, {out, kernel, kernel, in}, {batch, result, result, out}, {stride, padding}});
    return result;
  };
  int64_t extent = conv(3, c.stem_width, c.stem_kernel, 2, size), channels = c.stem_width;
  if (c.stem_pool) extent = max_pool2d(Tensor::zeros({1, extent, extent, 1}), c.pool).dim(1);
  for (size_t stage = 0; stage < c.depths.size(); ++stage)
    for (int64_t i = 0; i < c.depths[stage]; ++i) {
      const int64_t stride = i == 0 ? c.strides[stage] : 1, width = c.widths[stage], before = extent;
      const bool basic = c.block == ResNetConfig::Block::basic, v1 = c.block == ResNetConfig::Block::bottleneck_v1;
      if (basic) {
        extent = conv(channels, width, 3, stride, extent);
        extent = conv(width, width, 3, 1, extent);
      } else {
        extent = conv(channels, width, 1, v1 ? stride : 1, extent);
        extent = conv(width, width, 3, v1 ? 1 : stride, extent);
        extent = conv(width, 4 * width, 1, 1, extent);
      }
      const int64_t out = basic ? width : 4 * width;
      if (stride != 1 || channels != out) conv(channels, out, 1, stride, before);
      channels = out;
    }
  return list;
}

/// Convolutions, two numbers for each of their channels (batch norm), and the head.
int64_t count_from_config(const ResNetConfig& c, int64_t classes) {
  const auto list = convolutions(c, 1, 64);
  int64_t count = classes;
  for (const Convolution& k : list) count += k.w.numel() + 2 * k.w[0];
  return count + classes * c.widths.back() * (c.block == ResNetConfig::Block::basic ? 1 : 4);
}

TEST(ResNet, HasTorchvisionsParameterCounts) {
  const std::map<std::string, int64_t> torchvision = {{"resnet18", 11'689'512},  {"resnet34", 21'797'672},
                                                      {"resnet50", 25'557'032},  {"resnet101", 44'549'160},
                                                      {"resnet152", 60'192'808}, {"resnet50-v1", 25'557'032}};
  for (const auto& [name, count] : torchvision) EXPECT_EQ(count_from_config(resnet_config(name), 1000), count) << name;
  for (const std::string name : {"resnet18", "resnet50"})
    EXPECT_EQ(ResNet(resnet_config(name), 1000).parameter_count(), torchvision.at(name)) << name;
  EXPECT_EQ(mini().parameter_count(), count_from_config(resnet_config("resnet-mini"), 4));
}

TEST(ResNet, HasTorchvisionsEntries) {
  const auto entries = ResNet(resnet_config("resnet50"), 4).named_tensors();
  int64_t parameters = 0, running = 0, counters = 0;
  std::set<std::string> names;
  for (const NamedTensor& t : entries) {
    const bool counter = t.role == NamedTensor::Role::counter;
    EXPECT_EQ(counter, t.name.ends_with("num_batches_tracked")) << t.name;
    EXPECT_EQ(t.head, t.name.starts_with("fc.")) << t.name;
    parameters += t.is_parameter();
    counters += counter;
    running += !t.is_parameter() && !counter;
    names.insert(t.name);
    EXPECT_EQ(t.tensor.requires_grad(), t.is_parameter()) << t.name;
    EXPECT_EQ(t.layout == NamedTensor::Layout::convolution, t.tensor.ndim() == 4) << t.name;
  }
  EXPECT_EQ(parameters, 161);
  EXPECT_EQ(running, 106);
  EXPECT_EQ(counters, 53);
  EXPECT_EQ(names.size(), 320u);
  EXPECT_TRUE(names.contains("layer4.0.downsample.1.running_var"));
}

TEST(ResNet, KeepsTorchvisionsOrder) {
  std::vector<std::string> names;
  for (const NamedTensor& t : mini().named_tensors()) names.push_back(t.name);
  const std::vector<std::string> begin = {"conv1.weight",          "bn1.weight",         "bn1.bias",
                                          "bn1.running_mean",      "bn1.running_var",    "bn1.num_batches_tracked",
                                          "layer1.0.conv1.weight", "layer1.0.bn1.weight"};
  EXPECT_EQ(std::vector(names.begin(), names.begin() + 8), begin);
  EXPECT_EQ(std::vector(names.end() - 2, names.end()), (std::vector<std::string>{"fc.weight", "fc.bias"}));
}

TEST(ResNet, UnknownNamesAreSentences) {
  try {
    resnet_config("resnet5");
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("resnet50"), std::string::npos) << e.what();
  }
  try {
    mini().forward(images(1, 32), kEval, {"layer4.0.conv9"});
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("'layer4.0.conv9'"), std::string::npos) << e.what();
    EXPECT_NE(std::string(e.what()).find("did you mean 'layer4.0.conv"), std::string::npos) << e.what();
  }
  EXPECT_THROW(mini().forward(Tensor::zeros({1, 3, 32, 32}), kEval), Error);
  EXPECT_THROW(mini().copy_from(ResNet(resnet_config("resnet18"), 4)), Error);
}

TEST(ResNet, TapsAreTheActivationsOfTheirNames) {
  ResNet model = mini();
  const std::vector<std::string> expected = {
      "conv1",          "layer1.0.conv1", "layer1.0.conv2", "layer1.0",       "layer1",         "layer2.0.conv1",
      "layer2.0.conv2", "layer2.0",       "layer2",         "layer3.0.conv1", "layer3.0.conv2", "layer3.0",
      "layer3",         "layer4.0.conv1", "layer4.0.conv2", "layer4.0",       "layer4"};
  EXPECT_EQ(model.tap_names(), expected);
  const Forward f = model.forward(images(2, 32), kEval, expected);
  EXPECT_EQ(f.logits.shape(), (Shape{2, 4}));
  EXPECT_EQ(f.taps.size(), expected.size());
  EXPECT_EQ(f.taps.at("conv1").shape(), (Shape{2, 16, 16, 16}));
  EXPECT_EQ(f.taps.at("layer3.0.conv1").shape(), (Shape{2, 4, 4, 64}));
  EXPECT_EQ(f.taps.at("layer4").id(), f.taps.at("layer4.0").id());
  EXPECT_TRUE(model.forward(images(2, 32), kEval).taps.empty());

  for (const std::string name : {"layer4", "layer4.0"}) {
    EXPECT_EQ(model.head_of(name).id(), model.head().weight.id());
    const Tensor logits = model.head()(global_avg_pool(f.taps.at(name)));
    EXPECT_EQ(logits.to_vector(), f.logits.to_vector());
  }
  for (const std::string name : {"layer3", "layer4.0.conv2", "conv1"})
    EXPECT_FALSE(model.head_of(name).defined()) << name;

  const std::vector<Tensor> gradients = grad({sum(f.logits)}, {f.taps.at("layer2"), f.taps.at("conv1")});
  EXPECT_GT(sum(abs(gradients[0])).item(), 0);
  EXPECT_GT(sum(abs(gradients[1])).item(), 0);
}

TEST(ResNet, StridesSitWhereTheVariantHasThem) {
  for (const auto& [name, at_conv1] : {std::pair{"resnet50", 16}, {"resnet50-v1", 8}}) {
    ResNet model(resnet_config(name), 3);
    const Forward f = model.forward(images(1, 64), kEval, {"layer1", "layer2.0.conv1", "layer2.0.conv2", "layer4"});
    EXPECT_EQ(f.taps.at("layer1").shape(), (Shape{1, 16, 16, 256})) << name;
    EXPECT_EQ(f.taps.at("layer2.0.conv1").dim(1), at_conv1) << name;
    EXPECT_EQ(f.taps.at("layer2.0.conv2").dim(1), 8) << name;
    EXPECT_EQ(f.taps.at("layer4").shape(), (Shape{1, 2, 2, 2048})) << name;
  }
}

TEST(ResNet, InitialWeightsAreAFunctionOfTheSeed) {
  EXPECT_EQ(contents(mini(3)), contents(mini(3)));
  EXPECT_NE(contents(mini(3)), contents(mini(4)));
  const ResNet single = mini(3), twice = mini(3, DType::f64);
  const auto a = single.named_tensors(), b = twice.named_tensors();
  for (size_t i = 0; i < a.size(); ++i)
    EXPECT_EQ(a[i].tensor.to_vector(), b[i].tensor.to(a[i].tensor.dtype()).to_vector()) << a[i].name;

  // Kaiming normal, fan out: variance 2 / (kernel area * output channels); five standard errors.
  for (const NamedTensor& t : a) {
    if (t.layout != NamedTensor::Layout::convolution) continue;
    const double n = static_cast<double>(t.tensor.numel());
    const double expected = 2.0 / static_cast<double>(t.tensor.dim(0) * t.tensor.dim(1) * t.tensor.dim(2));
    EXPECT_NEAR(mean(t.tensor).item(), 0, 5 * std::sqrt(expected / n)) << t.name;
    EXPECT_NEAR(mean(t.tensor * t.tensor).item(), expected, 5 * expected * std::sqrt(2 / n)) << t.name;
  }
}

TEST(ResNet, ACloneSharesNothing) {
  ResNet model = mini();
  model.forward(images(2, 32), kTrain);
  ResNet copy = model.clone();
  EXPECT_EQ(contents(copy), contents(model));
  const auto a = model.named_tensors(), b = copy.named_tensors();
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].name, b[i].name);
    EXPECT_NE(a[i].tensor.raw_data(), b[i].tensor.raw_data()) << a[i].name;
    EXPECT_EQ(a[i].tensor.requires_grad(), b[i].tensor.requires_grad()) << a[i].name;
  }
  const auto before = contents(model);
  copy.copy_from(mini(9));
  copy.forward(images(2, 32, 5), kTrain);
  EXPECT_EQ(contents(model), before);
  EXPECT_NE(contents(copy), before);
}

TEST(ResNet, RunningStatisticsMoveInThePassThatPredictsAlone) {
  ResNet model = mini();
  const auto before = contents(model);
  model.forward(images(2, 32), kEval);
  const Forward cam = model.forward(images(2, 32), kCam, {"layer4", "conv1"});
  grad({sum(grad({sum(cam.logits)}, {cam.taps.at("layer4")}, {.create_graph = true})[0])}, model.parameters());
  EXPECT_EQ(contents(model), before);

  const Forward f = model.forward(images(2, 32), kTrain, {"conv1"});
  EXPECT_EQ(f.logits.to_vector(), cam.logits.to_vector());
  for (const NamedTensor& t : model.named_tensors()) {
    EXPECT_TRUE(!t.name.ends_with("num_batches_tracked") || t.tensor.item() == 1) << t.name;
    if (t.name == "bn1.running_mean" || t.name == "bn1.running_var") {
      const Tensor x = f.taps.at("conv1").to(DType::f64), m = mean(x, {0, 1, 2});
      const double n = 2 * 16 * 16;
      const Tensor var = sum((x - m) * (x - m), {0, 1, 2}) / (n - 1);  // the running variance is the unbiased one
      const Tensor expected = t.name == "bn1.running_mean" ? m * 0.1 : var * 0.1 + 0.9;
      EXPECT_LT(sum(abs(t.tensor.to(DType::f64) - expected)).item(), 1e-5) << t.name;
    }
  }
}

TEST(ResNet, EvalTreatsImagesAlone) {
  ResNet model = mini(0, DType::f64);
  model.forward(images(3, 32, 2, DType::f64), kTrain);
  const Tensor x = images(3, 32, 3, DType::f64);
  const Tensor all = model.forward(x, kEval).logits;
  for (int i = 0; i < 3; ++i) {
    const Tensor difference = model.forward(slice(x, 0, i, 1), kEval).logits - slice(all, 0, i, 1);
    EXPECT_LT(sum(abs(difference)).item(), 1e-12);
  }
}

TEST(ResNet, SinglePrecisionFollowsDouble) {
  for (const ForwardOptions& options : {kCam, kEval}) {
    const Tensor single = mini().forward(images(2, 32), options).logits;
    const Tensor twice = mini(0, DType::f64).forward(images(2, 32, 1, DType::f64), options).logits;
    const double error = sum(abs(single.to(DType::f64) - twice)).item();
    EXPECT_LT(error, 1e-4 * sum(abs(twice)).item());
  }
}

/// Three steps with momentum; returns every bit of the model and the losses.
std::vector<std::vector<double>> train(double& first_loss, double& last_loss) {
  ResNet model = mini(5);
  std::vector<NamedTensor> parameters;
  for (const NamedTensor& t : model.named_tensors())
    if (t.is_parameter()) parameters.push_back(t);
  Optimizer optimizer(parameters, {});
  const Tensor x = images(4, 32, 6), labels = Tensor::from({4}, std::vector<int32_t>{0, 1, 2, 3});
  for (int step = 0; step < 5; ++step) {
    std::vector<Tensor> gradients;
    {
      const Forward f = model.forward(x, kTrain, {"layer4"});
      // A CAM-like second-order term, so that the double backward is part of what must repeat.
      const Tensor weights = grad({sum(f.logits)}, {f.taps.at("layer4")}, {.create_graph = true})[0];
      const Tensor cam = relu(sum(weights * f.taps.at("layer4"), {3}));
      const Tensor loss = cross_entropy(f.logits, labels);
      (step == 0 ? first_loss : last_loss) = loss.item();
      gradients = grad({loss + mean(cam) * 0.01}, model.parameters());
    }
    clip_grad_norm(gradients, 5);
    optimizer.step(gradients, 0.01);
  }
  return contents(model);
}

TEST(ResNet, EqualTrainingGivesEqualBitsAndLearns) {
  double first = 0, last = 0;
  EXPECT_EQ(train(first, last), train(first, last));
  EXPECT_LT(last, first);
}

// A step takes the CAM in eval mode, then trains on the same model, then differentiates both.
TEST(ResNet, ATrainingPassDoesNotChangeTheGradientOfAnEarlierEvalPass) {
  const auto gradients = [](bool train_between) {
    ResNet model = mini(3, DType::f64);
    const Tensor x = images(4, 32, 1, DType::f64);
    const Forward cam_pass = model.forward(x, {Mode::eval, false}, {"layer4"});
    const Tensor loss = mean(cam_pass.taps.at("layer4") * cam_pass.taps.at("layer4"));
    if (train_between) model.forward(x, {Mode::train, true});
    std::vector<std::vector<double>> values;
    for (const Tensor& g : grad({loss}, model.parameters())) values.push_back(g.to_vector());
    return values;
  };
  EXPECT_EQ(gradients(true), gradients(false));
}

TEST(ResNet, NoConvolutionFallsIntoReferenceCode) {
  if (onednn_version() == "none") GTEST_SKIP() << "boxcam was built without oneDNN: every convolution is a plain loop";
  std::set<std::string> seen;
  for (const ConvAlgorithm algorithm : {ConvAlgorithm::automatic, ConvAlgorithm::direct}) {
    set_setting(&Settings::conv_algorithm, algorithm);
    for (const std::string model : {"resnet18", "resnet50", "resnet50-v1", "resnet-mini"})
      for (const int64_t size : {64, 96, 224})
        for (const int64_t batch : {1, 2, 16})
          for (const Convolution& c : convolutions(resnet_config(model), batch, size)) {
            const std::string what = str(model, ": x ", c.x, ", w ", c.w, ", stride ", c.spec.stride);
            if (!seen.insert(str(static_cast<int>(algorithm), c.x, c.w, c.spec.stride)).second) continue;
            for (const std::string& name :
                 backend(Device::cpu).conv2d_implementations(c.x, c.w, c.y, c.spec, DType::f32)) {
              EXPECT_EQ(name.find("ref"), std::string::npos) << what << " runs as " << name;
              EXPECT_NE(name, "plain") << what;
            }
          }
  }
  set_setting(&Settings::conv_algorithm, ConvAlgorithm::automatic);
}

// ---- batch norm folded into the convolutions: eval mode, and nothing to differentiate ------------------------------

/// A model whose running statistics and affine parameters are not those of a fresh one.
ResNet trained(const std::string& name, DType dtype) {
  ResNet model(resnet_config(name), 4, dtype, 3);
  Random random(5);
  for (const NamedTensor& t : model.named_tensors()) {
    const bool is_norm = t.name.find(".bn") != std::string::npos || t.name.starts_with("bn1") ||
                         t.name.find("downsample.1") != std::string::npos;
    if (!is_norm || t.tensor.dtype() == DType::i32) continue;
    const bool is_positive = t.name.ends_with("weight") || t.name.ends_with("running_var");
    std::vector<double> values(t.tensor.numel());
    for (double& v : values) v = is_positive ? random.uniform(0.5, 1.5) : random.uniform(-0.3, 0.3);
    Tensor target = t.tensor;
    target.copy_from(Tensor::from(target.shape(), values).to(dtype));
  }
  return model;
}

double largest_difference(const Tensor& a, const Tensor& b) {
  const std::vector<double> u = a.to_vector(), v = b.to_vector();
  double difference = 0, size = 0;
  for (size_t i = 0; i < u.size(); ++i) {
    difference = std::max(difference, std::abs(u[i] - v[i]));
    size = std::max(size, std::abs(v[i]));
  }
  return difference / size;
}

// The weights are rounded once more, and sums have other orders: a few roundings in the last place of each layer.
TEST(ResNetFolded, ComputesTheSame) {
  for (const std::string name : {"resnet-mini", "resnet18", "resnet50", "resnet50-v1"})
    for (const DType dtype : {DType::f32, DType::f64}) {
      if (dtype == DType::f64 && name != "resnet-mini" && name != "resnet50") continue;  // plain loops are slow
      ResNet model = trained(name, dtype);
      const int64_t size = dtype == DType::f64 && name == "resnet50" ? 33 : 65;
      const Tensor x = images(2, size, 1, dtype);
      const std::string block = "layer2.0", own = name == "resnet50" ? "layer4.2.conv3" : "layer4.0.conv2";
      const std::vector<std::string> taps = {"conv1", "layer1", block, own, "layer4"};
      const Forward apart = model.forward(x, kEval, taps);
      const NoGrad no_grad;
      const Forward folded = model.forward(x, kEval, taps);
      const double allowed = dtype == DType::f64 ? 1e-12 : 1e-5;
      EXPECT_LT(largest_difference(folded.logits, apart.logits), allowed) << name << dtype;
      for (const std::string& tap : taps)
        EXPECT_LT(largest_difference(folded.taps.at(tap), apart.taps.at(tap)), allowed) << name << dtype << tap;
      EXPECT_LT(largest_difference(model.forward(x, kEval).logits, apart.logits), allowed) << name << dtype;
    }
}

// What a tap shows is not folded, and rounds otherwise; "layer1.1" shows nothing of "layer1.10".
TEST(ResNetFolded, ATapIsNotAnotherThatBeginsWithItsName) {
  ResNetConfig config = resnet_config("resnet-mini");
  config.depths = {11, 1, 1, 1};
  ResNet model(config, 4, DType::f32, 3);
  model.forward(images(4, 32), kTrain);
  const NoGrad no_grad;
  const auto logits = [&](const std::vector<std::string>& taps) {
    return model.forward(images(2, 32, 5), kEval, taps).logits.to_vector();
  };
  EXPECT_NE(logits({"layer1.1"}), logits({}));
  EXPECT_NE(logits({"layer1.1"}), logits({"layer1.1", "layer1.10"}));
  EXPECT_TRUE(names_part("layer1.1", "layer1.1.conv2") && names_part("layer1.1", "layer1.1"));
  EXPECT_FALSE(names_part("layer1.1", "layer1.10.conv2"));
}

TEST(ResNetFolded, FollowsTheWeights) {
  ResNet model = trained("resnet-mini", DType::f32);
  const Tensor x = images(2, 32);
  const NoGrad no_grad;
  const Tensor before = model.forward(x, kEval).logits;
  Tensor weight = model.parameters().front();
  weight.copy_from(weight * 1.5);
  EXPECT_GT(largest_difference(model.forward(x, kEval).logits, before), 0.01);
}

// A bf16 number has 8 significant bits, so each of the twenty or so roundings on the way to the logits moves a value by
// up to 2^-9 of itself; they add up like a random walk, and batch norm divides by deviations of about 1.
TEST(ResNetBf16, ComputesWhatF32DoesUpToRounding) {
  ResNet model = mini();
  const Tensor x = images(8, 32);
  const Forward exact = model.forward(x, kCam, {"layer4"});
  model.set_activation_dtype(DType::bf16);
  const Forward rough = model.forward(x, kCam, {"layer4"});
  EXPECT_EQ(rough.taps.at("layer4").dtype(), DType::bf16);
  EXPECT_EQ(rough.logits.dtype(), DType::f32);
  const auto relative = [](const Tensor& a, const Tensor& b) {
    const std::vector<double> u = a.to_vector(), v = b.to_vector();
    double difference = 0, size = 0;
    for (size_t i = 0; i < u.size(); ++i) difference += (u[i] - v[i]) * (u[i] - v[i]), size += v[i] * v[i];
    return std::sqrt(difference / size);
  };
  EXPECT_LT(relative(rough.logits, exact.logits), 0.03);
  EXPECT_GT(relative(rough.logits, exact.logits), 1e-4);  // it did round
  const Tensor labels = Tensor::from<int32_t>({8}, std::vector<int32_t>{0, 1, 2, 3, 0, 1, 2, 3});
  const auto a = grad({cross_entropy(rough.logits, labels)}, model.parameters()),
             b = grad({cross_entropy(exact.logits, labels)}, model.parameters());
  // Where rounding turns a ReLU over, its whole gradient comes or goes: a quarter of an early layer's gradient is
  // noise, with the ReLUs of all blocks behind it.
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].dtype(), DType::f32);
    EXPECT_LT(relative(a[i], b[i]), 0.4) << "parameter " << i;
  }
  EXPECT_LT(relative(a.back(), b.back()), 0.03);  // the head's bias, behind all of them
}

TEST(ResNetBf16, IsForParametersOfF32) {
  ResNet model = mini(0, DType::f64);
  EXPECT_THROW(model.set_activation_dtype(DType::bf16), Error);
  EXPECT_THROW(model.set_activation_dtype(DType::f32), Error);
  EXPECT_NO_THROW(model.set_activation_dtype(DType::f64));
}

}  // namespace
}  // namespace boxcam
