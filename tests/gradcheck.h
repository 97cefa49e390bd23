// Gradient checks in f64, of first and second order, by central differences.
//
// First order: for y = f(x_1 .. x_n) and random seeds u, the number s(x) = <f(x), u> is differentiated by `grad` and,
// for every element of every input, by D(h) = (s(x + h e) - s(x - h e)) / 2h.
// Second order: the same check of the function (x, u) -> grad(f(x), x, {.seeds = u}). Its analytic side runs `grad`
// over a graph that `grad` recorded; its numeric side takes differences of gradients computed without recording, so it
// also holds every fused first-order kernel against the formula that the second order differentiates.
//
// Tolerance: with h = 1e-5 and values of order 1, truncation (h^2 s''' / 6) is about 1e-10 and rounding (2^-53 s / h)
// about 1e-11. 1e-6 of the largest entry, plus 1e-8, leaves room for large third derivatives (batch norm), and is far
// below what a wrong factor or a forgotten term makes.
//
// At a kink differences mean nothing, so inputs stay away from them (`distinct` below), and where D(h) and D(2h)
// disagree the check says so instead of blaming the derivative.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <type_traits>
#include <vector>

#include "engine/base/random.h"
#include "engine/ops.h"

namespace boxcam {

using Function = std::function<std::vector<Tensor>(const std::vector<Tensor>&)>;

/// Lets a test write a function of several tensors that returns one tensor or several.
template <class F>
Function function(F f) {
  return [f](const std::vector<Tensor>& in) -> std::vector<Tensor> {
    if constexpr (std::is_same_v<std::invoke_result_t<F, const std::vector<Tensor>&>, Tensor>)
      return {f(in)};
    else
      return f(in);
  };
}

/// Uniform in [low, high), f64.
inline Tensor random_tensor(const Shape& shape, uint64_t seed, double low = -1, double high = 1) {
  Random random(seed, stream_of("test"));
  std::vector<double> values(shape.numel());
  for (double& v : values) v = random.uniform(low, high);
  return Tensor::from(shape, values);
}

/// Shuffled, evenly spaced f64 values: no two closer than 0.05, none closer to 0 than 0.0125. For relu, abs and maxima.
inline Tensor distinct(const Shape& shape, uint64_t seed) {
  std::vector<double> values(shape.numel());
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = 0.05 * (static_cast<double>(i) - std::floor(static_cast<double>(values.size()) / 2) + 0.25);
  Random random(seed, stream_of("test"));
  shuffle(values, random);
  return Tensor::from(shape, values);
}

/// The function (x, u) -> grad(f(x), x, {.seeds = u}), with `inputs` tensors x. Apply it again for higher orders.
inline Function gradient_of(const Function& f, size_t inputs) {
  return [f, inputs](const std::vector<Tensor>& in) {
    const std::vector<Tensor> x(in.begin(), in.begin() + inputs), seeds(in.begin() + inputs, in.end());
    const bool create_graph = grad_enabled();
    const GradMode record_forward(true);
    return grad(f(x), x, {.seeds = seeds, .create_graph = create_graph});
  };
}

inline std::vector<Tensor> leaves(const std::vector<Tensor>& values) {
  std::vector<Tensor> list;
  for (const Tensor& v : values) list.push_back(v.clone().set_requires_grad());
  return list;
}

/// Random tensors of the shapes that f returns.
inline std::vector<Tensor> random_seeds(const Function& f, const std::vector<Tensor>& values) {
  std::vector<Tensor> seeds;
  for (const Tensor& y : f(leaves(values))) seeds.push_back(random_tensor(y.shape(), 1000 + seeds.size()));
  return seeds;
}

inline testing::AssertionResult check_first_order(const Function& f, const std::vector<Tensor>& values) {
  constexpr double h = 1e-5, relative = 1e-6, absolute = 1e-8;
  std::vector<Tensor> x = leaves(values);
  const std::vector<Tensor> seeds = random_seeds(f, values), analytic = grad(f(x), x, {.seeds = seeds});

  const NoGrad no_grad;
  for (size_t i = 0; i < x.size(); ++i) {
    const Tensor centre = x[i];
    const auto difference = [&](int64_t e, double step) {
      std::vector<Tensor> sides[2];
      for (int side = 0; side < 2; ++side) {
        x[i] = centre.clone().set_requires_grad();  // a copy: results may share memory with their inputs
        x[i].data<double>()[e] += side ? step : -step;
        sides[side] = f(x);
      }
      double total = 0;
      for (size_t k = 0; k < seeds.size(); ++k) total += sum((sides[1][k] - sides[0][k]) * seeds[k]).item();
      return total / (2 * step);
    };
    std::vector<double> numeric(x[i].numel()), coarse(x[i].numel());
    double largest = 0;
    for (int64_t e = 0; e < x[i].numel(); ++e) {
      numeric[e] = difference(e, h);
      coarse[e] = difference(e, 2 * h);
      largest = std::max(largest, std::abs(numeric[e]));
    }
    x[i] = centre;
    const double allowed = relative * largest + absolute;
    const std::vector<double> found = analytic[i].to_vector();
    for (int64_t e = 0; e < x[i].numel(); ++e) {
      if (!(std::abs(numeric[e] - coarse[e]) <= allowed))
        return testing::AssertionFailure()
               << "input " << i << " " << x[i].shape() << ", element " << e << ", lies at a kink: differences give "
               << numeric[e] << " with step h, " << coarse[e] << " with 2h";
      if (!(std::abs(numeric[e] - found[e]) <= allowed))
        return testing::AssertionFailure() << "input " << i << " " << x[i].shape() << ", element " << e
                                           << ": grad gives " << found[e] << ", differences give " << numeric[e];
    }
  }
  return testing::AssertionSuccess();
}

inline testing::AssertionResult check_second_order(const Function& f, const std::vector<Tensor>& values) {
  std::vector<Tensor> all = values;
  for (const Tensor& seed : random_seeds(f, values)) all.push_back(seed);
  return check_first_order(gradient_of(f, values.size()), all);
}

}  // namespace boxcam
