// The fused Grad-CAM and box penalty against the ops one after the other: values, first and second derivatives.
#include "xai/cam_box.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/gradcheck.h"
#include "xai/boxes.h"
#include "xai/losses.h"

namespace boxcam {
namespace {

struct Problem {
  Tensor A, alpha, mask;
};

/// Image 0: two boxes; image 1: none, image 2: an empty CAM, image 3: a map that is positive everywhere.
Problem problem(DType dtype, int64_t h = 4, int64_t w = 3, int64_t height = 17, int64_t width = 20) {
  const int64_t channels = 5;
  Tensor A = random_tensor({4, h, w, channels}, 1, 0, 1), alpha = random_tensor({4, channels}, 2);
  for (int64_t k = 0; k < channels; ++k) {
    alpha.data<double>()[2 * channels + k] = -0.1 - 0.1 * static_cast<double>(k);
    alpha.data<double>()[3 * channels + k] = 0.1 + 0.1 * static_cast<double>(k);
  }
  const Tensor mask =
      box_masks({{{1, 2, 7, 9}, {5, 5, 12, 16}}, {}, {{0, 0, 9, 9}}, {{3, 3, 15, 11}}}, height, width, 0);
  return {A.to(dtype), alpha.to(dtype), mask.to(dtype)};
}

Function composite(const Tensor& mask, CamNormalizer normalizer) {
  return function([=](const std::vector<Tensor>& in) {
    const Tensor M = sum(in[0] * reshape(in[1], {in[0].dim(0), 1, 1, in[0].dim(3)}), {3});
    const Tensor C = normalize_cam({M}, mask.dim(1), mask.dim(2), CamProfile::pgc_1_4, normalizer);
    return std::vector{M, C, box_loss(C, mask)};
  });
}

Function fused(const Tensor& mask, CamNormalizer normalizer) {
  return function([=](const std::vector<Tensor>& in) {
    const FusedCam all = cam_box(in[0], in[1], mask, normalizer);
    return std::vector{all.raw, all.cam, all.losses};
  });
}

void expect_near(const Tensor& a, const Tensor& b, double tolerance, const std::string& what) {
  const auto x = a.to_vector(), y = b.to_vector();
  ASSERT_EQ(x.size(), y.size()) << what;
  double largest = 1e-30;
  for (const double v : y) largest = std::max(largest, std::abs(v));
  for (size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(x[i], y[i], tolerance * largest) << what << ", element " << i;
}

/// All outputs, and the derivatives of the losses weighted by `seed` (the fused rule), second ones included.
void expect_equal(DType dtype, double tolerance, const Problem& p) {
  for (const CamNormalizer normalizer : {CamNormalizer::differentiated, CamNormalizer::constant}) {
    std::vector<std::vector<Tensor>> results;
    for (const Function& f : {fused(p.mask, normalizer), composite(p.mask, normalizer)}) {
      const std::vector<Tensor> in = leaves({p.A, p.alpha});
      std::vector<Tensor> all = f(in);
      const Tensor seed = Tensor::from({4}, std::vector<double>{1, 0.5, 2, -1}).to(dtype);
      const std::vector<Tensor> first = grad({all[2]}, in, {.seeds = {seed}});
      all.insert(all.end(), first.begin(), first.end());
      results.push_back(all);
    }
    const char* names[] = {"M", "C", "losses", "dA", "dalpha"};
    for (size_t i = 0; i < results[0].size(); ++i) expect_near(results[0][i], results[1][i], tolerance, names[i]);
  }
}

// f64: rounding of sums in another order, 1e-16 times the 1e2 or so of a nearly flat map's derivative.
TEST(CamBoxFused, EqualsTheCompositeInDouble) { expect_equal(DType::f64, 1e-11, problem(DType::f64)); }
TEST(CamBoxFused, EqualsTheCompositeInFloat) { expect_equal(DType::f32, 2e-4, problem(DType::f32)); }
TEST(CamBoxFused, EqualsTheCompositeWhereTheMapIsNotResizedAndWhereItIsOneCell) {
  expect_equal(DType::f64, 1e-11, problem(DType::f64, 17, 20));
  expect_equal(DType::f64, 1e-11, problem(DType::f64, 1, 1));
}

TEST(CamBoxFused, BothDerivativesAgainstDifferences) {
  const Problem p = problem(DType::f64);
  // One image at a time, without the empty one, which sits on a kink.
  for (const int64_t n : {0, 1, 3}) {
    const std::vector<Tensor> in = {slice(p.A, 0, n, 1), slice(p.alpha, 0, n, 1)};
    const Function f = fused(slice(p.mask, 0, n, 1), CamNormalizer::differentiated);
    const Function losses = function([&](const std::vector<Tensor>& x) { return f(x)[2]; });
    EXPECT_TRUE(check_first_order(losses, in)) << n;
    EXPECT_TRUE(check_second_order(losses, in)) << n;
    EXPECT_TRUE(check_first_order(f, in)) << n;  // M and C have derivatives as well
  }
}

TEST(CamBoxFused, AnEmptyCamTeachesNothing) {
  const Problem p = problem(DType::f64);
  const std::vector<Tensor> in = leaves({p.A, p.alpha});
  const FusedCam all = cam_box(in[0], in[1], p.mask, CamNormalizer::differentiated);
  EXPECT_EQ(sum(slice(all.cam, 0, 2, 1)).item(), 0);
  for (const Tensor& g : grad({slice(all.losses, 0, 2, 1)}, in))
    for (const double v : g.to_vector()) EXPECT_EQ(v, 0);
}

TEST(CamBoxFused, ShapesMustAgree) {
  const Problem p = problem(DType::f64);
  EXPECT_THROW(cam_box(p.A, slice(p.alpha, 0, 0, 2), p.mask, CamNormalizer::constant), Error);
  EXPECT_THROW(cam_box(p.A, p.alpha, slice(p.mask, 0, 0, 2), CamNormalizer::constant), Error);
  EXPECT_THROW(cam_box(p.A, p.alpha, p.mask.to(DType::f32), CamNormalizer::constant), Error);
}

}  // namespace
}  // namespace boxcam
