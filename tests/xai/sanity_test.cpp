// Similarity of maps by hand; apps/sanity_check_test has the check of a model.
#include "xai/sanity.h"

#include <cmath>

#include "tests/gradcheck.h"

namespace boxcam {
namespace {

using Values = std::vector<double>;

TEST(RankCorrelation, ByHand) {
  EXPECT_DOUBLE_EQ(rank_correlation(Values{1, 2, 30}, Values{-5, 0, 1}), 1);
  EXPECT_DOUBLE_EQ(rank_correlation(Values{1, 2, 30}, Values{3, 2, 1}), -1);
  // Ranks 0, 1.5, 1.5, 3 against 0, 1, 2, 3: 4.5 / sqrt(4.5 * 5).
  EXPECT_DOUBLE_EQ(rank_correlation(Values{0, 4, 4, 9}, Values{1, 2, 3, 4}), 4.5 / std::sqrt(4.5 * 5));
}

TEST(RankCorrelation, IsUndefinedWhereOneMapIsConstantOrNotFinite) {
  EXPECT_TRUE(std::isnan(rank_correlation(Values{0, 0, 0}, Values{1, 2, 3})));
  EXPECT_TRUE(std::isnan(rank_correlation(Values{1, 2, 3}, Values{0, 0, 0})));
  EXPECT_TRUE(std::isnan(rank_correlation(Values{1, std::nan(""), 3}, Values{1, 2, 3})));
}

TEST(StructuralSimilarity, OfOneWindowByHand) {
  const Values a = {0, 1, 0, 1}, b = {1, 0, 1, 0};  // means 1/2, variances 1/4, covariance -1/4
  EXPECT_DOUBLE_EQ(structural_similarity(a, a, 2, 2), 1);
  const double first = (0.5 + 1e-4) / (0.5 + 1e-4), second = (-0.5 + 9e-4) / (0.5 + 9e-4);
  EXPECT_NEAR(structural_similarity(a, b, 2, 2), first * second, 1e-14);
}

TEST(StructuralSimilarity, IsTheMeanOverWindows) {
  const Tensor x = random_tensor({9 * 8}, 1, 0, 1), y = random_tensor({9 * 8}, 2, 0, 1);
  const Values a = x.to_vector(), b = y.to_vector();
  double total = 0;
  for (int64_t top = 0; top < 3; ++top)
    for (int64_t left = 0; left < 2; ++left) {
      Values wa, wb;
      for (int64_t i = 0; i < 7; ++i)
        for (int64_t j = 0; j < 7; ++j) {
          wa.push_back(a[(top + i) * 8 + left + j]);
          wb.push_back(b[(top + i) * 8 + left + j]);
        }
      total += structural_similarity(wa, wb, 7, 7);
    }
  EXPECT_NEAR(structural_similarity(a, b, 9, 8), total / 6, 1e-12);
}

TEST(MapSimilarity, CountsWhatIsUndefinedAndLeavesItOut) {
  MapSimilarity s;
  s.add(Values{0, 1, 0, 1}, Values{0, 1, 0, 1}, 2, 2);
  s.add(Values{0, 0, 0, 0}, Values{0, 1, 0, 1}, 2, 2);
  EXPECT_EQ(s.images, 2);
  EXPECT_EQ(s.undefined, 1);
  EXPECT_DOUBLE_EQ(s.rank(), 1);
  EXPECT_DOUBLE_EQ(s.ssim(), 1);
}

}  // namespace
}  // namespace boxcam
