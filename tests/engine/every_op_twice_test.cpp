// Walks the catalogue engine/ops.h: every op is differentiated twice in f64, in the shapes and parameters that matter,
// or says in its line that it is not differentiable. A new op without cases is a red test.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "tests/catalogue.h"
#include "tests/gradcheck.h"

namespace boxcam {
namespace {

const std::set<std::string> kNotDifferentiable = {"greater", "argmax", "argmin", "one_hot"};

struct Case {
  std::string what;
  Function f;
  std::vector<Tensor> inputs;
  template <class F>
  Case(std::string text, F body, std::vector<Tensor> in)
      : what(std::move(text)), f(function(std::move(body))), inputs(std::move(in)) {}
};
using In = const std::vector<Tensor>&;

Tensor index(const Shape& shape, std::vector<int32_t> values) { return Tensor::from(shape, values); }

template <class Op>
std::vector<Case> broadcasting(Op op) {
  const auto f = [op](In in) { return op(in[0], in[1]); };
  const auto pair = [](const Shape& a, const Shape& b) {
    return std::vector{random_tensor(a, 1, 0.5, 1.5), random_tensor(b, 2, 0.5, 1.5)};
  };
  return {{"equal shapes", f, pair({2, 3}, {2, 3})},
          {"a scalar on the left", f, pair({}, {2, 3})},
          {"a scalar on the right", f, pair({2, 3}, {})},
          {"two scalars", f, pair({}, {})},
          {"[N, M] and [N, 1]", f, pair({3, 4}, {3, 1})},
          {"[C] and [N, H, W, C]", f, pair({3}, {2, 1, 2, 3})},
          {"both broadcast", f, pair({2, 1, 3}, {4, 1})},
          {"rank one and one element", f, pair({1}, {3})},
          {"the same tensor twice", [op](In in) { return op(in[0], in[0]); }, {random_tensor({2, 3}, 1, 0.5, 1.5)}}};
}

template <class Op>
std::vector<Case> unary(Op op, const Tensor& x) {
  const auto f = [op](In in) { return op(in[0]); };
  return {{"a vector", f, {x}}, {"a scalar", f, {slice(reshape(x, {x.numel()}), 0, 0, 1)}}};
}

struct Reduce {
  std::string what;
  std::vector<int> axes;
  bool keepdims;
};
template <class Op, class All>
std::vector<Case> reductions(Op op, All all) {
  const Tensor x = random_tensor({2, 3, 2}, 3);
  std::vector<Case> cases = {{"everything", [all](In in) { return all(in[0]); }, {x}},
                             {"a scalar", [all](In in) { return all(in[0]); }, {random_tensor({}, 4)}}};
  for (const Reduce& r : {Reduce{"the first axis", {0}, false}, Reduce{"the middle axis, kept", {1}, true},
                          Reduce{"the last axis", {-1}, false}, Reduce{"the outer axes", {0, 2}, false},
                          Reduce{"unsorted axes", {2, 0}, true}, Reduce{"no axis", {}, false}})
    cases.push_back({r.what, [op, r](In in) { return op(in[0], r.axes, r.keepdims); }, {x}});
  return cases;
}

std::vector<Case> matrix_products() {
  std::vector<Case> cases;
  for (const bool ta : {false, true})
    for (const bool tb : {false, true}) {
      const auto f = [ta, tb](In in) { return matmul(in[0], in[1], {.transpose_a = ta, .transpose_b = tb}); };
      const auto shape = [](int64_t rows, int64_t columns, bool transposed) {
        return transposed ? Shape{columns, rows} : Shape{rows, columns};
      };
      cases.push_back(
          {str("transposes ", ta, " ", tb), f, {random_tensor(shape(2, 3, ta), 1), random_tensor(shape(3, 4, tb), 2)}});
      cases.push_back({str("row and column, transposes ", ta, " ", tb),
                       f,
                       {random_tensor(shape(1, 5, ta), 3), random_tensor(shape(5, 1, tb), 4)}});
    }
  return cases;
}

struct Conv {
  std::string what;
  Shape x, w;
  Conv2dSpec spec;
};
const std::vector<Conv>& convolutions() {
  static const std::vector<Conv> list = {
      {"3x3, padded", {2, 3, 4, 2}, {3, 3, 3, 2}, {1, 1}},
      {"stride 2 that leaves a row", {1, 6, 5, 2}, {2, 3, 3, 2}, {2, 0}},
      {"stride 2, padded", {1, 5, 6, 2}, {2, 3, 3, 2}, {2, 1}},
      {"1x1", {2, 2, 3, 3}, {2, 1, 1, 3}, {1, 0}},
      {"1x1, stride 2", {1, 4, 5, 2}, {3, 1, 1, 2}, {2, 0}},
      {"dilation 2", {1, 5, 6, 1}, {2, 3, 3, 1}, {1, 1, 2}},
      {"two groups", {1, 4, 3, 4}, {4, 3, 3, 2}, {1, 1, 1, 2}},
      {"depthwise, stride 2", {1, 5, 4, 3}, {6, 2, 2, 1}, {2, 1, 1, 3}},
      {"1x3 window, everything at once", {1, 5, 7, 2}, {2, 1, 3, 1}, {2, 2, 2, 2}},
  };
  return list;
}
Shape output_shape(const Conv& c) { return conv2d(Tensor::zeros(c.x), Tensor::zeros(c.w), c.spec).shape(); }

enum class Member { conv2d, input_grad, weight_grad };
std::vector<Case> convolution_cases(Member member) {
  std::vector<Case> cases;
  for (const Conv& c : convolutions()) {
    const Tensor x = random_tensor(c.x, 1), w = random_tensor(c.w, 2), g = random_tensor(output_shape(c), 3);
    if (member == Member::conv2d)
      cases.push_back({c.what, [c](In in) { return conv2d(in[0], in[1], c.spec); }, {x, w}});
    if (member == Member::input_grad)
      cases.push_back({c.what, [c](In in) { return conv2d_input_grad(in[0], in[1], c.x, c.spec); }, {g, w}});
    if (member == Member::weight_grad)
      cases.push_back({c.what, [c](In in) { return conv2d_weight_grad(in[0], in[1], c.w, c.spec); }, {x, g}});
  }
  return cases;
}

constexpr double kEps = 1e-3;

std::vector<Case> batch_norms(bool train) {
  std::vector<Case> cases;
  for (const Shape& shape : {Shape{2, 2, 2, 2}, Shape{1, 3, 2, 3}})
    for (const bool with_relu : {false, true})
      for (const bool with_residual : {false, true}) {
        const Shape channels{shape[3]};
        std::vector<Tensor> in = {random_tensor(shape, 11), random_tensor(channels, 12, 0.5, 1.5),
                                  random_tensor(channels, 13)};
        if (!train) {
          in.push_back(random_tensor(channels, 14));
          in.push_back(random_tensor(channels, 15, 0.5, 1.5));
        }
        if (with_residual) in.push_back(random_tensor(shape, 16));
        cases.push_back({str(shape, with_relu ? ", relu" : "", with_residual ? ", residual" : ""),
                         [=](In t) {
                           const Tensor residual = with_residual ? t.back() : Tensor{};
                           return train ? batch_norm_train(t[0], t[1], t[2], kEps, with_relu, residual)
                                        : batch_norm_eval(t[0], t[1], t[2], t[3], t[4], kEps, with_relu, residual);
                         },
                         in});
      }
  return cases;
}

std::vector<Case> batch_norm_convolutions() {
  std::vector<Case> cases;
  for (const int64_t kernel : {1, 3})
    cases.push_back({str(kernel, "x", kernel),
                     [kernel](In t) {
                       return batch_norm_train_conv2d(t[0], t[1], t[2], kEps, t[3], {kernel == 3 ? 2 : 1, kernel / 2});
                     },
                     {random_tensor({2, 3, 2, 2}, 11), random_tensor({2}, 12, 0.5, 1.5), random_tensor({2}, 13),
                      random_tensor({3, kernel, kernel, 2}, 17)}});
  return cases;
}

std::vector<Case> biased_convolutions() {
  std::vector<Case> cases;
  for (const bool with_relu : {false, true})
    for (const bool with_residual : {false, true}) {
      std::vector<Tensor> in = {random_tensor({1, 3, 2, 2}, 11), random_tensor({2, 3, 3, 2}, 12),
                                random_tensor({2}, 13)};
      if (with_residual) in.push_back(random_tensor({1, 3, 2, 2}, 14));
      cases.push_back({str(with_relu ? "relu" : "linear", with_residual ? ", residual" : ""),
                       [=](In t) {
                         return conv2d_bias(t[0], t[1], t[2], {1, 1}, with_relu, with_residual ? t[3] : Tensor{});
                       },
                       in});
    }
  return cases;
}

std::vector<Case> pools() {
  std::vector<Case> cases;
  const auto add = [&](const std::string& what, const Shape& shape, const Pool2dSpec& spec) {
    cases.push_back({what, [spec](In in) { return max_pool2d(in[0], spec); }, {distinct(shape, 21)}});
  };
  add("2x2", {2, 4, 4, 2}, {2, 2, 0});
  add("overlapping, padded", {1, 5, 6, 2}, {3, 2, 1});
  add("overlapping, stride 1", {1, 4, 3, 2}, {2, 1, 0});
  add("ceil mode, past the end", {1, 4, 6, 2}, {3, 2, 0, true});
  add("ceil mode, padded", {1, 5, 4, 1}, {3, 3, 1, true});
  add("stride past the window", {1, 5, 5, 1}, {1, 2, 0});
  return cases;
}

std::vector<Case> area_resizes(bool adjoint) {
  std::vector<Case> cases;
  const auto add = [&](const std::string& what, const Shape& from, int64_t height, int64_t width) {
    if (adjoint)
      cases.push_back({what,
                       [from](In in) { return area_resize_adjoint(in[0], from[1], from[2]); },
                       {random_tensor({from[0], height, width}, 34)}});
    else
      cases.push_back({what, [=](In in) { return area_resize(in[0], height, width); }, {random_tensor(from, 34)}});
  };
  add("whole pixels", {2, 4, 6}, 2, 3);
  add("cut pixels", {1, 5, 7}, 3, 2);
  add("up", {1, 2, 3}, 5, 4);
  add("to one cell", {2, 3, 4}, 1, 1);
  return cases;
}

std::vector<Case> resizes(bool adjoint) {
  std::vector<Case> cases;
  const auto add = [&](const std::string& what, const Shape& low, int64_t height, int64_t width) {
    if (adjoint)
      cases.push_back({what,
                       [low](In in) { return bilinear_resize_adjoint(in[0], low[1], low[2]); },
                       {random_tensor({low[0], height, width}, 31)}});
    else
      cases.push_back({what, [=](In in) { return bilinear_resize(in[0], height, width); }, {random_tensor(low, 31)}});
  };
  add("up", {2, 2, 3}, 5, 7);
  add("down", {1, 5, 6}, 2, 3);
  add("up and down", {1, 2, 6}, 5, 3);
  add("the same size", {2, 3, 2}, 3, 2);
  add("from one pixel", {2, 1, 1}, 3, 2);
  add("to one pixel", {2, 3, 4}, 1, 1);
  return cases;
}

std::map<std::string, std::vector<Case>> make_cases() {
  std::map<std::string, std::vector<Case>> cases;
  const Tensor positive = random_tensor({3, 2}, 5, 0.5, 2), apart = distinct({3, 3}, 6), any = random_tensor({3, 2}, 7);

  cases["add"] = broadcasting([](const Tensor& a, const Tensor& b) { return add(a, b); });
  cases["sub"] = broadcasting([](const Tensor& a, const Tensor& b) { return sub(a, b); });
  cases["mul"] = broadcasting([](const Tensor& a, const Tensor& b) { return mul(a, b); });
  cases["div"] = broadcasting([](const Tensor& a, const Tensor& b) { return div(a, b); });
  // To another type it rounds, which finite differences see and the derivative does not: Cast in engine_ops_test.
  cases["cast"] = unary([](const Tensor& x) { return cast(mul(x, x), DType::f64); }, any);
  cases["add_scalar"] = unary([](const Tensor& x) { return add_scalar(x, 0.7); }, any);
  cases["mul_scalar"] = unary([](const Tensor& x) { return mul_scalar(x, -1.3); }, any);
  cases["exp"] = unary([](const Tensor& x) { return exp(x); }, any);
  cases["log"] = unary([](const Tensor& x) { return log(x); }, positive);
  cases["sqrt"] = unary([](const Tensor& x) { return sqrt(x); }, positive);
  cases["abs"] = unary([](const Tensor& x) { return abs(x); }, apart);
  cases["relu"] = unary([](const Tensor& x) { return relu(x); }, apart);
  cases["relu_grad"] = {
      {"linear in g, constant in y", [](In in) { return relu_grad(in[0], in[1]); }, {random_tensor({3, 3}, 8), apart}}};

  cases["sum"] = reductions([](const Tensor& x, const std::vector<int>& a, bool k) { return sum(x, a, k); },
                            [](const Tensor& x) { return sum(x); });
  cases["mean"] = reductions([](const Tensor& x, const std::vector<int>& a, bool k) { return mean(x, a, k); },
                             [](const Tensor& x) { return mean(x); });
  for (const auto& [low, high] : std::vector<std::pair<Shape, Shape>>{
           {{}, {2, 3}}, {{3}, {2, 3}}, {{2, 1}, {2, 3}}, {{1, 2, 1}, {3, 2, 2}}, {{2, 3}, {2, 3}}, {{1}, {1, 1, 4}}}) {
    cases["broadcast_to"].push_back(
        {str(low, " to ", high), [high = high](In in) { return broadcast_to(in[0], high); }, {random_tensor(low, 9)}});
    cases["sum_to"].push_back(
        {str(high, " to ", low), [low = low](In in) { return sum_to(in[0], low); }, {random_tensor(high, 9)}});
  }

  cases["reshape"] = {{"[3, 2] to [2, 1, 3]",
                       [](In in) {
                         return reshape(in[0], {2, 1, 3});
                       },
                       {any}},
                      {"[1] to a scalar", [](In in) { return reshape(in[0], {}); }, {random_tensor({1}, 10)}}};
  const Tensor repeated = index({2, 4}, {1, 1, 0, 1, 2, 0, 2, 2});
  const Tensor from = random_tensor({2, 3}, 1), to = random_tensor({2, 4}, 1);
  cases["take_at"] = {{"repeated indices", [=](In in) { return take_at(in[0], repeated); }, {from}}};
  cases["put_at"] = {{"repeated indices", [=](In in) { return put_at(in[0], repeated, 3); }, {to}}};
  for (const int axis : {0, 1, -1}) {
    const Tensor x = random_tensor({3, 4, 3}, 2);
    cases["slice"].push_back({str("axis ", axis), [=](In in) { return slice(in[0], axis, 1, 2); }, {x}});
    cases["pad"].push_back({str("axis ", axis), [=](In in) { return pad(in[0], axis, 2, 1); }, {x}});
  }
  cases["slice"].push_back({"everything", [](In in) { return slice(in[0], 0, 0, 3); }, {any}});
  cases["pad"].push_back({"nothing", [](In in) { return pad(in[0], 0, 0, 0); }, {any}});

  cases["matmul"] = matrix_products();
  cases["conv2d"] = convolution_cases(Member::conv2d);
  cases["conv2d_bias"] = biased_convolutions();
  cases["conv2d_input_grad"] = convolution_cases(Member::input_grad);
  cases["conv2d_weight_grad"] = convolution_cases(Member::weight_grad);

  cases["batch_norm_train"] = batch_norms(true);
  cases["batch_norm_eval"] = batch_norms(false);
  cases["batch_norm_train_conv2d"] = batch_norm_convolutions();
  for (const Shape& shape : {Shape{2, 2, 2, 2}, Shape{1, 3, 2, 1}})
    cases["batch_norm_train_grad"].push_back(
        {str(shape),
         [](In in) { return batch_norm_train_grad(in[0], in[1], in[2], kEps); },
         {random_tensor(shape, 17), random_tensor({shape[3]}, 18, 0.5, 1.5), random_tensor(shape, 19)}});
  cases["max_pool2d"] = pools();
  cases["global_avg_pool"] = {{"2x3", [](In in) { return global_avg_pool(in[0]); }, {random_tensor({2, 2, 3, 2}, 20)}}};

  const Tensor logits = distinct({3, 4}, 22), labels = index({3}, {2, 0, 2});
  cases["log_softmax"] = {{"[3, 4]", [](In in) { return log_softmax(in[0]); }, {logits}},
                          {"one class", [](In in) { return log_softmax(in[0]); }, {random_tensor({2, 1}, 23)}}};
  cases["softmax"] = {{"[3, 4]", [](In in) { return softmax(in[0]); }, {logits}}};
  cases["cross_entropies"] = {{"[3, 4]", [=](In in) { return cross_entropies(in[0], labels); }, {logits}}};
  cases["cross_entropy"] = {{"[3, 4]", [=](In in) { return cross_entropy(in[0], labels); }, {logits}}};
  cases["bilinear_resize"] = resizes(false);
  cases["bilinear_resize_adjoint"] = resizes(true);
  cases["area_resize"] = area_resizes(false);
  cases["area_resize_adjoint"] = area_resizes(true);
  return cases;
}

const std::map<std::string, std::vector<Case>>& all_cases() {
  static const auto cases = make_cases();
  return cases;
}

TEST(Catalogue, EveryOpHasGradientCasesOrSaysThatItIsNotDifferentiable) {
  const auto ops = catalogue();
  ASSERT_TRUE(ops.contains("add") && ops.contains("batch_norm_train_grad")) << "engine/ops.h was not understood";
  for (const auto& [name, lines] : ops) {
    EXPECT_EQ(kNotDifferentiable.contains(name), !is_differentiable(lines)) << lines;
    EXPECT_NE(kNotDifferentiable.contains(name), all_cases().contains(name))
        << name << " needs cases in this file, or a line in engine/ops.h that says it is not differentiable";
  }
  for (const auto& [name, cases] : all_cases()) {
    EXPECT_TRUE(ops.contains(name)) << name << " is not an op of engine/ops.h";
    EXPECT_FALSE(cases.empty()) << name;
  }
  for (const std::string& name : kNotDifferentiable) EXPECT_TRUE(ops.contains(name)) << name;
}

TEST(Catalogue, OpsThatAreNotDifferentiableReturnNoHistory) {
  const Tensor x = random_tensor({2, 3}, 1).set_requires_grad();
  EXPECT_FALSE(greater(x, x * 2.0).requires_grad());
  EXPECT_FALSE(argmax(x).requires_grad());
  EXPECT_FALSE(argmin(x).requires_grad());
  EXPECT_FALSE(one_hot(index({2}, {0, 1}), 3, DType::f64).requires_grad());
}

class EveryOp : public testing::TestWithParam<std::string> {};

TEST_P(EveryOp, FirstDerivative) {
  for (const Case& c : all_cases().at(GetParam())) EXPECT_TRUE(check_first_order(c.f, c.inputs)) << c.what;
}

TEST_P(EveryOp, SecondDerivative) {
  for (const Case& c : all_cases().at(GetParam())) EXPECT_TRUE(check_second_order(c.f, c.inputs)) << c.what;
}

std::vector<std::string> names() {
  std::vector<std::string> list;
  for (const auto& entry : all_cases()) list.push_back(entry.first);
  return list;
}
INSTANTIATE_TEST_SUITE_P(Catalogue, EveryOp, testing::ValuesIn(names()), [](const auto& p) { return p.param; });

// ---- the check itself: it must fail where it should -----------------------------------------------------------------

Tensor wrong_square(const Tensor& x, bool wrong_at_second_order) {
  return record("wrong_square", mul(x.detach(), x.detach()), {x}, [=](const RuleArgs& r) {
    const Tensor& in = r.inputs[0];
    return std::vector{wrong_at_second_order ? mul(r.grads[0], in.detach() * 2.0) : mul(r.grads[0], in * 1.999)};
  });
}

TEST(Gradcheck, FindsAWrongFirstDerivative) {
  const auto f = function([](In in) { return wrong_square(in[0], false); });
  EXPECT_FALSE(check_first_order(f, {random_tensor({3}, 1)}));
}

TEST(Gradcheck, FindsASecondDerivativeThatIsWrongAlone) {
  const auto f = function([](In in) { return wrong_square(in[0], true); });
  EXPECT_TRUE(check_first_order(f, {random_tensor({3}, 1)}));
  EXPECT_FALSE(check_second_order(f, {random_tensor({3}, 1)}));
}

TEST(Gradcheck, SaysThatAnInputLiesAtAKink) {
  const auto f = function([](In in) { return relu(in[0]); });
  const testing::AssertionResult result = check_first_order(f, {Tensor::from({2}, std::vector{1.0, 1.5e-5})});
  EXPECT_FALSE(result);
  EXPECT_NE(std::string(result.message()).find("lies at a kink"), std::string::npos) << result.message();
}

TEST(Gradcheck, FindsNaN) {
  const auto f = function([](In in) { return log(in[0]); });
  EXPECT_FALSE(check_first_order(f, {Tensor::from({1}, std::vector{-1.0})}));
}

}  // namespace
}  // namespace boxcam
