// Both derivatives of every op of engine/ops.h at random shapes and options, in f64, against differences: what
// every_op_twice_test does in chosen cases. A new op without a line here is a red test.
//
//   BOXCAM_CASES=10000 build/tests/random_gradients_test
#include <gtest/gtest.h>

#include <map>

#include "tests/catalogue.h"
#include "tests/random_cases.h"

namespace boxcam {
namespace {

using In = const std::vector<Tensor>&;
using Make = std::function<Problem(Draw&)>;

/// A shape that broadcasts to `high`: axes of one, and leading ones left out.
Shape narrowed(Draw& draw, const Shape& high) {
  std::vector<int64_t> dims;
  for (int64_t i = draw.integer(0, high.ndim()); i < high.ndim(); ++i)
    dims.push_back(draw.chance() ? 1 : high[static_cast<int>(i)]);
  return Shape(dims);
}

/// For each channel shuffled, evenly spaced values and a little more: no channel's variance is near zero, where batch
/// norm's third derivative is so large that differences with a step of 1e-5 say little.
Tensor spread(Draw& draw, const Shape& shape) {
  const int64_t channels = shape[-1], rows = shape.numel() / channels;
  std::vector<double> values(shape.numel());
  for (int64_t c = 0; c < channels; ++c) {
    std::vector<double> column(rows);
    for (int64_t i = 0; i < rows; ++i)
      column[i] = (2.0 * static_cast<double>(i) + draw.number(0.5, 1.5)) / static_cast<double>(rows) - 1;
    shuffle(column, draw.random());
    for (int64_t i = 0; i < rows; ++i) values[i * channels + c] = column[i];
  }
  return Tensor::from(shape, values);
}

Make binary(Tensor (*op)(const Tensor&, const Tensor&)) {
  return [op](Draw& draw) {
    const Shape high = draw.shape(0, 4, 3);
    Shape a = narrowed(draw, high), b = high;
    if (draw.chance()) std::swap(a, b);
    return problem(str(a, " and ", b), [op](In in) { return op(in[0], in[1]); },
                   {draw.tensor(a, 0.5, 1.5), draw.tensor(b, 0.5, 1.5)});
  };
}

Make unary(Tensor (*op)(const Tensor&), double low, double high) {
  return [=](Draw& draw) {
    const Shape shape = draw.shape(0, 4, 3);
    return problem(str(shape), [op](In in) { return op(in[0]); }, {draw.tensor(shape, low, high)});
  };
}

/// With a kink at zero.
Make bent(Tensor (*op)(const Tensor&)) {
  return [op](Draw& draw) {
    const Shape shape = draw.shape(0, 4, 3);
    return problem(str(shape), [op](In in) { return op(in[0]); }, {distinct(shape, draw.seed())});
  };
}

/// By axes, kept or not, some of them counted from the end; of none now and then.
Make reduction(Tensor (*op)(const Tensor&, const std::vector<int>&, bool)) {
  return [op](Draw& draw) {
    const Shape shape = draw.shape(1, 4, 3);
    std::vector<int> axes;
    for (int i = 0; i < shape.ndim(); ++i)
      if (draw.chance()) axes.push_back(draw.chance() ? i : i - shape.ndim());
    shuffle(axes, draw.random());
    const bool keepdims = draw.chance();
    return problem(str(shape, ", ", axes.size(), " axes", keepdims ? ", kept" : ""),
                   [=](In in) { return op(in[0], axes, keepdims); }, {draw.tensor(shape)});
  };
}

Problem matrix_product(Draw& draw) {
  const MatmulSpec spec{draw.chance(), draw.chance()};
  const int64_t m = draw.integer(1, 5), k = draw.integer(1, 5), n = draw.integer(1, 5);
  const Shape a = spec.transpose_a ? Shape{k, m} : Shape{m, k}, b = spec.transpose_b ? Shape{n, k} : Shape{k, n};
  return problem(str(a, " ", b, ", transposes ", spec.transpose_a, " ", spec.transpose_b),
                 [spec](In in) { return matmul(in[0], in[1], spec); }, {draw.tensor(a), draw.tensor(b)});
}

struct Convolution {
  Shape x, w, y;
  Conv2dSpec spec;
  std::string what() const {
    return str(x, " ", w, ", stride ", spec.stride, ", padding ", spec.padding, ", dilation ", spec.dilation,
               ", groups ", spec.groups);
  }
};
Convolution convolution(Draw& draw) {
  const Conv2dSpec spec{draw.integer(1, 3), draw.integer(0, 2), draw.integer(1, 2), draw.integer(1, 2)};
  const int64_t in = draw.integer(1, 2), out = spec.groups * draw.integer(1, 2);
  const Shape w{out, draw.integer(1, 3), draw.integer(1, 3), in};
  // At least so large that the window fits once.
  const auto side = [&](int64_t window) {
    const int64_t least = std::max<int64_t>(1, spec.dilation * (window - 1) + 1 - 2 * spec.padding);
    return draw.integer(least, least + 3);
  };
  Shape x{draw.integer(1, 2), side(w[1]), 0, in * spec.groups};
  x[2] = side(w[2]);
  return {x, w, conv2d(Tensor::zeros(x), Tensor::zeros(w), spec).shape(), spec};
}

/// Of any number of rows but one, whose variance is zero.
Shape batch(Draw& draw) { return {draw.integer(2, 3), draw.integer(1, 3), draw.integer(1, 2), draw.integer(1, 3)}; }

Make batch_norm(bool train) {
  return [train](Draw& draw) {
    const Shape shape = batch(draw), channels{shape[3]};
    const bool with_relu = draw.chance(), with_residual = draw.chance();
    const double eps = draw.one_of<double>({1e-5, 1e-3, 0.1});
    std::vector<Tensor> in = {spread(draw, shape), draw.tensor(channels, 0.5, 1.5), draw.tensor(channels)};
    if (!train) {
      in.push_back(draw.tensor(channels));
      in.push_back(draw.tensor(channels, 0.5, 1.5));
    }
    if (with_residual) in.push_back(draw.tensor(shape));
    return problem(
        str(shape, ", eps ", eps, with_relu ? ", relu" : "", with_residual ? ", residual" : ""),
        [=](In t) {
          const Tensor residual = with_residual ? t.back() : Tensor{};
          return train ? batch_norm_train(t[0], t[1], t[2], eps, with_relu, residual)
                       : batch_norm_eval(t[0], t[1], t[2], t[3], t[4], eps, with_relu, residual);
        },
        in);
  };
}

Problem batch_norm_convolution(Draw& draw) {
  const Shape shape = batch(draw), channels{shape[3]};
  const int64_t kernel = draw.one_of<int64_t>({1, 3});
  const Conv2dSpec spec{draw.integer(1, 2), kernel / 2};
  return problem(str(shape, ", ", kernel, "x", kernel, ", stride ", spec.stride),
                 [spec](In t) { return batch_norm_train_conv2d(t[0], t[1], t[2], 1e-3, t[3], spec); },
                 {spread(draw, shape), draw.tensor(channels, 0.5, 1.5), draw.tensor(channels),
                  draw.tensor({draw.integer(1, 3), kernel, kernel, shape[3]})});
}

Problem batch_norm_gradient(Draw& draw) {
  const Shape shape = batch(draw);
  return problem(str(shape), [](In in) { return batch_norm_train_grad(in[0], in[1], in[2], 1e-3); },
                 {spread(draw, shape), draw.tensor({shape[3]}, 0.5, 1.5), draw.tensor(shape)});
}

Problem biased_convolution(Draw& draw) {
  const Convolution c = convolution(draw);
  const bool with_relu = draw.chance(), with_residual = draw.chance();
  std::vector<Tensor> in = {draw.tensor(c.x), draw.tensor(c.w), draw.tensor({c.y[3]})};
  if (with_residual) in.push_back(draw.tensor(c.y));
  return problem(
      str(c.what(), with_relu ? ", relu" : "", with_residual ? ", residual" : ""),
      [=](In t) { return conv2d_bias(t[0], t[1], t[2], c.spec, with_relu, with_residual ? t[3] : Tensor{}); }, in);
}

Problem pool(Draw& draw) {
  Pool2dSpec spec{draw.integer(1, 3), draw.integer(1, 3), 0, draw.chance()};
  spec.padding = draw.integer(0, spec.window / 2);
  const auto side = [&] { return draw.integer(std::max<int64_t>(1, spec.window - 2 * spec.padding), 6); };
  const Shape x{draw.integer(1, 2), side(), side(), draw.integer(1, 2)};
  return problem(str(x, ", window ", spec.window, ", stride ", spec.stride, ", padding ", spec.padding,
                     spec.ceil_mode ? ", ceil" : ""),
                 [spec](In in) { return max_pool2d(in[0], spec); }, {distinct(x, draw.seed())});
}

/// Between two sizes; `adjoint`: from the second to the first.
template <class Resize>
Make resize(Resize resized, bool adjoint) {
  return [=](Draw& draw) {
    const auto side = [&] { return draw.integer(1, 6); };
    const Shape from{draw.integer(1, 2), side(), side()}, to{from[0], side(), side()};
    const Shape &in = adjoint ? to : from, &out = adjoint ? from : to;
    return problem(str(in, " to ", out), [=](In x) { return resized(x[0], out[1], out[2]); }, {draw.tensor(in)});
  };
}

/// By an index [N, K] of a matrix [N, size].
Make indexed(bool put) {
  return [put](Draw& draw) {
    const int64_t size = draw.integer(1, 4);
    const Shape at{draw.integer(1, 3), draw.integer(1, 5)};
    const Tensor index = draw.index(at, size);
    if (put)
      return problem(str(at, " of ", size), [=](In in) { return put_at(in[0], index, size); }, {draw.tensor(at)});
    return problem(str(at, " of ", size), [=](In in) { return take_at(in[0], index); }, {draw.tensor({at[0], size})});
  };
}

Problem sliced(Draw& draw) {
  const Shape shape = draw.shape(1, 4);
  const int axis = static_cast<int>(draw.integer(-shape.ndim(), shape.ndim() - 1));
  const int64_t begin = draw.integer(0, shape[axis] - 1), length = draw.integer(1, shape[axis] - begin);
  return problem(str(shape, ", axis ", axis, ", ", length, " from ", begin),
                 [=](In in) { return slice(in[0], axis, begin, length); }, {draw.tensor(shape)});
}

Problem padded(Draw& draw) {
  const Shape shape = draw.shape(1, 4, 3);
  const int axis = static_cast<int>(draw.integer(-shape.ndim(), shape.ndim() - 1));
  const int64_t before = draw.integer(0, 2), after = draw.integer(0, 2);
  return problem(str(shape, ", axis ", axis, ", ", before, " before, ", after, " after"),
                 [=](In in) { return pad(in[0], axis, before, after); }, {draw.tensor(shape)});
}

/// Another order of the same extents, some of them joined.
Problem reshaped(Draw& draw) {
  const Shape shape = draw.shape(0, 4);
  std::vector<int64_t> dims;
  for (int i = 0; i < shape.ndim(); ++i) {
    if (!dims.empty() && draw.chance(0.3))
      dims.back() *= shape[i];
    else
      dims.push_back(shape[i]);
  }
  shuffle(dims, draw.random());
  return problem(str(shape, " to ", Shape(dims)), [=](In in) { return reshape(in[0], Shape(dims)); },
                 {draw.tensor(shape)});
}

Make of_logits(std::function<Tensor(const Tensor&, const Tensor&)> op) {
  return [op](Draw& draw) {
    const Shape shape{draw.integer(1, 3), draw.integer(1, 5)};
    const Tensor labels = draw.index({shape[0]}, shape[1]);
    const double scale = draw.one_of<double>({0.1, 1, 5});
    return problem(str(shape, " to ", scale), [=](In in) { return op(in[0], labels); },
                   {draw.tensor(shape, -scale, scale)});
  };
}

const std::map<std::string, Make>& problems() {
  static const std::map<std::string, Make> all = {
      {"add", binary(add)},
      {"sub", binary(sub)},
      {"mul", binary(mul)},
      {"div", binary(div)},
      {"add_scalar",
       [](Draw& draw) {
         const double s = draw.number(-2.0, 2.0);
         return problem(str(s), [s](In in) { return add_scalar(in[0], s); }, {draw.tensor(draw.shape(0, 4, 3))});
       }},
      {"mul_scalar",
       [](Draw& draw) {
         const double s = draw.number(-2.0, 2.0);
         return problem(str(s), [s](In in) { return mul_scalar(in[0], s); }, {draw.tensor(draw.shape(0, 4, 3))});
       }},
      {"exp", unary(exp, -2, 2)},
      {"log", unary(log, 0.5, 3)},
      {"sqrt", unary(sqrt, 0.5, 3)},
      {"abs", bent(abs)},
      {"relu", bent(relu)},
      {"relu_grad",
       [](Draw& draw) {
         const Shape shape = draw.shape(0, 4, 3);
         return problem(str(shape), [](In in) { return relu_grad(in[0], in[1]); },
                        {draw.tensor(shape), distinct(shape, draw.seed())});
       }},
      // To another type it rounds, which differences see and the derivative does not.
      {"cast", unary([](const Tensor& x) { return cast(mul(x, x), DType::f64); }, -1, 1)},
      {"sum", reduction(sum)},
      {"mean", reduction(mean)},
      {"broadcast_to",
       [](Draw& draw) {
         const Shape high = draw.shape(0, 4, 3), low = narrowed(draw, high);
         return problem(str(low, " to ", high), [high](In in) { return broadcast_to(in[0], high); },
                        {draw.tensor(low)});
       }},
      {"sum_to",
       [](Draw& draw) {
         const Shape high = draw.shape(0, 4, 3), low = narrowed(draw, high);
         return problem(str(high, " to ", low), [low](In in) { return sum_to(in[0], low); }, {draw.tensor(high)});
       }},
      {"reshape", reshaped},
      {"take_at", indexed(false)},
      {"put_at", indexed(true)},
      {"slice", sliced},
      {"pad", padded},
      {"matmul", matrix_product},
      {"conv2d",
       [](Draw& draw) {
         const Convolution c = convolution(draw);
         return problem(c.what(), [c](In in) { return conv2d(in[0], in[1], c.spec); },
                        {draw.tensor(c.x), draw.tensor(c.w)});
       }},
      {"conv2d_bias", biased_convolution},
      {"conv2d_input_grad",
       [](Draw& draw) {
         const Convolution c = convolution(draw);
         return problem(c.what(), [c](In in) { return conv2d_input_grad(in[0], in[1], c.x, c.spec); },
                        {draw.tensor(c.y), draw.tensor(c.w)});
       }},
      {"conv2d_weight_grad",
       [](Draw& draw) {
         const Convolution c = convolution(draw);
         return problem(c.what(), [c](In in) { return conv2d_weight_grad(in[0], in[1], c.w, c.spec); },
                        {draw.tensor(c.x), draw.tensor(c.y)});
       }},
      {"batch_norm_train", batch_norm(true)},
      {"batch_norm_eval", batch_norm(false)},
      {"batch_norm_train_conv2d", batch_norm_convolution},
      {"batch_norm_train_grad", batch_norm_gradient},
      {"max_pool2d", pool},
      {"global_avg_pool",
       [](Draw& draw) {
         const Shape shape = draw.shape(4, 4, 3);
         return problem(str(shape), [](In in) { return global_avg_pool(in[0]); }, {draw.tensor(shape)});
       }},
      {"log_softmax", of_logits([](const Tensor& x, const Tensor&) { return log_softmax(x); })},
      {"softmax", of_logits([](const Tensor& x, const Tensor&) { return softmax(x); })},
      {"cross_entropies", of_logits(cross_entropies)},
      {"cross_entropy", of_logits(cross_entropy)},
      {"bilinear_resize", resize(bilinear_resize, false)},
      {"bilinear_resize_adjoint", resize(bilinear_resize_adjoint, true)},
      {"area_resize", resize(area_resize, false)},
      {"area_resize_adjoint", resize(area_resize_adjoint, true)},
  };
  return all;
}

TEST(RandomGradients, HaveEveryDifferentiableOp) {
  for (const auto& [name, lines] : catalogue()) EXPECT_EQ(problems().contains(name), is_differentiable(lines)) << name;
}

class OfAnOp : public testing::TestWithParam<std::string> {};

TEST_P(OfAnOp, AgreeWithDifferences) {
  const auto tests = static_cast<int64_t>(problems().size());
  check_random_derivatives(GetParam(), case_numbers(6, tests), problems().at(GetParam()));
}

std::vector<std::string> names() {
  std::vector<std::string> list;
  for (const auto& entry : problems()) list.push_back(entry.first);
  return list;
}
INSTANTIATE_TEST_SUITE_P(RandomGradients, OfAnOp, testing::ValuesIn(names()), [](const auto& p) { return p.param; });

}  // namespace
}  // namespace boxcam
