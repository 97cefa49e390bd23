// ROAD's imputation against a dense solve of its linear system.
#include "xai/imputation.h"

#include <gtest/gtest.h>

#include <cmath>

#include "engine/base/random.h"

namespace boxcam {
namespace {

Tensor picture(const Shape& shape, uint64_t seed) {
  Random random(seed);
  std::vector<double> values(shape.numel());
  for (double& v : values) v = random.normal();
  return Tensor::from(shape, values);
}

/// Each pixel with probability `share`, and a block of a quarter of the picture, so that holes of both kinds are there.
std::vector<char> holes(int64_t images, int64_t height, int64_t width, double share, uint64_t seed) {
  Random random(seed, 1);
  std::vector<char> missing(images * height * width);
  for (char& m : missing) m = random.chance(share);
  for (int64_t y = 0; y < height / 2; ++y)
    for (int64_t x = 0; x < width / 2; ++x) missing[y * width + x] = 1;
  missing.back() = 0;
  return missing;
}

/// Gaussian elimination with row exchanges of the system as the header writes it, one channel of one image.
std::vector<double> dense_solution(const std::vector<double>& x, const std::vector<char>& missing, int64_t height,
                                   int64_t width) {
  std::vector<int64_t> unknown, column(x.size(), -1);
  for (int64_t i = 0; i < height * width; ++i)
    if (missing[i]) column[i] = std::ssize(unknown), unknown.push_back(i);
  const size_t count = unknown.size();
  std::vector<std::vector<double>> A(count, std::vector<double>(count + 1));
  for (size_t row = 0; row < count; ++row) {
    A[row][row] = 1;
    for (int64_t dy = -1; dy <= 1; ++dy)
      for (int64_t dx = -1; dx <= 1; ++dx) {
        if (dy == 0 && dx == 0) continue;
        const double w = dy == 0 || dx == 0 ? 1.0 / 6 : 1.0 / 12;
        const int64_t y = unknown[row] / width + dy, at = unknown[row] % width + dx;
        if (y < 0 || y >= height || at < 0 || at >= width)
          A[row][row] -= w;
        else if (missing[y * width + at])
          A[row][column[y * width + at]] -= w;
        else
          A[row][count] += w * x[y * width + at];
      }
  }
  for (size_t i = 0; i < count; ++i) {
    size_t pivot = i;
    for (size_t r = i; r < count; ++r) pivot = std::abs(A[r][i]) > std::abs(A[pivot][i]) ? r : pivot;
    std::swap(A[i], A[pivot]);
    for (size_t r = 0; r < count; ++r)
      if (const double factor = A[r][i] / A[i][i]; r != i && factor != 0)
        for (size_t c = i; c <= count; ++c) A[r][c] -= factor * A[i][c];
  }
  std::vector<double> solution = x;
  for (size_t i = 0; i < count; ++i) solution[unknown[i]] = A[i][count] / A[i][i];
  return solution;
}

TEST(Imputation, IsTheDenseSolution) {
  for (const auto& [height, width, share] :
       {std::tuple{12, 17, 0.3}, {17, 12, 0.8}, {2, 2, 0.2}, {1, 9, 0.7}, {9, 1, 0.5}, {20, 20, 0.97}, {3, 5, 0.0}}) {
    const int64_t images = 3, channels = 3, pixels = int64_t{height} * width;
    const Tensor x = picture({images, height, width, channels}, 3);
    std::vector<char> missing = holes(images, height, width, share, 5);
    for (int64_t n = 1; n <= images; ++n) missing[n * pixels - 1] = 0;
    const std::vector<double> before = x.to_vector(), after = impute(x, missing, 1e-14).to_vector();
    for (int64_t n = 0; n < images; ++n)
      for (int64_t c = 0; c < channels; ++c) {
        std::vector<double> plane(pixels);
        for (int64_t i = 0; i < pixels; ++i) plane[i] = before[(n * pixels + i) * channels + c];
        const auto mine = missing.begin() + n * pixels;
        const std::vector<double> exact = dense_solution(plane, {mine, mine + pixels}, height, width);
        for (int64_t i = 0; i < pixels; ++i)
          ASSERT_NEAR(after[(n * pixels + i) * channels + c], exact[i], 1e-11) << height << "x" << width << " " << i;
      }
  }
}

TEST(Imputation, KnownPixelsStayAndABatchIsItsImages) {
  const int64_t images = 4, size = 40;
  const Tensor x = picture({images, size, size, 3}, 7).to(DType::f32);
  const std::vector<char> missing = holes(images, size, size, 0.5, 9);
  const Tensor all = impute(x, missing);
  for (int64_t i = 0; i < all.numel(); ++i)
    ASSERT_TRUE(missing[i / 3] || all.data<float>()[i] == x.data<float>()[i]) << i;
  const int64_t values = size * size * 3;
  for (int64_t n = 0; n < images; ++n) {
    const Tensor one = Tensor::from(
        {1, size, size, 3}, std::vector<float>(x.data<float>() + n * values, x.data<float>() + (n + 1) * values));
    const Tensor alone = impute(one, std::span(missing).subspan(n * size * size, size * size));
    EXPECT_TRUE(std::equal(alone.data<float>(), alone.data<float>() + values, all.data<float>() + n * values)) << n;
  }
}

// What the default tolerance leaves is small beside ROAD's noise of 0.01, also in f32 and in a hole of 100 pixels.
TEST(Imputation, TheDefaultToleranceIsFineEnough) {
  const int64_t size = 128;
  const Tensor x = picture({1, size, size, 3}, 11);
  std::vector<char> missing(size * size);
  for (int64_t i = 0; i < size * size; ++i) missing[i] = i / size > 10 && i / size < 118 && i % size > 5;
  const std::vector<double> exact = impute(x, missing, 1e-13).to_vector();
  for (const DType dtype : {DType::f32, DType::f64}) {
    const std::vector<double> ours = impute(x.to(dtype), missing).to_vector();
    double worst = 0;
    for (size_t i = 0; i < exact.size(); ++i) worst = std::max(worst, std::abs(ours[i] - exact[i]));
    EXPECT_LT(worst, 1e-3);
  }
}

TEST(Imputation, RefusesWhatHasNoSolution) {
  const Tensor x = picture({1, 4, 4, 3}, 13);
  EXPECT_THROW(impute(x, std::vector<char>(16, 1)), Error);
  EXPECT_THROW(impute(x, std::vector<char>(15, 0)), Error);
  EXPECT_EQ(impute(x, std::vector<char>(16, 0)).to_vector(), x.to_vector());
}

}  // namespace
}  // namespace boxcam
