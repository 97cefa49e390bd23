// Each op against an independent, naive definition computed here in double: exactly in f64 (up to rounding), in f32
// within a stated bound, on one and two threads, for awkward sizes. Then: what oneDNN's convolutions are worth, large
// sums, NaN, and the sentences of wrong calls.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <tuple>

#include "engine/backend/backend.h"
#include "engine/base/random.h"
#include "engine/in_place.h"
#include "engine/machine.h"
#include "engine/ops.h"
#include "engine/settings.h"

namespace boxcam {
namespace {

/// A dense array of doubles with indices, for the definitions below.
struct Array {
  Shape shape;
  std::vector<double> values;
  explicit Array(const Shape& s) : shape(s), values(s.numel(), 0.0) {}
  explicit Array(const Tensor& t) : shape(t.shape()), values(t.to_vector()) {}
  double& operator()(const std::vector<int64_t>& at) {
    int64_t offset = 0;
    for (size_t i = 0; i < at.size(); ++i) offset = offset * shape[i] + at[i];
    return values[offset];
  }
};

/// Calls f with every index of a shape, in row-major order.
template <class F>
void for_each_index(const Shape& shape, F f) {
  std::vector<int64_t> at(shape.ndim(), 0);
  for (int64_t count = shape.numel(); count > 0; --count) {
    f(at);
    for (int i = shape.ndim(); i-- > 0;) {
      if (++at[i] < shape[i]) break;
      at[i] = 0;
    }
  }
}

/// Largest difference, relative to the largest expected value.
double relative_error(const Tensor& found, const std::vector<double>& expected) {
  const std::vector<double> values = found.to_vector();
  EXPECT_EQ(values.size(), expected.size());
  double error = 0, largest = 1e-30;
  for (size_t i = 0; i < values.size(); ++i) {
    error = std::max(error, std::abs(values[i] - expected[i]));
    largest = std::max(largest, std::abs(expected[i]));
    if (std::isnan(values[i]) != std::isnan(expected[i])) return std::numeric_limits<double>::infinity();
  }
  return error / largest;
}

/// (dtype, threads). Inputs hold values that f32 represents, so that both dtypes compute with the same numbers.
class Ops : public testing::TestWithParam<std::tuple<DType, int>> {
 protected:
  void SetUp() override { set_setting(&Settings::threads, std::get<1>(GetParam())); }
  void TearDown() override { set_setting(&Settings::threads, 0); }
  static DType dtype() { return std::get<0>(GetParam()); }

  static Tensor input(const Shape& shape, uint64_t seed, double low = -1, double high = 1) {
    Random random(seed);
    std::vector<float> values(shape.numel());
    for (float& v : values) v = static_cast<float>(random.uniform(low, high));
    return Tensor::from(shape, values).to(dtype());
  }

  /// f64: rounding of a few hundred additions. f32: 1e-5 of the largest value; its unit roundoff is 6e-8 and the sums
  /// here have at most some 600 terms, so a correct kernel stays ten times below, and a wrong one far above.
  static void expect(const Tensor& found, const Array& expected, const std::string& what) {
    EXPECT_EQ(found.shape(), expected.shape) << what;
    EXPECT_EQ(found.dtype(), dtype()) << what;
    EXPECT_LE(relative_error(found, expected.values), dtype() == DType::f64 ? 1e-12 : 1e-5) << what;
  }
};

INSTANTIATE_TEST_SUITE_P(, Ops, testing::Combine(testing::Values(DType::f64, DType::f32), testing::Values(1, 2)),
                         [](const auto& p) {
                           return str(name(std::get<0>(p.param)), "_threads_", std::get<1>(p.param));
                         });

TEST_P(Ops, BinaryBroadcastLikeNumpy) {
  struct Pair {
    Shape a, b, y;
  };
  for (const auto& [sa, sb, sy] : std::vector<Pair>{{{2, 3}, {2, 3}, {2, 3}},
                                                    {{}, {}, {}},
                                                    {{}, {5}, {5}},
                                                    {{7, 1}, {1, 3}, {7, 3}},
                                                    {{2, 3, 5, 17}, {17}, {2, 3, 5, 17}},
                                                    {{2, 1, 5, 1}, {3, 1, 4}, {2, 3, 5, 4}},
                                                    {{4, 1, 1}, {4, 6, 5}, {4, 6, 5}},
                                                    {{1, 1}, {3}, {1, 3}},
                                                    {{0, 3}, {1, 3}, {0, 3}},
                                                    {{3, 157, 151}, {3, 157, 151}, {3, 157, 151}},
                                                    {{3, 157, 151}, {157, 1}, {3, 157, 151}}}) {
    const Tensor a = input(sa, 1, 0.5, 2), b = input(sb, 2, 0.5, 2);
    Array na(a), nb(b), plus(sy), minus(sy), times(sy), over(sy), above(sy);
    for_each_index(sy, [&](const std::vector<int64_t>& at) {
      const auto pick = [&](Array& n) {  // the trailing indices, 0 where the extent is 1
        std::vector<int64_t> own(at.end() - n.shape.ndim(), at.end());
        for (int i = 0; i < n.shape.ndim(); ++i) own[i] = n.shape[i] == 1 ? 0 : own[i];
        return n(own);
      };
      const double p = pick(na), q = pick(nb);
      plus(at) = p + q, minus(at) = p - q, times(at) = p * q, over(at) = p / q, above(at) = p > q ? 1 : 0;
    });
    const std::string what = str(sa, " and ", sb);
    expect(a + b, plus, what + " +");
    expect(a - b, minus, what + " -");
    expect(a * b, times, what + " *");
    expect(a / b, over, what + " /");
    expect(greater(a, b), above, what + " >");
  }
}

TEST_P(Ops, Unary) {
  for (const Shape& shape : {Shape{}, Shape{1}, Shape{3, 5, 7}, Shape{0}, Shape{70001}}) {
    const Tensor x = input(shape, 3, -2, 2), positive = input(shape, 4, 0.1, 3), g = input(shape, 5);
    const auto map = [&](const Tensor& t, auto f) {
      Array n(t);
      for (double& v : n.values) v = f(v);
      return n;
    };
    const std::string what = str(shape);
    expect(exp(x), map(x, [](double v) { return std::exp(v); }), what);
    expect(log(positive), map(positive, [](double v) { return std::log(v); }), what);
    expect(sqrt(positive), map(positive, [](double v) { return std::sqrt(v); }), what);
    expect(abs(x), map(x, [](double v) { return v < 0 ? -v : v; }), what);
    expect(relu(x), map(x, [](double v) { return v > 0 ? v : 0; }), what);
    expect(x + 0.375, map(x, [](double v) { return v + 0.375; }), what);
    expect(x * -1.25, map(x, [](double v) { return -1.25 * v; }), what);
    Array gated(g), nx(x);
    for (size_t i = 0; i < gated.values.size(); ++i) gated.values[i] *= nx.values[i] > 0;
    expect(relu_grad(g, relu(x)), gated, what);
  }
}

TEST_P(Ops, ReductionsAndTheirAdjoint) {
  for (const Shape& shape : {Shape{3, 5, 2, 17}, Shape{1, 7, 9, 64}, Shape{2, 33, 31, 17}, Shape{1, 1, 1, 1}}) {
    const Tensor x = input(shape, 6);
    for (int mask = 0; mask < 16; ++mask) {
      std::vector<int> axes;
      std::vector<int64_t> kept, ones;
      double count = 1;
      for (int i = 0; i < 4; ++i) {
        const bool reduced = mask >> i & 1;
        if (reduced) axes.insert(axes.begin(), i % 2 ? i : i - 4), count *= static_cast<double>(shape[i]);
        if (!reduced) kept.push_back(shape[i]);
        ones.push_back(reduced ? 1 : shape[i]);
      }
      Array nx(x), total{Shape(ones)}, spread(shape);
      const auto low = [&](std::vector<int64_t> at) {
        for (int i = 0; i < 4; ++i) at[i] = mask >> i & 1 ? 0 : at[i];
        return at;
      };
      for_each_index(shape, [&](const auto& at) { total(low(at)) += nx(at); });
      for_each_index(shape, [&](const auto& at) { spread(at) = total(low(at)); });
      const std::string what = str(shape, ", mask ", mask);
      const Tensor s = sum(x, axes, true);
      // Sums of both signs cancel: the error is that of the terms, so compare on their scale.
      const double scale = sum(abs(x.to(DType::f64)), axes).to_vector()[0];
      EXPECT_EQ(s.shape(), total.shape) << what;
      const std::vector<double> values = s.to_vector();
      for (size_t i = 0; i < values.size(); ++i)
        ASSERT_NEAR(values[i], total.values[i], (dtype() == DType::f64 ? 1e-14 : 1e-6) * scale) << what;
      EXPECT_EQ(sum(x, axes).shape(), Shape(kept)) << what;
      EXPECT_EQ(sum(x, axes).to_vector(), s.to_vector()) << what;
      EXPECT_EQ(sum_to(x, total.shape).to_vector(), s.to_vector()) << what;
      EXPECT_LE(relative_error(mean(x, axes, true) * count, s.to_vector()), dtype() == DType::f64 ? 1e-15 : 3e-7)
          << what;
      expect(broadcast_to(s, shape), Array(broadcast_to(s.to(DType::f64), shape)), what);
      EXPECT_LE(relative_error(broadcast_to(Tensor::from(total.shape, total.values), shape), spread.values), 0) << what;
    }
    EXPECT_EQ(sum(x).to_vector(), sum(x, {0, 1, 2, 3}).to_vector());
    EXPECT_EQ(mean(x).to_vector(), mean(x, {0, 1, 2, 3}).to_vector());
  }
  EXPECT_EQ(sum(Tensor::zeros({0, 3}, dtype()), {0}).to_vector(), std::vector<double>(3, 0.0));
}

TEST_P(Ops, ArgmaxAndArgminTakeTheFirst) {
  const Tensor x = Tensor::from({3, 4}, std::vector<double>{1, 3, 3, -2, 0, 0, 0, 0, -4, -1, -4, -1}).to(dtype());
  EXPECT_EQ(argmax(x).to_vector(), (std::vector<double>{1, 0, 1}));
  EXPECT_EQ(argmin(x).to_vector(), (std::vector<double>{3, 0, 0}));
  EXPECT_EQ(argmax(x).shape(), (Shape{3, 1}));
  EXPECT_EQ(argmax(x).dtype(), DType::i32);
}

TEST_P(Ops, TheExtremeIsTheFirstWhateverIsAmongTheValues) {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
  const double odd[] = {nan, infinity, -infinity, 0.0, -0.0, 3.0, -3.0};
  Random random(1, 2);
  for (const int64_t width : {1, 2, 255, 256, 257, 1000})
    for (const int among : {1000, 8, 7}) {  // values with few, many and only odd ones
      std::vector<double> values(8 * width);
      for (double& v : values) {
        const auto drawn = static_cast<int>(random.below(among));
        v = drawn < 7 ? odd[drawn] : std::floor(40 * random.uniform());
      }
      const Tensor x = Tensor::from({8, width}, values).to(dtype());
      std::vector<double> greatest, least;
      for (int n = 0; n < 8; ++n) {
        const double* row = &values[n * width];
        int64_t high = 0, low = 0;
        for (int64_t i = 1; i < width; ++i) {
          if (row[i] > row[high]) high = i;
          if (row[i] < row[low]) low = i;
        }
        greatest.push_back(static_cast<double>(high)), least.push_back(static_cast<double>(low));
      }
      EXPECT_EQ(argmax(x).to_vector(), greatest) << width << " " << among;
      EXPECT_EQ(argmin(x).to_vector(), least) << width << " " << among;
    }
}

TEST_P(Ops, IndexingAndShape) {
  const Tensor x = input({3, 5}, 7), g = input({3, 4}, 8);
  const Tensor index = Tensor::from({3, 4}, std::vector<int32_t>{0, 4, 4, 2, 1, 1, 1, 1, 3, 0, 3, 2});
  Array nx(x), ng(g), at(Tensor::zeros({3, 4})), ni(index), put(Shape{3, 5});
  for_each_index({3, 4}, [&](const auto& i) {
    const auto where = std::vector<int64_t>{i[0], static_cast<int64_t>(ni(i))};
    at(i) = nx(where);
    put(where) += ng(i);
  });
  expect(take_at(x, index), at, "take_at");
  expect(put_at(g, index, 5), put, "put_at");

  const Tensor reshaped = reshape(x, {5, 1, 3});
  EXPECT_EQ(reshaped.to_vector(), x.to_vector());
  EXPECT_EQ(reshaped.raw_data(), x.raw_data());

  const Tensor hot = one_hot(Tensor::from({3}, std::vector<int32_t>{2, 0, 1}), 4, dtype());
  EXPECT_EQ(hot.to_vector(), (std::vector<double>{0, 0, 1, 0, 1, 0, 0, 0, 0, 1, 0, 0}));

  const Tensor y = input({3, 5, 2, 7}, 9);
  for (int axis = 0; axis < 4; ++axis) {
    const int64_t length = y.dim(axis) - 1;
    Shape cut = y.shape(), wide = y.shape();
    cut[axis] = length, wide[axis] += 3;
    Array ny(y), slim(cut), padded(wide);
    for_each_index(cut, [&](std::vector<int64_t> i) {
      double& target = slim(i);
      ++i[axis];
      target = ny(i);
    });
    for_each_index(y.shape(), [&](std::vector<int64_t> i) {
      const double value = ny(i);
      i[axis] += 2;
      padded(i) = value;
    });
    expect(slice(y, axis, 1, length), slim, str("slice, axis ", axis));
    expect(slice(y, axis - 4, 1, length), slim, str("slice, axis ", axis - 4));
    expect(pad(y, axis, 2, 1), padded, str("pad, axis ", axis));
  }
}

TEST_P(Ops, Matmul) {
  struct Sizes {
    int64_t m, k, n;
  };
  for (const auto& [m, k, n] : {Sizes{1, 1, 1}, Sizes{1, 17, 1}, Sizes{5, 1, 3}, Sizes{1, 64, 4}, Sizes{17, 3, 1},
                                Sizes{33, 65, 17}, Sizes{16, 512, 10}, Sizes{3, 0, 2}})
    for (const bool ta : {false, true})
      for (const bool tb : {false, true}) {
        const Tensor a = input(ta ? Shape{k, m} : Shape{m, k}, 10), b = input(tb ? Shape{n, k} : Shape{k, n}, 11);
        Array na(a), nb(b), y(Shape{m, n});
        for_each_index({m, n}, [&](const auto& at) {
          for (int64_t l = 0; l < k; ++l)
            y(at) += (ta ? na({l, at[0]}) : na({at[0], l})) * (tb ? nb({at[1], l}) : nb({l, at[1]}));
        });
        expect(matmul(a, b, {.transpose_a = ta, .transpose_b = tb}), y,
               str(a.shape(), ta ? "^T " : " ", b.shape(), tb ? "^T" : ""));
      }
}

struct Conv {
  Shape x, w;
  Conv2dSpec spec;
};

TEST_P(Ops, ConvolutionAndItsTwoGradients) {
  for (const Conv& c : {Conv{{2, 7, 9, 3}, {5, 3, 3, 3}, {1, 1}}, Conv{{1, 11, 9, 1}, {17, 7, 7, 1}, {2, 3}},
                        Conv{{2, 6, 7, 17}, {4, 1, 1, 17}, {1, 0}}, Conv{{1, 7, 6, 17}, {3, 1, 1, 17}, {2, 0}},
                        Conv{{2, 7, 7, 3}, {8, 1, 1, 3}, {2, 0}}, Conv{{1, 9, 8, 4}, {6, 3, 2, 4}, {2, 1, 2}},
                        Conv{{2, 5, 5, 6}, {4, 3, 3, 3}, {1, 1, 1, 2}}, Conv{{1, 6, 6, 5}, {5, 3, 3, 1}, {2, 1, 1, 5}},
                        Conv{{1, 1, 1, 64}, {17, 3, 3, 64}, {1, 1}}, Conv{{1, 8, 5, 2}, {3, 3, 3, 2}, {3, 0}}}) {
    const Tensor x = input(c.x, 12), w = input(c.w, 13);
    const Tensor y = conv2d(x, w, c.spec), g = input(y.shape(), 14);
    const int64_t p = (c.x[1] + 2 * c.spec.padding - c.spec.dilation * (c.w[1] - 1) - 1) / c.spec.stride + 1;
    const int64_t q = (c.x[2] + 2 * c.spec.padding - c.spec.dilation * (c.w[2] - 1) - 1) / c.spec.stride + 1;
    Array nx(x), nw(w), ng(g), ny(Shape{c.x[0], p, q, c.w[0]}), gx(c.x), gw(c.w);
    for_each_index(ny.shape, [&](const auto& to) {
      for_each_index(c.w, [&](const auto& k) {
        if (k[0] != to[3]) return;
        const int64_t row = to[1] * c.spec.stride - c.spec.padding + k[1] * c.spec.dilation;
        const int64_t column = to[2] * c.spec.stride - c.spec.padding + k[2] * c.spec.dilation;
        if (row < 0 || row >= c.x[1] || column < 0 || column >= c.x[2]) return;
        const int64_t group = to[3] / (c.w[0] / c.spec.groups);
        const std::vector<int64_t> from = {to[0], row, column, group * c.w[3] + k[3]};
        ny(to) += nx(from) * nw(k);
        gx(from) += ng(to) * nw(k);
        gw(k) += ng(to) * nx(from);
      });
    });
    const std::string what = str("x ", c.x, ", w ", c.w, ", stride ", c.spec.stride, ", groups ", c.spec.groups);
    expect(y, ny, what);
    expect(conv2d_input_grad(g, w, c.x, c.spec), gx, what + ", input gradient");
    expect(conv2d_weight_grad(x, g, c.w, c.spec), gw, what + ", weight gradient");
  }
}

TEST_P(Ops, BatchNorm) {
  constexpr double eps = 1e-5;
  for (const Shape& shape : {Shape{2, 5, 7, 3}, Shape{1, 9, 9, 17}, Shape{3, 13, 15, 64}, Shape{4, 1, 1, 1}}) {
    const int64_t channels = shape[3];
    const double n = static_cast<double>(shape.numel() / channels);
    const Tensor x = input(shape, 15, -1, 3), gamma = input({channels}, 16, 0.5, 1.5), beta = input({channels}, 17);
    const Tensor residual = input(shape, 18), g = input(shape, 19);
    const Tensor running_mean = input({channels}, 20), running_var = input({channels}, 21, 0.5, 2);
    Array nx(x), ngamma(gamma), nbeta(beta), nres(residual), ng(g), nm(running_mean), nv(running_var);
    Array mean_(Shape{channels}), var(Shape{channels}), sum_g(Shape{channels}), sum_gh(Shape{channels});
    for_each_index(shape, [&](const auto& i) { mean_({i[3]}) += nx(i) / n; });
    for_each_index(shape, [&](const auto& i) { var({i[3]}) += std::pow(nx(i) - mean_({i[3]}), 2) / n; });
    const auto hat = [&](const auto& i) { return (nx(i) - mean_({i[3]})) / std::sqrt(var({i[3]}) + eps); };
    for_each_index(shape, [&](const auto& i) { sum_g({i[3]}) += ng(i), sum_gh({i[3]}) += ng(i) * hat(i); });

    for (const bool with_relu : {false, true})
      for (const bool with_residual : {false, true}) {
        Array train(shape), eval(shape);
        for_each_index(shape, [&](const auto& i) {
          const std::vector<int64_t> c = {i[3]};
          const double added = nbeta(c) + (with_residual ? nres(i) : 0);
          train(i) = ngamma(c) * hat(i) + added;
          eval(i) = ngamma(c) * (nx(i) - nm(c)) / std::sqrt(nv(c) + eps) + added;
          if (with_relu) train(i) = std::max(train(i), 0.0), eval(i) = std::max(eval(i), 0.0);
        });
        const Tensor r = with_residual ? residual : Tensor{};
        const std::string what = str(shape, with_relu ? ", relu" : "", with_residual ? ", residual" : "");
        BatchStatistics s;
        expect(batch_norm_train(x, gamma, beta, eps, with_relu, r, &s), train, what + ", train");
        expect(s.mean, mean_, what);
        expect(s.variance, var, what);
        EXPECT_FALSE(s.mean.requires_grad() || s.variance.requires_grad());
        expect(batch_norm_eval(x, gamma, beta, running_mean, running_var, eps, with_relu, r), eval, what + ", eval");
      }

    // Ioffe and Szegedy 2015, section 3: the gradient with the statistics' dependence on x.
    Array gx(shape);
    for_each_index(shape, [&](const auto& i) {
      const std::vector<int64_t> c = {i[3]};
      gx(i) = ngamma(c) / std::sqrt(var(c) + eps) * (ng(i) - sum_g(c) / n - hat(i) * sum_gh(c) / n);
    });
    const std::vector<Tensor> found = batch_norm_train_grad(x, gamma, g, eps);
    expect(found[0], gx, str(shape, ", d/dx"));
    expect(found[1], sum_gh, str(shape, ", d/dgamma"));
    expect(found[2], sum_g, str(shape, ", d/dbeta"));
  }
}

TEST_P(Ops, BatchNormStatisticsFarFromZero) {
  // The mean is a thousand standard deviations away: E[x^2] - E[x]^2 would lose the variance in f32.
  const Tensor x = input({2, 40, 40, 3}, 22, 999, 1001);
  const std::vector<double> values = x.to_vector();
  double mean_ = 0, var = 0;
  for (size_t i = 1; i < values.size(); i += 3) mean_ += values[i] / 3200;
  for (size_t i = 1; i < values.size(); i += 3) var += std::pow(values[i] - mean_, 2) / 3200;
  BatchStatistics s;
  batch_norm_train(x, Tensor::full({3}, 1, dtype()), Tensor::zeros({3}, dtype()), 1e-5, false, {}, &s);
  EXPECT_NEAR(s.mean.to_vector()[1], mean_, 1e-4);
  EXPECT_NEAR(s.variance.to_vector()[1], var, 1e-5 * var);
}

TEST_P(Ops, MaxPool) {
  struct Pool {
    Shape x;
    Pool2dSpec spec;
    int64_t p, q;  // PyTorch's output extents
  };
  for (const Pool& c :
       {Pool{{2, 7, 9, 3}, {3, 2, 1}, 4, 5}, Pool{{1, 8, 8, 17}, {2, 2, 0}, 4, 4}, Pool{{1, 6, 7, 1}, {3, 2, 0}, 2, 3},
        Pool{{1, 6, 7, 64}, {3, 2, 0, true}, 3, 3}, Pool{{2, 5, 4, 2}, {3, 3, 1, true}, 2, 2},
        Pool{{1, 112, 3, 2}, {3, 2, 0, true}, 56, 1}, Pool{{1, 5, 5, 1}, {1, 3, 0, true}, 2, 2}}) {
    const Tensor x = input(c.x, 23);
    const Tensor y = max_pool2d(x, c.spec);
    Array nx(x), ny(Shape{c.x[0], c.p, c.q, c.x[3]});
    for_each_index(ny.shape, [&](const auto& to) {
      double best = -std::numeric_limits<double>::infinity();
      for (int64_t i = 0; i < c.spec.window; ++i)
        for (int64_t j = 0; j < c.spec.window; ++j) {
          const int64_t row = to[1] * c.spec.stride - c.spec.padding + i;
          const int64_t column = to[2] * c.spec.stride - c.spec.padding + j;
          if (row >= 0 && row < c.x[1] && column >= 0 && column < c.x[2])
            best = std::max(best, nx({to[0], row, column, to[3]}));
        }
      ny(to) = best;
    });
    expect(y, ny, str(c.x, ", window ", c.spec.window));
  }
}

TEST_P(Ops, MaxPoolPaddingNeverWinsAndTiesGoToTheFirst) {
  Tensor x = Tensor::full({1, 2, 2, 1}, -5, dtype()).set_requires_grad();
  const Tensor y = max_pool2d(x, {3, 2, 1});
  EXPECT_EQ(y.to_vector(), std::vector<double>{-5});
  EXPECT_EQ(grad({y}, {x})[0].to_vector(), (std::vector<double>{1, 0, 0, 0}));
}

TEST_P(Ops, GlobalAveragePool) {
  const Tensor x = input({2, 7, 5, 17}, 24);
  Array nx(x), y(Shape{2, 17});
  for_each_index(x.shape(), [&](const auto& i) { y({i[0], i[3]}) += nx(i) / 35; });
  expect(global_avg_pool(x), y, "global_avg_pool");
}

TEST_P(Ops, SoftmaxFamily) {
  for (const Shape& shape : {Shape{1, 1}, Shape{3, 4}, Shape{17, 1000}}) {
    const Tensor x = input(shape, 25, -5, 5);
    Array nx(x), soft(shape), logs(shape), loss(Shape{});
    std::vector<int32_t> labels(shape[0]);
    for (int64_t n = 0; n < shape[0]; ++n) {
      double total = 0;
      for (int64_t k = 0; k < shape[1]; ++k) total += std::exp(nx({n, k}));
      for (int64_t k = 0; k < shape[1]; ++k) {
        soft({n, k}) = std::exp(nx({n, k})) / total;
        logs({n, k}) = nx({n, k}) - std::log(total);
      }
      labels[n] = static_cast<int32_t>(n * 7 % shape[1]);
      loss.values[0] -= logs({n, labels[n]}) / static_cast<double>(shape[0]);
    }
    expect(softmax(x), soft, str(shape));
    expect(log_softmax(x), logs, str(shape));
    if (shape[1] > 1) expect(cross_entropy(x, Tensor::from({shape[0]}, labels)), loss, str(shape));
  }
  // Large logits neither overflow nor lose the answer.
  const Tensor large = Tensor::from({1, 2}, std::vector<double>{10000, 9999}).to(dtype());
  expect(softmax(large), Array(softmax(Tensor::from({1, 2}, std::vector<double>{1, 0}))), "large logits");
}

TEST_P(Ops, BilinearResizeAndAdjoint) {
  struct Sizes {
    int64_t h, w, rows, columns;
  };
  for (const auto& [h, w, rows, columns] : {Sizes{7, 7, 64, 96}, Sizes{5, 9, 3, 4}, Sizes{1, 1, 4, 3},
                                            Sizes{6, 3, 1, 1}, Sizes{4, 5, 4, 5}, Sizes{2, 13, 7, 5}}) {
    const Tensor x = input({3, h, w}, 26), g = input({3, rows, columns}, 27);
    /// Weight of source cell `from` in target cell `to`: a tent at the clamped centre.
    const auto weight = [](int64_t from, int64_t source, int64_t to, int64_t target) {
      double centre = (static_cast<double>(to) + 0.5) * static_cast<double>(source) / static_cast<double>(target) - 0.5;
      centre = std::clamp(centre, 0.0, static_cast<double>(source - 1));
      return std::max(0.0, 1 - std::abs(centre - static_cast<double>(from)));
    };
    Array nx(x), ng(g), y(Shape{3, rows, columns}), gx(Shape{3, h, w});
    for_each_index(y.shape, [&](const auto& to) {
      for (int64_t i = 0; i < h; ++i)
        for (int64_t j = 0; j < w; ++j) {
          const double share = weight(i, h, to[1], rows) * weight(j, w, to[2], columns);
          y(to) += share * nx({to[0], i, j});
          gx({to[0], i, j}) += share * ng(to);
        }
    });
    const std::string what = str(h, "x", w, " to ", rows, "x", columns);
    expect(bilinear_resize(x, rows, columns), y, what);
    expect(bilinear_resize_adjoint(g, h, w), gx, what + ", adjoint");
  }
}

TEST_P(Ops, AreaResizeAndAdjoint) {
  struct Sizes {
    int64_t h, w, rows, columns;  ///< from, to
  };
  for (const auto& [h, w, rows, columns] : {Sizes{64, 96, 8, 12}, Sizes{31, 24, 7, 5}, Sizes{3, 4, 5, 9},
                                            Sizes{6, 3, 1, 1}, Sizes{4, 5, 4, 5}, Sizes{7, 5, 2, 13}}) {
    const Tensor x = input({3, h, w}, 28), g = input({3, rows, columns}, 29);
    /// The share of cell `cell` of `cells` that lies over pixel `pixel` of `pixels`.
    const auto share = [](int64_t pixel, int64_t pixels, int64_t cell, int64_t cells) {
      const double size = static_cast<double>(pixels) / static_cast<double>(cells);
      const double low = std::max(static_cast<double>(pixel), static_cast<double>(cell) * size);
      const double high = std::min(static_cast<double>(pixel + 1), static_cast<double>(cell + 1) * size);
      return std::max(0.0, high - low) / size;
    };
    Array nx(x), ng(g), y(Shape{3, rows, columns}), gx(Shape{3, h, w});
    for_each_index(y.shape, [&](const auto& to) {
      for (int64_t i = 0; i < h; ++i)
        for (int64_t j = 0; j < w; ++j) {
          const double weight = share(i, h, to[1], rows) * share(j, w, to[2], columns);
          y(to) += weight * nx({to[0], i, j});
          gx({to[0], i, j}) += weight * ng(to);
        }
    });
    const std::string what = str(h, "x", w, " to ", rows, "x", columns);
    expect(area_resize(x, rows, columns), y, what);
    expect(area_resize_adjoint(g, h, w), gx, what + ", adjoint");
  }
}

TEST_P(Ops, LargeSumsKeepTheirDigits) {
  // Equal terms round the same way each time, the worst case. Blocks of at most 256 additions in f32 go to double: the
  // bound is 256 * 2^-24 = 1.5e-5; one long f32 sum would be wrong in the second digit.
  constexpr int64_t n = 4'000'001;
  const double bound = dtype() == DType::f32 ? 1.5e-5 : 1e-12;
  const double tenth = dtype() == DType::f32 ? static_cast<double>(0.1f) : 0.1;
  const Tensor x = Tensor::full({n, 1}, tenth, dtype());
  for (const Tensor& s : {sum(x), sum(reshape(x, {1, n}), {1}), sum(broadcast_to(x, {n, 2}), {0})})
    for (const double v : s.to_vector()) EXPECT_NEAR(v, n * tenth, n * tenth * bound);
}

TEST_P(Ops, NaNIsNotLost) {
  const double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
  const auto lost = [](const Tensor& t) { return !std::isnan(t.to_vector()[0]); };
  const Tensor x = Tensor::from({1, 3}, std::vector<double>{nan, 1, 2}).to(dtype());
  EXPECT_FALSE(lost(relu(x)));
  EXPECT_FALSE(lost(abs(x)));
  EXPECT_FALSE(lost(sum(x)));
  EXPECT_FALSE(lost(sum(broadcast_to(x, {3, 3}), {1})));
  EXPECT_FALSE(lost(log_softmax(x)));
  EXPECT_FALSE(lost(cross_entropy(x, Tensor::from({1}, std::vector<int32_t>{2}))));
  EXPECT_FALSE(lost(matmul(x, x, {.transpose_b = true})));
  EXPECT_EQ(relu(Tensor::from({2}, std::vector<double>{inf, -inf}).to(dtype())).to_vector(),
            (std::vector<double>{inf, 0}));
  for (int at = 0; at < 4; ++at) {  // whichever place in the window it has
    std::vector<double> values = {1, 4, 2, 3};
    values[at] = nan;
    EXPECT_FALSE(lost(max_pool2d(Tensor::from({1, 2, 2, 1}, values).to(dtype()), {2, 2, 0}))) << at;
  }
  const Tensor image = reshape(x, {1, 3, 1, 1}), one = Tensor::full({1}, 1, dtype()),
               zero = Tensor::zeros({1}, dtype());
  EXPECT_FALSE(lost(conv2d(image, Tensor::full({1, 1, 1, 1}, 1, dtype()), {})));
  EXPECT_FALSE(lost(batch_norm_train(image, one, zero, 1e-5, true)));
  EXPECT_FALSE(lost(batch_norm_eval(image, one, zero, zero, one, 1e-5, true)));
  EXPECT_FALSE(lost(global_avg_pool(image)));
  EXPECT_FALSE(lost(bilinear_resize(reshape(x, {1, 1, 3}), 2, 2)));
}

TEST_P(Ops, EqualCallsGiveEqualBits) {
  const Tensor x = input({3, 14, 14, 64}, 28), w = input({64, 3, 3, 64}, 29), gamma = input({64}, 30);
  const auto all = [&] {
    const Tensor y = conv2d(x, w, {1, 1});
    std::vector<double> bits = y.to_vector();
    for (const Tensor& t : {conv2d_weight_grad(x, y, w.shape(), {1, 1}), sum(x, {0, 1, 2}),
                            batch_norm_train_grad(x, gamma, x, 1e-5)[1]}) {
      const std::vector<double> more = t.to_vector();
      bits.insert(bits.end(), more.begin(), more.end());
    }
    return bits;
  };
  EXPECT_EQ(all(), all());
}

// ---- oneDNN's convolutions ------------------------------------------------------------------------------------------

/// ||found - truth|| / ||truth||
double norm_error(const Tensor& found, const Tensor& truth) {
  const std::vector<double> a = found.to_vector(), b = truth.to_vector();
  double error = 0, size = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    error += (a[i] - b[i]) * (a[i] - b[i]);
    size += b[i] * b[i];
  }
  return std::sqrt(error / size);
}

TEST(Convolution, SinglePrecisionStaysNearTheDefinition) {
  // Norm-wise relative error, the bound four times the largest measured: direct sums 5e-7, Winograd 1.1e-6 (its
  // transforms add and subtract before they multiply). A single wrong tap makes 1e-2 or more.
  const auto input = [](const Shape& shape, uint64_t seed) {
    Random random(seed);
    std::vector<float> values(shape.numel());
    for (float& v : values) v = static_cast<float>(random.normal());
    return Tensor::from(shape, values);
  };
  for (const Conv& c : {Conv{{2, 32, 32, 3}, {64, 7, 7, 3}, {2, 3}}, Conv{{2, 16, 16, 64}, {64, 3, 3, 64}, {1, 1}},
                        Conv{{3, 14, 14, 128}, {128, 3, 3, 128}, {1, 1}}, Conv{{2, 17, 19, 64}, {64, 3, 3, 64}, {1, 1}},
                        Conv{{1, 15, 15, 64}, {128, 3, 3, 64}, {2, 1}},
                        Conv{{2, 13, 13, 256}, {128, 1, 1, 256}, {2, 0}}, Conv{{2, 9, 9, 64}, {256, 1, 1, 64}, {1, 0}},
                        Conv{{1, 9, 7, 17}, {5, 3, 3, 17}, {1, 1}}, Conv{{2, 9, 9, 16}, {16, 3, 3, 16}, {1, 2, 2}},
                        Conv{{2, 9, 9, 3}, {8, 1, 1, 3}, {2, 0}}, Conv{{1, 9, 9, 8}, {6, 3, 3, 4}, {1, 1, 1, 2}}}) {
    const Tensor x = input(c.x, 1), w = input(c.w, 2);
    const Tensor y = conv2d(x.to(DType::f64), w.to(DType::f64), c.spec), g = input(y.shape(), 3);
    const Tensor gx = conv2d_input_grad(g.to(DType::f64), w.to(DType::f64), c.x, c.spec);
    const Tensor gw = conv2d_weight_grad(x.to(DType::f64), g.to(DType::f64), c.w, c.spec);
    for (const auto& [algorithm, bound] : {std::pair{ConvAlgorithm::direct, 2e-6}, {ConvAlgorithm::automatic, 4e-6}}) {
      set_setting(&Settings::conv_algorithm, algorithm);
      const std::string what =
          str("x ", c.x, ", w ", c.w, algorithm == ConvAlgorithm::direct ? ", direct" : ", automatic");
      EXPECT_LE(norm_error(conv2d(x, w, c.spec), y), bound) << what;
      EXPECT_LE(norm_error(conv2d_input_grad(g, w, c.x, c.spec), gx), bound) << what << ", input gradient";
      EXPECT_LE(norm_error(conv2d_weight_grad(x, g, c.w, c.spec), gw), bound) << what << ", weight gradient";
    }
    set_setting(&Settings::conv_algorithm, ConvAlgorithm::automatic);
  }
}

TEST(Convolution, StridedPointwiseWeightGradientOfFewChannelsIsPlain) {
  // oneDNN issue 6035: its kernels write out of bounds there.
  for (const int64_t channels : {1, 3, 8, 15, 16, 64}) {
    const auto names =
        backend(Device::cpu)
            .conv2d_implementations({2, 9, 9, channels}, {8, 1, 1, channels}, {2, 5, 5, 8}, {2, 0}, DType::f32);
    ASSERT_EQ(names.size(), 3u);
    EXPECT_EQ(names[2] == "plain", channels < 16 || onednn_version() == "none") << channels;
  }
}

// ---- bf16: against f64 on the same, rounded numbers. A result is rounded once, to 8 bits: 2^-8 of itself; a sum that
// is carried on in bf16 between two ops twice that.

void expect_rounded(const Tensor& found, const Tensor& expected, double allowed, const std::string& what) {
  ASSERT_EQ(found.shape(), expected.shape()) << what;
  const std::vector<double> a = found.to_vector(), b = expected.to_vector();
  double largest = 0;
  for (const double v : b) largest = std::max(largest, std::abs(v));
  for (size_t i = 0; i < a.size(); ++i)
    ASSERT_TRUE(std::abs(a[i] - b[i]) <= allowed * largest)
        << what << ", element " << i << ": " << a[i] << ", " << b[i];
}

Tensor rounded(const Shape& shape, uint64_t seed) {
  Random random(seed);
  std::vector<double> values(shape.numel());
  for (double& v : values) v = random.uniform(-1, 1);
  return Tensor::from(shape, values).to(DType::bf16);
}

TEST(Bf16, RoundsToNearestEvenAndKeepsNaN) {
  const Tensor x = Tensor::from<double>({6}, std::vector<double>{1, 1 + 1.0 / 256, 1 + 3.0 / 256, -0.1, 3e38, NAN});
  const std::vector<double> y = cast(x, DType::bf16).to_vector();
  EXPECT_EQ(y[0], 1);
  EXPECT_EQ(y[1], 1);  // half way: to the even one
  EXPECT_EQ(y[2], 1 + 4.0 / 256);
  EXPECT_NEAR(y[3], -0.1, 0.1 / 256);
  EXPECT_TRUE(std::isfinite(y[4]));
  EXPECT_TRUE(std::isnan(y[5]));
}

TEST(Cast, TheGradientIsThatOfTheResultInTheInputsType) {
  const Tensor x = Tensor::from<double>({2}, std::vector<double>{0.1, -2.5}).set_requires_grad();
  for (const DType to : {DType::f32, DType::bf16}) {
    const Tensor y = cast(x, to), g = Tensor::from<double>({2}, std::vector<double>{0.3, 7}).to(to);
    ASSERT_EQ(y.dtype(), to);
    const Tensor gx = grad({y}, {x}, {.seeds = {g}})[0];
    EXPECT_EQ(gx.dtype(), DType::f64);
    EXPECT_EQ(gx.to_vector(), g.to_vector());
  }
  EXPECT_THROW(cast(x, DType::i32), Error);
  EXPECT_THROW(cast(Tensor::from<int32_t>({1}, std::vector<int32_t>{1}), DType::f32), Error);
}

TEST(Bf16, ConvolutionsAndTheirGradients) {
  for (const auto& [x_shape, w_shape, spec] :
       std::vector<std::tuple<Shape, Shape, Conv2dSpec>>{{{2, 9, 7, 3}, {16, 7, 7, 3}, {2, 3}},
                                                         {{2, 8, 8, 64}, {64, 3, 3, 64}, {1, 1}},
                                                         {{2, 7, 7, 32}, {17, 1, 1, 32}, {2, 0}},
                                                         {{1, 5, 5, 4}, {6, 3, 3, 2}, {1, 1, 1, 2}}}) {
    const Tensor x = rounded(x_shape, 1), w = rounded(w_shape, 2);
    const Tensor exact_x = x.to(DType::f64), exact_w = w.to(DType::f64);
    const Tensor y = conv2d(x, w.to(DType::f32), spec), exact_y = conv2d(exact_x, exact_w, spec);
    ASSERT_EQ(y.dtype(), DType::bf16);
    expect_rounded(y, exact_y, 1.0 / 256, str("conv2d ", w_shape));
    const Tensor g = rounded(y.shape(), 3), exact_g = g.to(DType::f64);
    expect_rounded(conv2d_input_grad(g, w.to(DType::f32), x_shape, spec),
                   conv2d_input_grad(exact_g, exact_w, x_shape, spec), 1.0 / 256, str("input_grad ", w_shape));
    const Tensor gw = conv2d_weight_grad(x, g, w_shape, spec);
    ASSERT_EQ(gw.dtype(), DType::f32);
    expect_rounded(gw, conv2d_weight_grad(exact_x, exact_g, w_shape, spec), 1e-5, str("weight_grad ", w_shape));
  }
}

TEST(Bf16, BatchNormAndItsGradients) {
  const Shape shape{3, 6, 5, 32};
  for (const bool with_relu : {false, true})
    for (const bool with_residual : {false, true}) {
      const auto run = [&](DType dtype) {
        const DType parameters = dtype == DType::bf16 ? DType::f32 : dtype;
        const auto leaf = [](Tensor t, DType type) { return t.to(type).clone().set_requires_grad(); };
        const Tensor x = leaf(rounded(shape, 4), dtype), residual = leaf(rounded(shape, 5), dtype),
                     gamma = leaf(rounded({32}, 6), parameters), beta = leaf(rounded({32}, 7), parameters);
        const Tensor y = batch_norm_train(x, gamma, beta, 1e-5, with_relu, with_residual ? residual : Tensor{});
        std::vector<Tensor> results = grad({y}, {x, gamma, beta, residual}, {.seeds = {rounded(shape, 8).to(dtype)}});
        results.push_back(y);
        return results;
      };
      const std::vector<Tensor> found = run(DType::bf16), expected = run(DType::f64);
      for (size_t i = 0; i < found.size(); ++i)
        expect_rounded(found[i], expected[i], 1.0 / 128, str(with_relu, with_residual, ", result ", i));
    }
}

// What was broadcast gets a sum; its terms, none of which cancels another, were rounded up to three times on the way.
TEST(Bf16, BroadcastingHasItsGradients) {
  for (const auto op : {add, sub, mul, div})
    for (const Shape& low : {Shape{5}, Shape{2, 1, 1, 5}, Shape{}}) {
      const auto run = [&](DType dtype) {
        const auto positive = [&](const Shape& shape, uint64_t seed) { return exp(rounded(shape, seed)).to(dtype); };
        const Tensor x = positive({2, 4, 3, 5}, 1).clone().set_requires_grad();
        const Tensor y = positive(low, 2).clone().set_requires_grad();
        return grad({op(x, y)}, {x, y}, {.seeds = {positive(x.shape(), 3)}});
      };
      const std::vector<Tensor> found = run(DType::bf16), expected = run(DType::f64);
      for (size_t i = 0; i < found.size(); ++i) {
        EXPECT_EQ(found[i].dtype(), DType::bf16);
        expect_rounded(found[i], expected[i], 1.0 / 64, str(low, ", input ", i));
      }
    }
}

TEST(Bf16, AConvolutionsBiasHasItsGradient) {
  const auto run = [](DType dtype) {
    const DType parameters = dtype == DType::bf16 ? DType::f32 : dtype;
    const Tensor bias = rounded({16}, 3).to(parameters).set_requires_grad();
    const Tensor y =
        conv2d_bias(rounded({2, 5, 5, 4}, 1).to(dtype), rounded({16, 3, 3, 4}, 2).to(parameters), bias, {1, 1}, true);
    return grad({y}, {bias}, {.seeds = {rounded(y.shape(), 4).to(dtype)}})[0];
  };
  expect_rounded(run(DType::bf16), run(DType::f64), 1.0 / 128, "bias");
}

TEST(Bf16, IsForActivationsOnly) {
  const Tensor x = rounded({2, 4}, 9);
  EXPECT_THROW(sum(x), Error);
  EXPECT_THROW(matmul(x, x, {.transpose_b = true}), Error);
  EXPECT_THROW(conv2d(rounded({1, 3, 3, 2}, 10), rounded({2, 1, 1, 2}, 11), {}), Error);
}

// ---- convolution, bias, residual, ReLU in one pass ------------------------------------------------------------------

TEST(Conv2dBias, CutsRoundingAroundZerosToNothingSubnormal) {
  // Products of subnormal numbers take several times as long. 1e-8 is what Winograd leaves in f32 where zeros were.
  const Tensor x = Tensor::full({1, 8, 8, 16}, -1e-8, DType::f32), w = rounded({16, 1, 1, 16}, 1).to(DType::f32);
  const Tensor y = conv2d_bias(x, w, Tensor::zeros({16}, DType::f32), {}, true);
  for (const double v : y.to_vector()) EXPECT_NE(std::fpclassify(static_cast<float>(v)), FP_SUBNORMAL) << v;
}

TEST(Conv2dBias, HasTheValuesOfItsPartsWithAndWithoutOneDnnAndInPlace) {
  struct Trial {
    Shape x, w;
    Conv2dSpec spec;
  };
  const NoGrad no_grad;
  for (const Trial& t : {Trial{{2, 9, 7, 3}, {16, 7, 7, 3}, {2, 3}}, Trial{{2, 16, 16, 64}, {64, 3, 3, 64}, {1, 1}},
                         Trial{{2, 8, 8, 32}, {64, 1, 1, 32}, {1, 0}}, Trial{{1, 5, 5, 4}, {6, 3, 3, 2}, {1, 1, 1, 2}}})
    for (const DType dtype : {DType::f32, DType::f64, DType::bf16})
      for (const bool with_relu : {false, true}) {
        const DType parameters = dtype == DType::bf16 ? DType::f32 : dtype;
        const Tensor x = rounded(t.x, 1).to(dtype), w = rounded(t.w, 2).to(parameters),
                     bias = rounded({t.w[0]}, 3).to(parameters);
        const Tensor product = conv2d(x.to(DType::f64), w.to(DType::f64), t.spec) + bias.to(DType::f64);
        const Tensor residual = rounded(product.shape(), 4).to(dtype);
        const auto finish = [&](const Tensor& y) { return with_relu ? relu(y) : y; };
        const double allowed = dtype == DType::f64 ? 1e-13 : dtype == DType::f32 ? 1e-5 : 1.0 / 128;
        const std::string what = str(t.w, ", ", dtype, with_relu ? ", relu" : "");
        expect_rounded(conv2d_bias(x, w, bias, t.spec, with_relu), finish(product), allowed, what);
        const Tensor expected = finish(product + residual.to(DType::f64));
        const std::vector<double> before = residual.to_vector();
        expect_rounded(conv2d_bias(x, w, bias, t.spec, with_relu, residual), expected, allowed, what + ", residual");
        EXPECT_EQ(residual.to_vector(), before) << what;
        Tensor last = residual.clone();
        const void* memory = last.raw_data();
        const Tensor in_place = conv2d_bias_into(std::move(last), x, w, bias, t.spec, with_relu);
        EXPECT_EQ(in_place.raw_data(), memory) << what;
        expect_rounded(in_place, expected, allowed, what + ", in place");
        Tensor viewed = residual.clone();
        const Tensor view = viewed.detach();
        conv2d_bias_into(std::move(viewed), x, w, bias, t.spec, with_relu);
        Tensor kept = residual.clone();
        expect_rounded(conv2d_bias_into(kept, x, w, bias, t.spec, with_relu), expected, allowed, what + ", kept");
        EXPECT_EQ(kept.to_vector(), before) << what;
        EXPECT_EQ(view.to_vector(), before) << what;
      }
}

// ---- batch norm into a convolution: what is made again is what was there -------------------------------------------

TEST(BatchNormTrainConv2d, HasTheBitsOfTheTwoOps) {
  const Shape shape{2, 5, 6, 32};
  for (const DType dtype : {DType::f32, DType::f64, DType::bf16}) {
    const DType parameters = dtype == DType::bf16 ? DType::f32 : dtype;
    const auto leaf = [](const Tensor& t, DType type) { return t.to(type).clone().set_requires_grad(); };
    const Tensor x = leaf(rounded(shape, 4), dtype), gamma = leaf(rounded({32}, 6), parameters),
                 beta = leaf(rounded({32}, 7), parameters), w = leaf(rounded({16, 3, 3, 32}, 8), parameters);
    const Conv2dSpec spec{2, 1};
    BatchStatistics one, other;
    const Tensor together = batch_norm_train_conv2d(x, gamma, beta, 1e-5, w, spec, &one),
                 apart = conv2d(batch_norm_train(x, gamma, beta, 1e-5, true, {}, &other), w, spec);
    EXPECT_EQ(together.to_vector(), apart.to_vector()) << dtype;
    EXPECT_EQ(one.mean.to_vector(), other.mean.to_vector()) << dtype;
    EXPECT_EQ(one.variance.to_vector(), other.variance.to_vector()) << dtype;
    const Tensor g = rounded(apart.shape(), 9).to(dtype);
    const auto a = grad({together}, {x, gamma, beta, w}, {.seeds = {g}}),
               b = grad({apart}, {x, gamma, beta, w}, {.seeds = {g}});
    for (size_t i = 0; i < a.size(); ++i) EXPECT_EQ(a[i].to_vector(), b[i].to_vector()) << dtype << ", input " << i;
  }
}

TEST(Convolution, DirectTurnsWinogradOff) {
  const auto names = [](ConvAlgorithm algorithm) {
    set_setting(&Settings::conv_algorithm, algorithm);
    const Shape image{4, 14, 14, 64};
    const auto list = backend(Device::cpu).conv2d_implementations(image, {64, 3, 3, 64}, image, {1, 1}, DType::f32);
    set_setting(&Settings::conv_algorithm, ConvAlgorithm::automatic);
    return list;
  };
  for (const std::string& implementation : names(ConvAlgorithm::direct))
    EXPECT_EQ(implementation.find("wino"), std::string::npos) << implementation;
  const std::string automatic = names(ConvAlgorithm::automatic)[0];
  if (automatic.find("wino") == std::string::npos)
    GTEST_SKIP() << "oneDNN " << onednn_version() << " has no Winograd on this processor: it chose " << automatic;
}

// ---- wrong calls ----------------------------------------------------------------------------------------------------

/// The message of the Error that `call` throws.
template <class F>
std::string message_of(F call) {
  try {
    call();
  } catch (const Error& e) {
    return e.what();
  }
  return "no Error was thrown";
}

#define EXPECT_MESSAGE(call, ...)                                            \
  for (const std::string& part : std::vector<std::string>{__VA_ARGS__})      \
  EXPECT_NE(message_of([&] { (void)(call); }).find(part), std::string::npos) \
      << #call << " should say '" << part << "', found: " << message_of([&] { (void)(call); })

TEST(WrongCalls, NameTheOpAndTheShapes) {
  const Tensor a = Tensor::zeros({2, 3}), b = Tensor::zeros({4, 5}), image = Tensor::zeros({1, 5, 6, 3});
  const Tensor weight = Tensor::zeros({8, 3, 3, 3}), map = Tensor::zeros({1, 4, 5}), c4 = Tensor::zeros({4});
  const auto i32 = [](const Shape& shape, std::vector<int32_t> v) { return Tensor::from(shape, v); };
  const Tensor labels = i32({2}, {0, 1});

  EXPECT_MESSAGE(add(a, b), "add:", "[2, 3]", "[4, 5]");
  EXPECT_MESSAGE(sub(a, b), "sub:", "[2, 3]", "[4, 5]");
  EXPECT_MESSAGE(mul(a, b), "mul:", "[2, 3]", "[4, 5]");
  EXPECT_MESSAGE(div(a, b), "div:", "[2, 3]", "[4, 5]");
  EXPECT_MESSAGE(greater(a, b), "greater:", "[2, 3]", "[4, 5]");
  EXPECT_MESSAGE(relu_grad(a, b), "relu_grad:", "[2, 3]", "[4, 5]");
  EXPECT_MESSAGE(add(a, a.to(DType::f64)), "add:", "f32[2, 3]", "f64[2, 3]");
  EXPECT_MESSAGE(exp(labels), "exp:", "i32[2]");
  EXPECT_MESSAGE(relu(Tensor{}), "relu:", "undefined");
  EXPECT_MESSAGE(add_scalar(labels, 1), "add_scalar:", "i32[2]");
  EXPECT_MESSAGE(mul_scalar(labels, 1), "mul_scalar:", "i32[2]");

  EXPECT_MESSAGE(sum(a, {2}), "sum:", "axis 2", "[2, 3]");
  EXPECT_MESSAGE(mean(a, {-3}), "mean:", "axis -3", "[2, 3]");
  EXPECT_MESSAGE(broadcast_to(a, {2, 4}), "broadcast_to:", "[2, 3]", "[2, 4]");
  EXPECT_MESSAGE(broadcast_to(a, {3}), "broadcast_to:", "[2, 3]", "[3]");
  EXPECT_MESSAGE(sum_to(a, {2, 2}), "sum_to:", "[2, 3]", "[2, 2]");
  EXPECT_MESSAGE(sum_to(a, {2, 2, 3}), "sum_to:", "[2, 3]", "[2, 2, 3]");
  EXPECT_MESSAGE(argmax(map), "argmax:", "[1, 4, 5]");
  EXPECT_MESSAGE(argmin(Tensor::zeros({2, 0})), "argmin:", "[2, 0]");

  EXPECT_MESSAGE(reshape(a, {7}), "reshape:", "[2, 3]", "[7]");
  EXPECT_MESSAGE(reshape(a, {-2, -3}), "reshape:", "[2, 3]", "[-2, -3]");
  EXPECT_MESSAGE(take_at(a, i32({3, 1}, {0, 0, 0})), "take_at:", "[2, 3]", "[3, 1]");
  EXPECT_MESSAGE(take_at(a, i32({2, 1}, {0, 3})), "take_at:", "index 3", "[0, 3)");
  EXPECT_MESSAGE(take_at(a, a), "take_at:", "i32");
  EXPECT_MESSAGE(put_at(a, i32({2, 1}, {0, 0}), 4), "put_at:", "[2, 3]", "[2, 1]");
  EXPECT_MESSAGE(put_at(Tensor::zeros({2, 1}), i32({2, 1}, {0, 4}), 4), "put_at:", "index 4", "[0, 4)");
  EXPECT_MESSAGE(put_at(Tensor::zeros({2, 1}), i32({2, 1}, {0, -1}), 4), "put_at:", "index -1", "[0, 4)");
  EXPECT_MESSAGE(slice(a, 1, 2, 2), "slice:", "2 to 4", "[2, 3]");
  EXPECT_MESSAGE(slice(a, 1, -1, 2), "slice:", "-1 to 1", "[2, 3]");
  EXPECT_MESSAGE(slice(a, 2, 0, 1), "slice:", "axis 2", "[2, 3]");
  EXPECT_MESSAGE(pad(a, 0, -1, 0), "pad:", "-1");
  EXPECT_MESSAGE(pad(a, -3, 0, 0), "pad:", "axis -3", "[2, 3]");
  EXPECT_MESSAGE(one_hot(labels, 1, DType::f32), "one_hot:", "index 1", "[0, 1)");

  EXPECT_MESSAGE(matmul(a, b), "matmul:", "[2, 3]", "[4, 5]");
  EXPECT_MESSAGE(matmul(a, a, {.transpose_a = true, .transpose_b = true}),
                 "matmul:", "[2, 3] transposed times [2, 3] transposed");
  EXPECT_MESSAGE(matmul(a, map), "matmul:", "[2, 3]", "[1, 4, 5]");

  EXPECT_MESSAGE(conv2d(image, Tensor::zeros({8, 3, 3, 4}), {}), "conv2d:", "[1, 5, 6, 3]", "[8, 3, 3, 4]");
  EXPECT_MESSAGE(conv2d(image, a, {}), "conv2d:", "[1, 5, 6, 3]", "[2, 3]");
  EXPECT_MESSAGE(conv2d(image, Tensor::zeros({8, 7, 7, 3}), {}), "conv2d:", "[1, 5, 6, 3]", "[8, 7, 7, 3]");
  EXPECT_MESSAGE(conv2d(image, weight, {0, 0}), "conv2d:", "stride 0");
  EXPECT_MESSAGE(conv2d(image, weight, {1, 0, 1, 3}), "conv2d:", "groups 3", "[8, 3, 3, 3]");
  EXPECT_MESSAGE(conv2d_input_grad(Tensor::zeros({1, 3, 4, 7}), weight, {1, 5, 6, 3}, {}),
                 "conv2d_input_grad:", "[1, 3, 4, 7]", "[1, 5, 6, 3]", "[8, 3, 3, 3]");
  EXPECT_MESSAGE(conv2d_weight_grad(image, Tensor::zeros({1, 5, 6, 8}), {8, 3, 3, 3}, {}),
                 "conv2d_weight_grad:", "[1, 5, 6, 8]", "[1, 5, 6, 3]", "[8, 3, 3, 3]");

  const Tensor c3 = Tensor::zeros({3});
  EXPECT_MESSAGE(batch_norm_train(image, c4, c3, 0), "batch_norm_train:", "[1, 5, 6, 3]", "[4]");
  EXPECT_MESSAGE(batch_norm_train(a, c3, c3, 0), "batch_norm_train:", "[2, 3]");
  EXPECT_MESSAGE(batch_norm_train(image, c3, c3, 0, false, map), "batch_norm_train:", "[1, 4, 5]", "[1, 5, 6, 3]");
  EXPECT_MESSAGE(batch_norm_eval(image, c3, c3, c3, c4, 0), "batch_norm_eval:", "[1, 5, 6, 3]", "[4]");
  EXPECT_MESSAGE(batch_norm_train_grad(image, c3, map, 0), "batch_norm_train_grad:", "[1, 4, 5]", "[1, 5, 6, 3]");

  EXPECT_MESSAGE(max_pool2d(a, {}), "max_pool2d:", "[2, 3]");
  EXPECT_MESSAGE(max_pool2d(image, {7, 1, 0}), "max_pool2d:", "window 7", "[1, 5, 6, 3]");
  EXPECT_MESSAGE(max_pool2d(image, {2, 2, 2}), "max_pool2d:", "padding 2");
  EXPECT_MESSAGE(global_avg_pool(a), "global_avg_pool:", "[2, 3]");

  EXPECT_MESSAGE(log_softmax(map), "log_softmax:", "[1, 4, 5]");
  EXPECT_MESSAGE(softmax(map), "softmax:", "[1, 4, 5]");
  EXPECT_MESSAGE(cross_entropy(a, i32({3}, {0, 0, 0})), "cross_entropy:", "[2, 3]", "[3]");
  EXPECT_MESSAGE(cross_entropy(a, i32({2}, {0, 3})), "cross_entropy:", "index 3", "[0, 3)");
  EXPECT_MESSAGE(cross_entropy(a, i32({2}, {-1, 0})), "cross_entropy:", "index -1", "[0, 3)");
  EXPECT_MESSAGE(cross_entropy(a, a), "cross_entropy:", "i32");

  EXPECT_MESSAGE(bilinear_resize(a, 2, 2), "bilinear_resize:", "[2, 3]");
  EXPECT_MESSAGE(bilinear_resize(map, 0, 2), "bilinear_resize:", "0 x 2", "[1, 4, 5]");
  EXPECT_MESSAGE(bilinear_resize_adjoint(a, 2, 2), "bilinear_resize_adjoint:", "[2, 3]");
  EXPECT_MESSAGE(bilinear_resize_adjoint(map, 0, 2), "bilinear_resize_adjoint:", "0 x 2", "[1, 4, 5]");
  EXPECT_MESSAGE(area_resize(a, 2, 2), "area_resize:", "[2, 3]");
  EXPECT_MESSAGE(area_resize(map, 0, 2), "area_resize:", "0 x 2", "[1, 4, 5]");
  EXPECT_MESSAGE(area_resize_adjoint(a, 2, 2), "area_resize_adjoint:", "[2, 3]");
  EXPECT_MESSAGE(area_resize_adjoint(map, 2, 0), "area_resize_adjoint:", "2 x 0", "[1, 4, 5]");
}

}  // namespace
}  // namespace boxcam
