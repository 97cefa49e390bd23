// The CUDA device as the rest of boxcam uses it: memory, errors, a training step, Grad-CAM, reproducible bits. What
// needs a GPU is skipped without one; what a machine without a GPU must be told is tested there.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "apps/common/run_folder.h"
#include "engine/backend/backend.h"
#include "engine/base/random.h"
#include "engine/machine.h"
#include "engine/memory.h"
#include "engine/settings.h"
#include "models/resnet.h"
#include "nn/input.h"
#include "nn/optim.h"
#include "tests/weight_fixtures.h"
#include "xai/boxes.h"
#include "xai/explain.h"
#include "xai/metrics.h"

namespace boxcam {
namespace {

/// Why there is no CUDA device; empty where there is one.
std::string absence() {
  try {
    cuda_kernels();
    return "";
  } catch (const Error& e) {
    return e.what();
  }
}

/// The message of the Error that `action` throws; empty if it throws none.
template <class F>
std::string message_of(F&& action) {
  try {
    action();
    return "";
  } catch (const Error& e) {
    return e.what();
  }
}

TEST(CudaAbsence, IsOneSentenceThatSaysWhatIsMissing) {
  const std::string why = absence();
  if (why.empty()) GTEST_SKIP() << "there is a GPU: " << cuda_device_name();
  if (cuda_version() == "none")
    EXPECT_EQ(why, "boxcam was built without CUDA");
  else
    EXPECT_TRUE(why.starts_with("the device cuda was asked for, but no driver or GPU was found: ")) << why;
  EXPECT_EQ(message_of([] { Tensor::empty({2}, DType::f32, Device::cuda); }), why);
  EXPECT_EQ(message_of([] { Tensor::zeros({2}).to(Device::cuda); }), why);
  EXPECT_EQ(message_of([] { Tensor::zeros({2}).move_to(Device::cuda); }), why);
  EXPECT_EQ(message_of([] { cuda_device_name(); }), why);
  EXPECT_EQ(message_of([] { synchronize(Device::cuda); }), why);
  EXPECT_EQ(memory_use(Device::cuda).now, 0u);
  synchronize(Device::cpu);
}

TEST(MoveTo, IsForLeavesAndKeepsATensorThatIsThere) {
  Tensor leaf = Tensor::full({2}, 3).set_requires_grad(), handle = leaf;
  const void* before = leaf.raw_data();
  leaf.move_to(Device::cpu);
  EXPECT_EQ(handle.raw_data(), before);
  Tensor result = leaf * leaf;
  EXPECT_NE(message_of([&] { result.move_to(Device::cuda); }).find("only a leaf"), std::string::npos);
}

struct CudaDevice : testing::Test {
  void SetUp() override {
    const std::string why = absence();
    if (!why.empty()) GTEST_SKIP() << why;
  }
};

TEST_F(CudaDevice, CopiesEveryTypeThereAndBack) {
  for (const DType dtype : {DType::f32, DType::f64, DType::i32, DType::u8}) {
    const Tensor host = Tensor::from({3, 2}, std::vector<double>{0, 1, 2, 100, 200, 255}).to(dtype).clone();
    const Tensor device = host.to(Device::cuda);
    EXPECT_EQ(device.device(), Device::cuda);
    EXPECT_EQ(device.dtype(), dtype);
    EXPECT_EQ(device.to_vector(), host.to_vector());
    EXPECT_EQ(device.clone().to(Device::cpu).to_vector(), host.to_vector());
    for (const DType other : {DType::f32, DType::f64, DType::i32, DType::u8})
      EXPECT_EQ(device.to(other).to_vector(), host.to(other).to_vector()) << dtype << " to " << other;
    EXPECT_EQ(Tensor::full({5}, 7, dtype, Device::cuda).to_vector(), std::vector<double>(5, 7));
    EXPECT_EQ(Tensor::zeros({0, 3}, dtype, Device::cuda).to_vector().size(), 0u);
    Tensor target = Tensor::zeros({3, 2}, dtype);
    target.copy_from(device);
    EXPECT_EQ(target.to_vector(), host.to_vector());
  }
  EXPECT_EQ(Tensor::scalar(2.5, DType::f32, Device::cuda).item(), 2.5);
}

TEST_F(CudaDevice, AHostBufferMayChangeAfterTheUpload) {
  std::vector<float> values(1 << 20);
  Tensor first, second;
  for (const auto& [target, value] : {std::pair{&first, 1.f}, std::pair{&second, 2.f}}) {
    std::fill(values.begin(), values.end(), value);
    *target = Tensor::from({1 << 20}, values, Device::cuda);
  }
  EXPECT_EQ(sum(first).item(), 1 << 20);
  EXPECT_EQ(sum(second).item(), 2 << 20);
}

TEST_F(CudaDevice, MovesALeafForAllItsHandles) {
  Tensor leaf = Tensor::full({4}, 3).set_requires_grad(), handle = leaf;
  leaf.move_to(Device::cuda);
  EXPECT_EQ(handle.device(), Device::cuda);
  EXPECT_TRUE(handle.requires_grad());
  EXPECT_EQ(handle.id(), leaf.id());
  leaf.move_to(Device::cpu);
  EXPECT_EQ(handle.data<float>()[3], 3);
}

TEST_F(CudaDevice, HostAccessAndMixedDevicesAreRefused) {
  Tensor t = Tensor::zeros({2}, DType::f32, Device::cuda);
  EXPECT_NE(message_of([&] { t.data<float>(); }).find("cuda"), std::string::npos);
  EXPECT_NE(message_of([&] { add(t, Tensor::zeros({2})); }).find("devices differ"), std::string::npos);
}

TEST_F(CudaDevice, CountsItsMemoryAndReusesIt) {
  synchronize(Device::cuda);
  const size_t before = memory_use(Device::cuda).now;
  reset_peak_memory(Device::cuda);
  const void* block = nullptr;
  {
    Tensor t = Tensor::empty({3 << 20}, DType::f32, Device::cuda);
    block = t.raw_data();
    EXPECT_EQ(memory_use(Device::cuda).now, before + t.bytes());
  }
  const size_t reserved = memory_use(Device::cuda).reserved;
  EXPECT_EQ(memory_use(Device::cuda).now, before);
  EXPECT_EQ(memory_use(Device::cuda).peak, before + (size_t{12} << 20));
  EXPECT_EQ(Tensor::empty({3 << 20}, DType::f32, Device::cuda).raw_data(), block);
  EXPECT_EQ(memory_use(Device::cuda).reserved, reserved);
}

TEST_F(CudaDevice, SaysWhatToLowerWhenMemoryRunsOut) {
  const std::string message = message_of([] { Tensor::empty({int64_t{1} << 44}, DType::f32, Device::cuda); });
  for (const char* part : {"67108864 MiB were asked for", "free", "in use by tensors", "a smaller batch or image size"})
    EXPECT_NE(message.find(part), std::string::npos) << message;
  EXPECT_EQ(Tensor::full({3}, 1, DType::f32, Device::cuda).to_vector(), std::vector<double>(3, 1));  // goes on
}

TEST_F(CudaDevice, ALabelOutOfRangeIsASentenceOnceValuesComeToTheHost) {
  const Tensor logits = Tensor::zeros({2, 4}, DType::f32, Device::cuda);
  const Tensor labels = Tensor::from({2}, std::vector<int32_t>{1, 4}).to(Device::cuda);
  const std::string message = message_of([&] { cross_entropy(logits, labels).item(); });
  EXPECT_NE(message.find("the index 4 does not lie in [0, 4)"), std::string::npos) << message;
  EXPECT_NEAR(cross_entropy(logits, Tensor::from({2}, std::vector<int32_t>{1, 3}).to(Device::cuda)).item(),
              std::log(4.0), 1e-6);
}

TEST_F(CudaDevice, InputsHaveTheSameBits) {
  Batch batch;
  batch.size = 1;
  batch.image_size = 16;
  for (int i = 0; i < 16 * 16 * 3; ++i) batch.images.push_back(static_cast<uint8_t>(i));
  EXPECT_EQ(input_tensor(batch, Device::cuda).to_vector(), input_tensor(batch).to_vector());
}

TEST_F(CudaDevice, BoxMasksHaveTheSameBits) {
  const std::vector<std::vector<Box>> boxes = {{{1, 2, 7, 9}, {5, 5, 12, 16}}, {}, {{0, 0, 9, 9}}};
  for (const DType dtype : {DType::f32, DType::f64}) {
    const Tensor masks = box_masks(boxes, 17, 13, 1, dtype, Device::cuda);
    EXPECT_EQ(masks.device(), Device::cuda);
    EXPECT_EQ(masks.dtype(), dtype);
    EXPECT_EQ(masks.to_vector(), box_masks(boxes, 17, 13, 1, dtype).to_vector());
  }
}

TEST_F(CudaDevice, MetricsAreThoseOfTheHost) {
  Random random(3);
  std::vector<double> values;  // whose sums are exact, in any order
  for (int i = 0; i < 3 * 17 * 13; ++i) values.push_back(std::round(random.uniform(0, 1) * 64) / 64);
  const Tensor cam = Tensor::from({3, 17, 13}, values).to(DType::f32), logits = slice(slice(cam, 1, 0, 1), 2, 0, 4);
  const Tensor labels = Tensor::from({3}, std::vector<int32_t>{1, 3, 0});
  const Tensor mask = box_masks({{{1, 2, 7, 9}, {5, 5, 12, 16}}, {}, {{0, 0, 9, 9}}}, 17, 13, 0);
  Metrics expected(4), found(4);
  expected.add(reshape(logits, {3, 4}), labels, cam, mask);
  found.add(reshape(logits, {3, 4}).to(Device::cuda), labels.to(Device::cuda), cam.to(Device::cuda),
            mask.to(Device::cuda));
  EXPECT_EQ(found.state(), expected.state());
}

Tensor images(DType dtype) {
  Random random(1);
  std::vector<float> values(4 * 32 * 32 * 3);
  for (float& v : values) v = static_cast<float>(random.normal());
  return Tensor::from({4, 32, 32, 3}, values).to(dtype);
}

/// A model on a device; its counters stay on the host.
ResNet model_on(Device device, DType dtype) {
  ResNet model(resnet_config("resnet-mini"), 3, dtype, 7);
  move_to(device, model.named_tensors());
  return model;
}

/// A model and its optimiser on a device; with bf16 activations the parameters are f32.
struct Training {
  Training(Device where, DType activations)
      : device(where),
        dtype(activations == DType::bf16 ? DType::f32 : activations),
        model(model_on(where, dtype)),
        optimizer(only_parameters(model.named_tensors()), {}) {
    model.set_activation_dtype(activations);
  }

  /// SGD on cross-entropy and a penalty on the CAM of layer3, which differentiates a gradient.
  void step() {
    const Tensor x = images(dtype).to(device);
    const Tensor labels = Tensor::from({4}, std::vector<int32_t>{0, 1, 2, 1}).to(device);
    std::vector<Tensor> gradients;
    {
      const Forward pass = model.forward(x, {Mode::train, true}, {"layer3"});
      CamOptions options;
      options.gradient = CamGradient::full;
      const Tensor cam = explain(pass.logits, labels, {pass.taps.at("layer3")}, 32, 32, options).cam;
      gradients = grad({cross_entropy(pass.logits, labels) + mean(cam * cam)}, model.parameters());
    }
    optimizer.step(gradients, 0.01);
  }

  /// Everything the model consists of.
  std::vector<std::vector<double>> values() const {
    std::vector<std::vector<double>> list;
    for (const NamedTensor& t : model.named_tensors()) list.push_back(t.tensor.to_vector());
    return list;
  }

  Device device;
  DType dtype;
  ResNet model;
  Optimizer optimizer;
};

/// Two steps.
std::vector<std::vector<double>> train(Device device, DType activations) {
  Training training(device, activations);
  training.step();
  training.step();
  return training.values();
}

/// A step on `first`; another on `second`, from the checkpoint that the first left.
std::vector<std::vector<double>> train_and_move(Device first, Device second) {
  const TemporaryFolder folder;
  const RunFolder run(folder / "run", false);
  Training before(first, DType::f64), after(second, DType::f64);
  before.step();
  run.save_checkpoint(before.model, before.optimizer, {});
  run.load_checkpoint(after.model, after.optimizer);
  EXPECT_EQ(after.values(), before.values());
  EXPECT_EQ(after.optimizer.steps(), 1);
  after.step();
  return after.values();
}

/// In f64, within 1e-8 of a tensor's largest value: sums differ in their order.
void expect_near(const std::vector<std::vector<double>>& found, const std::vector<std::vector<double>>& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    double largest = 0;
    for (const double v : expected[i]) largest = std::max(largest, std::abs(v));
    for (size_t k = 0; k < found[i].size(); ++k)
      ASSERT_NEAR(found[i][k], expected[i][k], 1e-8 * largest) << "tensor " << i << ", element " << k;
  }
}

TEST(Checkpoint, CarriesAllThatAStepNeeds) {
  EXPECT_EQ(train_and_move(Device::cpu, Device::cpu), train(Device::cpu, DType::f64));
}

TEST_F(CudaDevice, ACheckpointMovesThereAndBack) {
  const auto expected = train(Device::cpu, DType::f64);
  expect_near(train_and_move(Device::cpu, Device::cuda), expected);
  expect_near(train_and_move(Device::cuda, Device::cpu), expected);
}

TEST_F(CudaDevice, TrainsAsTheCpuDoesInDouble) {
  expect_near(train(Device::cuda, DType::f64), train(Device::cpu, DType::f64));
}

TEST_F(CudaDevice, EqualRunsGiveEqualBits) {
  EXPECT_EQ(train(Device::cuda, DType::f32), train(Device::cuda, DType::f32));
  set_setting(&Settings::fast_algorithms, true);
  EXPECT_EQ(train(Device::cuda, DType::f32), train(Device::cuda, DType::f32));
  set_setting(&Settings::fast_algorithms, false);
  if (cuda_has_bf16()) {
    EXPECT_EQ(train(Device::cuda, DType::bf16), train(Device::cuda, DType::bf16));
  }
}

TEST_F(CudaDevice, Tf32IsOffUntilItIsAllowed) {
  // 1 + 2^-12 needs more bits of mantissa than TF32 has: it would be 1, and the sum 256.
  const int64_t n = 256;
  const Tensor a = Tensor::full({n, n}, 1 + std::ldexp(1.0, -12), DType::f32, Device::cuda);
  const double exact = static_cast<double>(n) * (1 + std::ldexp(1.0, -12)) * (1 + std::ldexp(1.0, -12));
  EXPECT_NEAR(matmul(a, a).to_vector()[0], exact, 1e-2);
}

TEST_F(CudaDevice, NoConvolutionOfResNet50FallsIntoPlainLoops) {
  struct Layer {
    int64_t in, out, kernel, stride, extent;
  };
  for (const Layer& l : std::vector<Layer>{{3, 64, 7, 2, 224},
                                           {64, 64, 1, 1, 56},
                                           {64, 64, 3, 1, 56},
                                           {64, 256, 1, 1, 56},
                                           {256, 128, 1, 1, 56},
                                           {128, 128, 3, 2, 56},
                                           {256, 512, 1, 2, 56},
                                           {256, 256, 3, 2, 28},
                                           {512, 1024, 1, 2, 28},
                                           {512, 512, 3, 2, 14},
                                           {1024, 2048, 1, 2, 14},
                                           {512, 512, 3, 1, 7},
                                           {512, 2048, 1, 1, 7}}) {
    const int64_t padding = l.kernel / 2, result = (l.extent + 2 * padding - l.kernel) / l.stride + 1;
    for (const DType activations : {DType::f32, DType::bf16}) {
      if (activations == DType::bf16 && !cuda_has_bf16()) continue;
      for (const std::string& name :
           backend(Device::cuda)
               .conv2d_implementations({16, l.extent, l.extent, l.in}, {l.out, l.kernel, l.kernel, l.in},
                                       {16, result, result, l.out}, {l.stride, padding}, activations))
        EXPECT_NE(name, "plain") << activations << ", " << l.kernel << "x" << l.kernel << ", " << l.in << " to "
                                 << l.out << ", stride " << l.stride;
    }
  }
}

}  // namespace
}  // namespace boxcam
