// A tensor as its user meets it: axes, what an undefined one answers, and how it prints.
#include "engine/tensor.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <vector>

#include "engine/ops.h"

namespace boxcam {
namespace {

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(Shape, ChecksItsAxes) {
  const Shape shape{2, 3};
  EXPECT_EQ(shape[1], 3);
  EXPECT_EQ(shape[-2], 2);
  EXPECT_EQ(message_of([&] { shape[2]; }), "the axis 2 does not exist in the shape [2, 3]");
  EXPECT_EQ(message_of([&] { shape[-3]; }), "the axis -3 does not exist in the shape [2, 3]");
  EXPECT_EQ(message_of([&] { Tensor::zeros({4, 5}).dim(3); }), "the axis 3 does not exist in the shape [4, 5]");
  EXPECT_EQ(message_of([&] { Tensor::scalar(1).dim(0); }), "the axis 0 does not exist in the shape []");
  Shape mine{2};
  EXPECT_EQ(message_of([&] { mine[1] = 3; }), "the axis 1 does not exist in the shape [2]");
}

TEST(Tensor, AnUndefinedOneAnswersWithASentence) {
  const Tensor none, some = Tensor::zeros({2});
  Tensor mine;
  for (const auto& action : std::vector<std::function<void()>>{[&] { none.shape(); },
                                                               [&] { none.dim(0); },
                                                               [&] { none.ndim(); },
                                                               [&] { none.numel(); },
                                                               [&] { none.bytes(); },
                                                               [&] { none.dtype(); },
                                                               [&] { none.device(); },
                                                               [&] { none.data<float>(); },
                                                               [&] { none.raw_data(); },
                                                               [&] { none.item(); },
                                                               [&] { none.to_vector(); },
                                                               [&] { none.to(DType::f64); },
                                                               [&] { none.to(Device::cpu); },
                                                               [&] { none.clone(); },
                                                               [&] { mine.copy_from(some); },
                                                               [&] { some.clone().copy_from(none); },
                                                               [&] { mine.move_to(Device::cpu); },
                                                               [&] { mine.set_requires_grad(); },
                                                               [&] { none.detach(); },
                                                               [&] { none.output_index(); },
                                                               [&] { reshape(none, {2}); }}) {
    const std::string message = message_of(action);
    EXPECT_NE(message.find("undefined"), std::string::npos) << "'" << message << "'";
  }
  EXPECT_FALSE(none.requires_grad());
  EXPECT_EQ(none.node(), nullptr);
}

TEST(TensorPrinting, ShowsValuesTypeAndShape) {
  const double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
  EXPECT_EQ(str(Tensor{}), "tensor(undefined)");
  EXPECT_EQ(str(Tensor::scalar(1.5)), "tensor(1.5, f32 [])");
  EXPECT_EQ(str(Tensor::zeros({0, 3})), "tensor([], f32 [0, 3])");
  EXPECT_EQ(str(Tensor::from({3}, std::vector<double>{1.0 / 3, -inf, 1e-10})),
            "tensor([0.333333,     -inf,    1e-10], f64 [3])");
  EXPECT_EQ(str(Tensor::from({2, 2}, std::vector<float>{1, 2.5f, -3, static_cast<float>(nan)})),
            "tensor([[  1, 2.5],\n"
            "        [ -3, nan]], f32 [2, 2])");
  EXPECT_EQ(str(Tensor::from({2, 1, 2}, std::vector<int32_t>{1, 20, 300, 4000})),
            "tensor([[[   1,   20]],\n\n"
            "        [[ 300, 4000]]], i32 [2, 1, 2])");
  EXPECT_EQ(str(Tensor::from({2}, std::vector<uint8_t>{0, 255})), "tensor([  0, 255], u8 [2])");
  EXPECT_EQ(str(Tensor::full({1}, 0.5, DType::bf16)), "tensor([0.5], bf16 [1])");
}

TEST(TensorPrinting, SummarisesLargeOnesAndBreaksLongRows) {
  EXPECT_EQ(str(Tensor::full({1001}, 7)), "tensor([7, 7, 7, ..., 7, 7, 7], f32 [1001])");
  const std::string matrices = str(Tensor::zeros({7, 2, 100}, DType::i32));
  EXPECT_TRUE(
      matrices.starts_with("tensor([[[0, 0, 0, ..., 0, 0, 0],\n"
                           "         [0, 0, 0, ..., 0, 0, 0]],\n\n"
                           "        [[0, 0, 0, "))
      << matrices;
  const std::string summary = str(Tensor::zeros({1000, 1000}));
  EXPECT_NE(summary.find("0],\n        ...,\n        [0"), std::string::npos) << summary;
  EXPECT_LT(summary.size(), 400u);
  const std::string whole = str(Tensor::full({1000}, 123456));
  EXPECT_EQ(whole.find("..."), std::string::npos);
  for (size_t at = 0; at < whole.size();) {
    const size_t end = std::min(whole.find('\n', at), whole.size());
    EXPECT_LE(end - at, 120u);
    at = end + 1;
  }
}

}  // namespace
}  // namespace boxcam
