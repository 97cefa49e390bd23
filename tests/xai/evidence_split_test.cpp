// The signed split against its definition cell by cell, its derivatives, and its edges.
#include "xai/evidence_split.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/gradcheck.h"
#include "xai/boxes.h"

namespace boxcam {
namespace {

constexpr int64_t kImages = 4, kHeight = 3, kWidth = 5, kChannels = 6, kClasses = 4, kSize = 15;

/// One box, none, two, and one over everything.
const std::vector<std::vector<Box>> kBoxes = {{{2, 3, 9, 8}}, {}, {{0, 0, 4, 15}, {7, 7, 14, 12}}, {{0, 0, 15, 15}}};
const Tensor labels = Tensor::from({kImages}, std::vector<int32_t>{2, 0, 3, 1});

Tensor masks(const std::vector<std::vector<Box>>& boxes = kBoxes) {
  return box_masks(boxes, kSize, kSize, 0, DType::f64);
}
Tensor tap() { return random_tensor({kImages, kHeight, kWidth, kChannels}, 1, -1, 2); }
Tensor head() { return random_tensor({kClasses, kChannels}, 2); }
Tensor bias() { return random_tensor({kClasses}, 3); }

/// y_in (or y_out) of one image and class by the definition: the share of a cell that a mask covers is counted in parts
/// of a pixel (15 pixels over 3 and 5 cells: whole ones), and E_c,ij = W_c . A_ij / (h w).
double plain(bool inside, int64_t n, int64_t c) {
  const auto A = tap().to_vector(), W = head().to_vector(), B = masks().to_vector();
  double total = 0;
  for (int64_t i = 0; i < kHeight; ++i)
    for (int64_t j = 0; j < kWidth; ++j) {
      double covered = 0, evidence = 0;
      for (int64_t y = 5 * i; y < 5 * i + 5; ++y)
        for (int64_t x = 3 * j; x < 3 * j + 3; ++x) covered += B[(n * kSize + y) * kSize + x] / 15;
      for (int64_t k = 0; k < kChannels; ++k)
        evidence += W[c * kChannels + k] * A[((n * kHeight + i) * kWidth + j) * kChannels + k];
      total += (inside ? covered : 1 - covered) * evidence / (kHeight * kWidth);
    }
  return total;
}

EvidenceSplit split_of(const Tensor& A, const Tensor& W, const Tensor& b, const Tensor& B) {
  const Tensor y = matmul(global_avg_pool(cast(A, W.dtype())), W, {.transpose_b = true}) + b;
  return split_evidence(A, W, b, y, B);
}

/// Both terms, as a training step has them.
std::vector<Tensor> terms(const std::vector<Tensor>& in, const Tensor& B) {
  const EvidenceSplit split = split_of(in[0], in[1], in[2], B);
  return {mean_over_boxed(evidence_cross_entropies(split, in[2], labels), split),
          mean_over_boxed(evidence_penalties(split), split)};
}

TEST(EvidenceSplit, IsTheSumOfTheEvidenceOfEveryCell) {
  const EvidenceSplit split = split_of(tap(), head(), bias(), masks());
  EXPECT_EQ(split.boxed.to_vector(), (std::vector<double>{1, 0, 1, 1}));
  const auto in = split.inside.to_vector(), out = split.outside.to_vector();
  for (int64_t n = 0; n < kImages; ++n)
    for (int64_t c = 0; c < kClasses; ++c) {
      EXPECT_NEAR(in[n * kClasses + c], plain(true, n, c), 1e-14);
      EXPECT_NEAR(out[n * kClasses + c], plain(false, n, c), 1e-14);
    }
}

TEST(EvidenceSplit, InsideOutsideAndBiasAddUpToTheLogits) {
  const EvidenceSplit split = split_of(tap(), head(), bias(), masks());
  const auto logits = (matmul(global_avg_pool(tap()), head(), {.transpose_b = true}) + bias()).to_vector(),
             sums = (split.inside + split.outside + bias()).to_vector();
  for (size_t i = 0; i < logits.size(); ++i) EXPECT_NEAR(sums[i], logits[i], 1e-14);
}

TEST(EvidenceSplit, TermsAreTheMeansOverTheBoxedImages) {
  const auto b = bias().to_vector();
  double cross_entropy = 0, penalty = 0;
  for (const int64_t n : {0, 2, 3}) {
    double total = 0, mean_out = 0, square = 0;
    for (int64_t c = 0; c < kClasses; ++c) {
      total += std::exp(plain(true, n, c) + b[c]);
      mean_out += plain(false, n, c) / kClasses;
    }
    for (int64_t c = 0; c < kClasses; ++c) square += std::pow(plain(false, n, c) - mean_out, 2) / kClasses;
    const auto label = static_cast<int64_t>(labels.to_vector()[n]);
    cross_entropy += (std::log(total) - plain(true, n, label) - b[label]) / 3;
    penalty += square / 3;
  }
  const std::vector<Tensor> found = terms({tap(), head(), bias()}, masks());
  EXPECT_NEAR(found[0].item(), cross_entropy, 1e-14);
  EXPECT_NEAR(found[1].item(), penalty, 1e-14);
}

// An inverse mask exchanges inside and outside.
TEST(EvidenceSplit, AnInverseMaskExchangesBothParts) {
  const EvidenceSplit own = split_of(tap(), head(), bias(), masks()),
                      inverse = split_of(tap(), head(), bias(), -masks() + 1.0);
  const auto in = own.inside.to_vector(), out = inverse.outside.to_vector();
  for (size_t i = 0; i < in.size(); ++i) EXPECT_NEAR(in[i], out[i], 1e-14);
}

TEST(EvidenceSplit, BothDerivatives) {
  const Function f = function([](const std::vector<Tensor>& in) { return terms(in, masks()); });
  EXPECT_TRUE(check_first_order(f, {tap(), head(), bias()}));
  EXPECT_TRUE(check_second_order(f, {tap(), head(), bias()}));
}

TEST(EvidenceSplit, ABatchWithoutABoxHasNoTermsAndNoGradient) {
  const std::vector<Tensor> in = leaves({tap(), head(), bias()});
  const std::vector<Tensor> none = terms(in, masks({{}, {}, {}, {}}));
  EXPECT_EQ(none[0].item(), 0);
  EXPECT_EQ(none[1].item(), 0);
  for (const Tensor& g : grad({none[0] + none[1]}, in))
    for (const double value : g.to_vector()) EXPECT_EQ(value, 0);
}

// A bf16 tap is cast once; what follows is f32, so that the numbers are those of the rounded tap to f32's rounding.
TEST(EvidenceSplit, OfABf16TapIsThatOfItsValuesInF32) {
  const Tensor rounded = cast(cast(tap(), DType::f32), DType::bf16), W = cast(head(), DType::f32),
               b = cast(bias(), DType::f32), B = cast(masks(), DType::f32);
  const auto low = terms({rounded, W, b}, B), high = terms({cast(rounded, DType::f32), W, b}, B);
  for (size_t i = 0; i < low.size(); ++i) {
    EXPECT_EQ(low[i].dtype(), DType::f32);
    EXPECT_EQ(low[i].item(), high[i].item());
  }
}

TEST(EvidenceSplit, SaysWhichShapesDoNotFit) {
  const Tensor y = random_tensor({kImages, kClasses}, 0);
  const auto split = [&](const Tensor& W, const Tensor& b, const Tensor& logits, const Tensor& B) {
    return split_evidence(tap(), W, b, logits, B);
  };
  EXPECT_THROW(split(random_tensor({kClasses, kChannels + 1}, 0), bias(), y, masks()), Error);
  EXPECT_THROW(split(head(), random_tensor({kClasses + 1}, 0), y, masks()), Error);
  EXPECT_THROW(split(head(), bias(), random_tensor({kImages, kClasses + 1}, 0), masks()), Error);
  EXPECT_THROW(split(head(), bias(), y, masks({{}, {}})), Error);
  EXPECT_NO_THROW(split(head(), bias(), y, masks()));
}

}  // namespace
}  // namespace boxcam
