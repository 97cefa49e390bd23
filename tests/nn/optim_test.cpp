// Optimisers against recurrences written out here in double, on parameters of f64 (exactly, up to rounding) and f32.
#include "nn/optim.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "engine/base/random.h"
#include "engine/ops.h"
#include "engine/settings.h"

namespace boxcam {
namespace {

using Values = std::vector<double>;
using Kind = OptimizerOptions::Kind;

Values draw(size_t n, uint64_t seed) {
  Random random(seed);
  Values values(n);
  for (double& v : values) v = static_cast<float>(random.normal());
  return values;
}

Tensor tensor(const Values& values, DType dtype) {
  return Tensor::from({static_cast<int64_t>(values.size())}, values).to(dtype).clone();
}

/// torch.optim.SGD, dampening 0.
void sgd(Values& p, const Values& g, Values& buffer, const OptimizerOptions& o, double lr, int step) {
  for (size_t i = 0; i < p.size(); ++i) {
    const double d = g[i] + o.weight_decay * p[i];
    buffer[i] = step == 1 ? d : o.momentum * buffer[i] + d;
    p[i] -= lr * (o.nesterov ? d + o.momentum * buffer[i] : buffer[i]);
  }
}

/// torch.optim.AdamW.
void adamw(Values& p, const Values& g, Values& m, Values& v, const OptimizerOptions& o, double lr, int step) {
  for (size_t i = 0; i < p.size(); ++i) {
    p[i] *= 1 - lr * o.weight_decay;
    m[i] = o.beta1 * m[i] + (1 - o.beta1) * g[i];
    v[i] = o.beta2 * v[i] + (1 - o.beta2) * g[i] * g[i];
    const double m_hat = m[i] / (1 - std::pow(o.beta1, step)), v_hat = v[i] / (1 - std::pow(o.beta2, step));
    p[i] -= lr * m_hat / (std::sqrt(v_hat) + o.eps);
  }
}

void expect_near(const Tensor& found, const Values& expected, double tolerance) {
  const Values values = found.to_vector();
  ASSERT_EQ(values.size(), expected.size());
  for (size_t i = 0; i < values.size(); ++i) ASSERT_NEAR(values[i], expected[i], tolerance) << i;
}

/// Ten steps with changing learning rates on two parameters; one is large enough for two threads.
void check_recurrence(const OptimizerOptions& options, DType dtype) {
  const size_t sizes[] = {7, 70'001};
  std::vector<Values> expected, first, second;
  std::vector<NamedTensor> parameters;
  for (int k = 0; k < 2; ++k) {
    expected.push_back(draw(sizes[k], 1 + k));
    first.push_back(Values(sizes[k], 0.0));
    second.push_back(Values(sizes[k], 0.0));
    parameters.push_back({str("p", k), tensor(expected[k], dtype)});
  }
  Optimizer optimizer(parameters, options);
  for (int step = 1; step <= 10; ++step) {
    const double lr = 0.1 / step;
    std::vector<Tensor> gradients;
    for (int k = 0; k < 2; ++k) {
      const Values g = draw(sizes[k], 100 * step + k);
      gradients.push_back(tensor(g, dtype));
      if (options.kind == Kind::sgd)
        sgd(expected[k], g, first[k], options, lr, step);
      else
        adamw(expected[k], g, first[k], second[k], options, lr, step);
    }
    optimizer.step(gradients, lr);
  }
  EXPECT_EQ(optimizer.steps(), 10);
  for (int k = 0; k < 2; ++k) expect_near(parameters[k].tensor, expected[k], dtype == DType::f64 ? 1e-13 : 1e-5);
}

TEST(Optimizer, SgdFollowsItsRecurrence) {
  for (const DType dtype : {DType::f64, DType::f32})
    for (const double momentum : {0.0, 0.9})
      for (const bool nesterov : {false, true})
        for (const double decay : {0.0, 0.05})
          check_recurrence({.kind = Kind::sgd, .momentum = momentum, .nesterov = nesterov, .weight_decay = decay},
                           dtype);
}

TEST(Optimizer, AdamwFollowsItsRecurrence) {
  for (const DType dtype : {DType::f64, DType::f32})
    for (const double decay : {0.0, 0.05})
      check_recurrence({.kind = Kind::adamw, .weight_decay = decay, .beta1 = 0.8, .beta2 = 0.95}, dtype);
}

TEST(Optimizer, TwoStepsByHand) {
  const NamedTensor p{"p", tensor({1}, DType::f64)};
  Optimizer optimizer({p}, {.kind = Kind::sgd, .momentum = 0.5, .weight_decay = 0.1});
  optimizer.step({tensor({2}, DType::f64)}, 0.1);  // d = 2.1, m = 2.1, p = 0.79
  EXPECT_NEAR(p.tensor.item(), 0.79, 1e-15);
  optimizer.step({tensor({1}, DType::f64)}, 0.1);  // d = 1.079, m = 2.129, p = 0.5771
  EXPECT_NEAR(p.tensor.item(), 0.5771, 1e-15);

  const NamedTensor q{"q", tensor({1}, DType::f64)};
  Optimizer adam({q}, {.kind = Kind::adamw, .weight_decay = 0.1});
  adam.step({tensor({-3}, DType::f64)}, 0.01);  // the first step has size lr: 1 (1 - 0.001) + 0.01
  EXPECT_NEAR(q.tensor.item(), 1.009, 1e-9);
}

TEST(Optimizer, StateResumesExactly) {
  for (const Kind kind : {Kind::sgd, Kind::adamw}) {
    const OptimizerOptions options{.kind = kind};
    const NamedTensor a{"layer.weight", tensor(draw(5, 1), DType::f32)};
    Optimizer whole({a}, options);
    for (int step = 0; step < 3; ++step) whole.step({tensor(draw(5, 10 + step), DType::f32)}, 0.01);

    const NamedTensor b{"layer.weight", a.tensor.clone()};
    Optimizer resumed({b}, options);
    resumed.set_steps(whole.steps());
    auto state = resumed.state();
    const auto stored = whole.state();
    ASSERT_EQ(state.size(), stored.size());
    for (size_t i = 0; i < state.size(); ++i) {
      EXPECT_EQ(state[i].name, stored[i].name);
      EXPECT_FALSE(stored[i].is_parameter());
      state[i].tensor.copy_from(stored[i].tensor);
    }
    EXPECT_EQ(stored.front().name, kind == Kind::sgd ? "momentum.layer.weight" : "first_moment.layer.weight");
    EXPECT_EQ(stored.back().name, kind == Kind::sgd ? "momentum.layer.weight" : "second_moment.layer.weight");

    for (int step = 3; step < 6; ++step) {
      const Tensor g = tensor(draw(5, 10 + step), DType::f32);
      whole.step({g}, 0.01);
      resumed.step({g}, 0.01);
    }
    EXPECT_EQ(a.tensor.to_vector(), b.tensor.to_vector());
  }
}

TEST(Optimizer, BitsDoNotDependOnTheThreads) {
  const auto run = [](int count) {
    set_setting(&Settings::threads, count);
    const NamedTensor p{"p", tensor(draw(70'001, 1), DType::f32)};
    Optimizer optimizer({p}, {});
    for (int step = 0; step < 2; ++step) optimizer.step({tensor(draw(70'001, 2 + step), DType::f32)}, 0.1);
    set_setting(&Settings::threads, 0);
    return p.tensor.to_vector();
  };
  EXPECT_EQ(run(1), run(2));
}

TEST(Optimizer, RefusesWhatDoesNotFit) {
  Optimizer optimizer({{"p", tensor({1, 2}, DType::f32)}}, {});
  EXPECT_THROW(optimizer.step({}, 0.1), Error);
  EXPECT_THROW(optimizer.step({tensor({1}, DType::f32)}, 0.1), Error) << "a gradient of another shape";
  EXPECT_THROW(optimizer.step({tensor({1, 2}, DType::f64)}, 0.1), Error) << "a gradient of another dtype";
}

TEST(ClipGradNorm, ScalesAllByTheCommonNorm) {
  std::vector<Tensor> g = {tensor({3, 0}, DType::f64), tensor({0, 4}, DType::f64)};
  EXPECT_DOUBLE_EQ(clip_grad_norm(g, 10), 5);
  EXPECT_EQ(g[0].to_vector(), (Values{3, 0}));  // below the limit: untouched
  EXPECT_DOUBLE_EQ(clip_grad_norm(g, 1), 5);
  expect_near(g[0], {0.6, 0}, 1e-6);
  expect_near(g[1], {0, 0.8}, 1e-6);
  EXPECT_NEAR(clip_grad_norm(g, 100), 1, 1e-6);
}

TEST(Schedule, Constant) {
  const Schedule s{Schedule::Kind::constant, 0.1, 0};
  for (const int step : {0, 50, 99}) EXPECT_EQ(s.at(step, 100), 0.1);
}

TEST(Schedule, WarmUpIsLinearThenTheScheduleBegins) {
  const Schedule s{Schedule::Kind::constant, 0.1, 0.1};
  EXPECT_DOUBLE_EQ(s.at(0, 100), 0.01);
  EXPECT_DOUBLE_EQ(s.at(4, 100), 0.05);
  EXPECT_DOUBLE_EQ(s.at(9, 100), 0.1);
  EXPECT_DOUBLE_EQ(s.at(10, 100), 0.1);
  EXPECT_DOUBLE_EQ((Schedule{Schedule::Kind::cosine, 0.1, 0.1}).at(10, 100), 0.1);
}

TEST(Schedule, CosineFallsToZero) {
  const Schedule s{Schedule::Kind::cosine, 0.2, 0};
  EXPECT_DOUBLE_EQ(s.at(0, 100), 0.2);
  EXPECT_DOUBLE_EQ(s.at(25, 100), 0.1 * (1 + std::cos(std::numbers::pi / 4)));
  EXPECT_DOUBLE_EQ(s.at(50, 100), 0.1);
  EXPECT_NEAR(s.at(100, 100), 0, 1e-17);
}

TEST(Schedule, StepFallsTwice) {
  const Schedule s{Schedule::Kind::step, 1, 0};
  EXPECT_EQ(s.at(49, 100), 1);
  EXPECT_EQ(s.at(50, 100), 0.1);
  EXPECT_EQ(s.at(74, 100), 0.1);
  EXPECT_EQ(s.at(75, 100), 0.01);
}

TEST(Schedule, OneStepIsFinite) {
  for (const auto kind : {Schedule::Kind::constant, Schedule::Kind::cosine, Schedule::Kind::step})
    for (const double warmup : {0.0, 0.5, 1.0}) EXPECT_EQ((Schedule{kind, 0.1, warmup}).at(0, 1), 0.1) << warmup;
}

}  // namespace
}  // namespace boxcam
