// f32, bf16 and f64 over random networks of up to 40 ops: values and gradients of the first two against those of f64.
//
// How far apart they may be is measured, network by network, and no constant of ours: f64 computes the network again
// some times with every op's result, and every gradient that comes back through it, off by a random part of the type's
// unit roundoff u (Monte Carlo arithmetic). A sum of n terms in f32 loses sqrt(n) u of its terms' size (Higham and
// Mary, 2019). Sums over images and cells are taken by statistics and by gradients, of a channel's numbers and of their
// products with the activations: so far a channel is off as a whole, in these two directions. The root mean square of
// how far off these runs are is what rounding does in this network, with all that it amplifies and cancels. A type's
// own rounding is one more such draw; it may be `kDeviations` times as far off, and one rounding more. Distances are
// 2-norms over a tensor, relative to f64's.
//
// A ReLU, an absolute value or an extreme that lies within rounding of its threshold turns over, and gradients jump. So
// f64 decides as the type did: its ReLUs are products with the zeros and ones of that run.
//
//   BOXCAM_CASES=1000 build/tests/precisions_agree_test
#include <gtest/gtest.h>

#include <cmath>
#include <iostream>
#include <map>

#include "engine/settings.h"
#include "tests/random_cases.h"

namespace boxcam {
namespace {

constexpr int kDraws = 12;
constexpr double kDeviations = 4;
constexpr int64_t kFew = 12;
constexpr int kMostOps = 40;

double unit_roundoff(DType dtype) { return std::ldexp(1, dtype == DType::bf16 ? -8 : -24); }

/// How far off numbers are, and whole channels.
struct Noise {
  double number, channel;
};

double rms(const std::vector<double>& values, size_t first, size_t step) {
  double squares = 0;
  for (size_t i = first; i < values.size(); i += step) squares += values[i] * values[i];
  return std::sqrt(squares * static_cast<double>(step) / static_cast<double>(values.size()));
}

/// x, in which every number is off by a part of itself, once more as all numbers of its image and channel are (equal
/// ones are rounded alike), and every channel by a part of its size in the two directions that sums are taken in: that
/// of ones and that of the activations. Zeros stay.
Tensor with_noise(const Tensor& x, const Tensor& activations, const Noise& unit, Random& random) {
  std::vector<double> values = x.to_vector();
  const std::vector<double> along = activations.to_vector();
  const size_t channels = x.ndim() > 0 ? x.dim(-1) : 1, image = x.ndim() > 0 ? values.size() / x.dim(0) : 1;
  for (size_t c = 0; c < channels; ++c) {
    const double size = unit.channel * rms(values, c, channels), length = rms(along, c, channels);
    const double shift = random.uniform(-1, 1) * size;
    const double slope = length > 0 ? random.uniform(-1, 1) * size / length : 0;
    double together = 0;
    for (size_t i = c; i < values.size(); i += channels) {
      if (i % image == c) together = random.uniform(-1, 1);
      const double part = unit.number * (together + random.uniform(-1, 1));
      if (values[i] != 0) values[i] += values[i] * part + shift + slope * along[i];
    }
  }
  return Tensor::from(x.shape(), values);
}

/// One evaluation of a network: in a type, or in f64 with the noise of one.
class Evaluation {
 public:
  Evaluation(DType dtype, const std::vector<Tensor>& parameters) : dtype_(dtype) { take(parameters); }
  /// In f64, as another run decided; with noise, or without (0).
  Evaluation(const std::vector<Tensor>& decisions, double unit, uint64_t seed, const std::vector<Tensor>& parameters)
      : decisions_(decisions), follows_(true), unit_(unit), noise_(seed, stream_of("noise")) {
    take(parameters);
  }

  /// What an op returned: as it is, or with noise.
  Tensor activation(const Tensor& y) { return noisy(y, unit_); }
  /// The same of an op that takes no bf16: beside it, it computes in f32.
  Tensor wide(const Tensor& y) { return noisy(y, std::min(unit_, unit_roundoff(DType::f32))); }
  Tensor widened(const Tensor& x) const { return cast(x, wide_type()); }
  Tensor narrowed(const Tensor& y) { return activation(cast(y, dtype_)); }

  const Tensor& parameter(size_t i) const { return rounded_.at(i); }
  const std::vector<Tensor>& parameters() const { return parameters_; }

  /// Whether it decides as another run did.
  bool follows() const { return follows_; }
  const Tensor& next_decision() { return decisions_.at(next_++); }
  void decided(const Tensor& decision) { decisions_.push_back(decision.to(DType::f64)); }
  const std::vector<Tensor>& decisions() const { return decisions_; }

  /// What `op` returns that is told whether its result goes through a ReLU.
  template <class Op>
  Tensor rectified(Op op) {
    if (follows()) {
      const Tensor y = activation(op(false)), decision = next_decision();
      decided_otherwise += sum(abs(positive(y) - decision)).item();
      decisions_made += static_cast<double>(y.numel());
      return activation(y * decision);
    }
    const Tensor y = op(true);
    decided(positive(y));
    return activation(y);
  }
  static Tensor positive(const Tensor& y) {
    constexpr double nothing = 1e-20;  // conv2d_bias may leave -2^-40 of what a ReLU cut
    return greater(y.detach(), Tensor::full({}, nothing, y.dtype()));
  }

  int ops = 0;
  double decided_otherwise = 0, decisions_made = 0;  ///< of ReLUs, than the run that is followed

 private:
  DType wide_type() const { return dtype_ == DType::f64 ? DType::f64 : DType::f32; }
  void take(const std::vector<Tensor>& parameters) {
    for (const Tensor& p : parameters) {
      parameters_.push_back(p.to(wide_type()).clone().set_requires_grad());
      rounded_.push_back(noisy(parameters_.back(), unit_));
    }
    ops = 0;
  }
  Tensor noisy(const Tensor& y, double unit) {
    ++ops;
    if (unit == 0) return y;
    const double terms = y.ndim() > 1 ? static_cast<double>(y.numel() / y.dim(-1)) : 1;
    const Noise noise{unit, unit_roundoff(DType::f32) * std::sqrt(terms)};  // sums are f32 beside bf16 too
    return record("noise", with_noise(y.detach(), y.detach(), noise, noise_), {y},
                  [noise, seed = uint64_t{noise_.next()}](const RuleArgs& r) {
                    Random draw(seed, stream_of("noise of a gradient"));
                    constexpr double roundings = 3;  // a rule is as many ops (div), and their errors add as squares
                    const Noise more{noise.number * std::sqrt(roundings), noise.channel};
                    return std::vector{with_noise(r.grads[0], r.inputs[0].detach(), more, draw)};
                  });
  }

  DType dtype_ = DType::f64;
  std::vector<Tensor> decisions_;
  bool follows_ = false;
  size_t next_ = 0;
  double unit_ = 0;
  Random noise_{0};
  std::vector<Tensor> parameters_, rounded_;
};

using Nodes = std::vector<Tensor>;
using Step = std::function<Tensor(Evaluation&, const Nodes&)>;

/// Draws one step of a network behind its nodes, which are activations [N, H, W, C].
struct Drawing {
  Draw& draw;
  const Nodes& nodes;
  std::vector<Tensor>& parameters;

  size_t parameter(const Shape& shape, double low, double high) {
    parameters.push_back(draw.tensor(shape, low, high));
    return parameters.size() - 1;
  }
  size_t weight(const Shape& shape) {
    const double range = std::sqrt(3.0 * static_cast<double>(shape[0]) / static_cast<double>(shape.numel()));
    return parameter(shape, -range, range);
  }
  /// A node, most often the last.
  size_t node() {
    return draw.chance(0.7) ? nodes.size() - 1 : draw.integer(0, static_cast<int64_t>(nodes.size()) - 1);
  }
  /// One of the shape of another, maybe that one.
  size_t like(size_t other) {
    std::vector<size_t> fitting;
    for (size_t i = 0; i < nodes.size(); ++i)
      if (nodes[i].shape() == nodes[other].shape()) fitting.push_back(i);
    return draw.one_of(fitting);
  }
  const Shape& shape(size_t node) const { return nodes[node].shape(); }
};

Step binary(Drawing& d) {
  const size_t a = d.node(), b = d.like(a);
  const auto op = d.draw.one_of<Tensor (*)(const Tensor&, const Tensor&)>({add, sub, mul});
  return [=](Evaluation& e, const Nodes& x) { return e.activation(op(x[a], x[b])); };
}

/// With noise, each term of the parameter's gradient has what roundings it gets before their sum.
Step with_a_channel_parameter(Drawing& d) {
  const size_t a = d.node(), p = d.parameter({d.shape(a)[3]}, 0.5, 1.5);
  const int64_t which = d.draw.integer(0, 2);
  return [=](Evaluation& e, const Nodes& x) {
    const Tensor parameter = e.narrowed(e.parameter(p));
    const Tensor each = e.follows() ? e.activation(broadcast_to(parameter, x[a].shape())) : parameter;
    if (which == 0) return e.activation(x[a] + each);
    if (which == 1) return e.activation(x[a] * each);
    if (!e.follows()) return e.activation(div(x[a], each));
    return e.activation(x[a] * e.activation(div(Tensor::full({}, 1, DType::f64), each)));
  };
}

Step bent(Drawing& d) {
  const size_t a = d.node();
  if (d.draw.chance())
    return
        [=](Evaluation& e, const Nodes& x) { return e.rectified([&](bool bend) { return bend ? relu(x[a]) : x[a]; }); };
  return [=](Evaluation& e, const Nodes& x) {
    if (e.follows()) return e.activation(x[a] * e.next_decision());
    e.decided(Evaluation::positive(x[a]) - Evaluation::positive(-x[a]));
    return e.activation(abs(x[a]));
  };
}

/// exp(x / 4), ln(x^2 + 1), sqrt(x^2 + 1) or 1 / (x^2 + 1).
Step curved(Drawing& d) {
  const size_t a = d.node();
  const int64_t which = d.draw.integer(0, 3);
  return [=](Evaluation& e, const Nodes& x) {
    if (which == 0) return e.activation(exp(e.activation(x[a] * 0.25)));
    const Tensor y = e.activation(e.activation(x[a] * x[a]) + 1.0);
    return e.activation(which == 1 ? log(y) : which == 2 ? sqrt(y) : div(x[a], y));
  };
}

struct Window {
  Shape w;
  Conv2dSpec spec;
};
Window window(Drawing& d, const Shape& x) {
  const int64_t groups = x[3] % 2 == 0 && d.draw.chance(0.2) ? 2 : 1, kernel = d.draw.chance(0.3) ? 1 : 3;
  const int64_t stride = x[1] >= 4 && x[2] >= 4 ? d.draw.integer(1, 2) : 1;
  const int64_t dilation = kernel == 3 && stride == 1 && d.draw.chance(0.2) ? 2 : 1;
  return {{2 * d.draw.integer(1, 8), kernel, kernel, x[3] / groups},
          {stride, dilation * (kernel / 2), dilation, groups}};
}

Step convolution(Drawing& d) {
  const size_t a = d.node();
  const Window c = window(d, d.shape(a));
  const size_t w = d.weight(c.w);
  return [=](Evaluation& e, const Nodes& x) { return e.activation(conv2d(x[a], e.parameter(w), c.spec)); };
}

Step biased_convolution(Drawing& d) {
  const size_t a = d.node();
  const Window c = window(d, d.shape(a));
  const size_t w = d.weight(c.w), bias = d.parameter({c.w[0]}, -0.5, 0.5);
  const bool with_relu = d.draw.chance();
  return [=](Evaluation& e, const Nodes& x) {
    const auto op = [&](bool bend) { return conv2d_bias(x[a], e.parameter(w), e.parameter(bias), c.spec, bend); };
    return with_relu ? e.rectified(op) : e.activation(op(false));
  };
}

struct Affine {
  size_t gamma, beta;
};
Affine affine(Drawing& d, int64_t channels) {
  const size_t gamma = d.parameter({channels}, 0.5, 1.5);
  return {gamma, d.parameter({channels}, -0.5, 0.5)};
}
constexpr double kEps = 1e-3;

/// The formula, op by op where there is noise.
Tensor normalised(Evaluation& e, const Tensor& x, const Affine& p) {
  const Tensor &gamma = e.parameter(p.gamma), &beta = e.parameter(p.beta);
  if (!e.follows()) return batch_norm_train(x, gamma, beta, kEps);
  const std::vector<int> rows = {0, 1, 2};
  const Tensor centred = e.wide(x - e.wide(mean(x, rows, true)));
  const Tensor variance = e.wide(mean(e.wide(centred * centred), rows, true));
  return e.wide(e.wide(e.wide(centred / e.wide(sqrt(variance + kEps))) * gamma) + beta);
}

Step batch_norm(Drawing& d) {
  const size_t a = d.node(), b = d.like(a);
  const Affine p = affine(d, d.shape(a)[3]);
  const bool with_relu = d.draw.chance(), with_residual = d.draw.chance();
  return [=](Evaluation& e, const Nodes& x) {
    const auto op = [&](bool bend) {
      if (e.follows()) return with_residual ? normalised(e, x[a], p) + x[b] : normalised(e, x[a], p);
      return batch_norm_train(x[a], e.parameter(p.gamma), e.parameter(p.beta), kEps, bend,
                              with_residual ? x[b] : Tensor{});
    };
    return with_relu ? e.rectified(op) : e.activation(op(false));
  };
}

Step batch_norm_of_running_statistics(Drawing& d) {
  const size_t a = d.node();
  const Affine p = affine(d, d.shape(a)[3]);
  const size_t mean = d.parameter({d.shape(a)[3]}, -0.5, 0.5), variance = d.parameter({d.shape(a)[3]}, 0.5, 1.5);
  return [=](Evaluation& e, const Nodes& x) {
    return e.activation(batch_norm_eval(x[a], e.parameter(p.gamma), e.parameter(p.beta), e.parameter(mean),
                                        e.parameter(variance), kEps));
  };
}

Step batch_norm_convolution(Drawing& d) {
  const size_t a = d.node();
  const Affine p = affine(d, d.shape(a)[3]);
  const Window c = window(d, d.shape(a));
  const size_t w = d.weight(c.w);
  return [=](Evaluation& e, const Nodes& x) {
    const auto between = [&](bool bend) { return bend ? relu(normalised(e, x[a], p)) : normalised(e, x[a], p); };
    const Tensor y = e.rectified(between);  // of the fused op only what it decides
    if (e.follows()) return e.activation(conv2d(y, e.parameter(w), c.spec));
    return e.activation(
        batch_norm_train_conv2d(x[a], e.parameter(p.gamma), e.parameter(p.beta), kEps, e.parameter(w), c.spec));
  };
}

/// Which number of an image is the largest of each window: the first one, and no padding.
Tensor winners(const Tensor& x, const Pool2dSpec& spec, const Shape& out) {
  const std::vector<double> values = x.to_vector();
  const int64_t height = x.dim(1), width = x.dim(2), channels = x.dim(3), image = height * width * channels;
  std::vector<int32_t> index;
  for (int64_t n = 0; n < out[0]; ++n)
    for (int64_t p = 0; p < out[1]; ++p)
      for (int64_t q = 0; q < out[2]; ++q)
        for (int64_t c = 0; c < channels; ++c) {
          int64_t best = -1;
          for (int64_t i = 0; i < spec.window * spec.window; ++i) {
            const int64_t y = p * spec.stride - spec.padding + i / spec.window,
                          z = q * spec.stride - spec.padding + i % spec.window;
            if (y < 0 || y >= height || z < 0 || z >= width) continue;
            const int64_t at = (y * width + z) * channels + c;
            if (best < 0 || values[n * image + at] > values[n * image + best]) best = at;
          }
          index.push_back(static_cast<int32_t>(best));
        }
  return Tensor::from({out[0], out.numel() / out[0]}, index);
}

Step pool(Drawing& d) {
  const size_t a = d.node();
  const bool small = std::min(d.shape(a)[1], d.shape(a)[2]) < 4;
  const Pool2dSpec spec{2, small ? 1 : d.draw.integer(1, 2), small ? 1 : d.draw.integer(0, 1), d.draw.chance()};
  return [=](Evaluation& e, const Nodes& x) {
    const Tensor y = max_pool2d(x[a].detach(), spec);
    if (!e.follows()) {
      e.decided(winners(x[a], spec, y.shape()));
      return e.activation(max_pool2d(x[a], spec));
    }
    const Tensor images = reshape(x[a], {x[a].dim(0), x[a].numel() / x[a].dim(0)});
    return e.activation(reshape(take_at(images, e.next_decision().to(DType::i32)), y.shape()));
  };
}

/// x times its mean over the picture.
Step squeeze(Drawing& d) {
  const size_t a = d.node();
  return [=](Evaluation& e, const Nodes& x) {
    const Tensor in = e.widened(x[a]);
    return e.narrowed(e.wide(in * (e.wide(mean(in, {1, 2}, true)) + 1.0)));
  };
}

/// x times its mean over the channels, which was made smaller and large again.
Step attention(Drawing& d) {
  const size_t a = d.node();
  const int64_t h = d.draw.integer(1, 3), w = d.draw.integer(1, 3);
  return [=](Evaluation& e, const Nodes& x) {
    const Tensor in = e.widened(x[a]), map = e.wide(area_resize(e.wide(mean(in, {3})), h, w));
    const Tensor large = e.wide(bilinear_resize(map, in.dim(1), in.dim(2)));
    return e.narrowed(e.wide(in * reshape(large + 1.0, {in.dim(0), in.dim(1), in.dim(2), 1})));
  };
}

/// Over the channels of every cell: a matrix product, or a softmax.
Step of_cells(Drawing& d) {
  const size_t a = d.node();
  const Shape s = d.shape(a);
  const Shape cells{s.numel() / s[3], s[3]};
  if (d.draw.chance())
    return [=](Evaluation& e, const Nodes& x) {
      return e.narrowed(e.wide(reshape(softmax(reshape(e.widened(x[a]), cells)), s)));
    };
  const Shape out{s[0], s[1], s[2], 2 * d.draw.integer(1, 8)};
  const size_t w = d.weight({out[3], s[3]});
  return [=](Evaluation& e, const Nodes& x) {
    return e.narrowed(
        e.wide(reshape(matmul(reshape(e.widened(x[a]), cells), e.parameter(w), {.transpose_b = true}), out)));
  };
}

/// x and a part of it.
Step part(Drawing& d) {
  const size_t a = d.node();
  const int axis = static_cast<int>(d.draw.integer(0, 3));
  const int64_t size = d.shape(a)[axis], begin = d.draw.integer(0, size - 1), length = d.draw.integer(1, size - begin);
  return [=](Evaluation& e, const Nodes& x) {
    const Tensor in = e.widened(x[a]);
    return e.narrowed(e.wide(in + pad(slice(in, axis, begin, length), axis, begin, size - begin - length)));
  };
}

double norm(const std::vector<double>& values) {
  double squares = 0;
  for (const double v : values) squares += v * v;
  return std::sqrt(squares);
}
double size_of(const Tensor& x) { return norm(x.to_vector()) / std::sqrt(static_cast<double>(x.numel())); }

struct Network {
  Tensor input, weights;  ///< of its last node, in the loss
  Tensor labels;
  std::vector<Tensor> parameters;  ///< the last one is the head's
  std::vector<Step> steps;
  int ops = 0;
};

/// A step whose result is of the size of 1, by a power of two, which rounds nothing; or none, where that would be a sum
/// that cancels or a ReLU that leaves nothing.
bool add_step(Network& net, Nodes& nodes, const Step& step) {
  const NoGrad no_grad;
  Evaluation e(DType::f64, net.parameters);
  const Tensor y = step(e, nodes);
  const double size = size_of(y);
  if (!(size > 1.0 / 16) || !(size < 1e3)) return false;
  const double factor = std::exp2(-std::round(std::log2(size)));
  net.steps.push_back([=](Evaluation& to, const Nodes& x) { return step(to, x) * factor; });
  nodes.push_back(y * factor);
  net.ops += e.ops;
  return true;
}

Network network_of(Draw& draw) {
  const std::vector<Step (*)(Drawing&)> kinds = {binary,
                                                 with_a_channel_parameter,
                                                 bent,
                                                 curved,
                                                 convolution,
                                                 biased_convolution,
                                                 batch_norm,
                                                 batch_norm_of_running_statistics,
                                                 batch_norm_convolution,
                                                 pool,
                                                 squeeze,
                                                 attention,
                                                 of_cells,
                                                 part};
  Network net;
  net.input = draw.tensor({draw.integer(2, 3), draw.integer(3, 9), draw.integer(3, 9), draw.integer(2, 8)}, -1.7, 1.7);
  Nodes nodes = {net.input};
  const int64_t most = draw.integer(5, kMostOps - 5);  // a step is at most five ops
  while (net.ops < most) {
    const size_t before = net.parameters.size();
    Drawing drawing{draw, nodes, net.parameters};
    if (!add_step(net, nodes, draw.one_of(kinds)(drawing))) net.parameters.resize(before);
  }
  const Shape last = nodes.back().shape();
  constexpr int64_t classes = 4;
  net.weights = draw.tensor(last);
  net.labels = draw.index({last[0]}, classes);
  net.parameters.push_back(draw.tensor({classes, last[3]}));
  return net;
}

struct Results {
  std::vector<Tensor> values, gradients;  ///< of the input and of every parameter
  std::vector<Tensor> decisions;
  double decided_otherwise, decisions_made;
};

Results results_of(const Network& net, Evaluation e) {
  const Tensor input = e.widened(net.input).detach().clone().set_requires_grad();
  Nodes nodes = {e.narrowed(input)};
  for (const Step& step : net.steps) nodes.push_back(step(e, nodes));
  const Tensor last = e.widened(nodes.back());
  const Tensor logits =
      e.wide(matmul(e.wide(global_avg_pool(last)), e.parameter(net.parameters.size() - 1), {.transpose_b = true}));
  const Tensor loss = mean(e.wide(last * e.widened(net.weights))) + e.wide(cross_entropy(logits, net.labels));
  std::vector<Tensor> leaves = {input};
  leaves.insert(leaves.end(), e.parameters().begin(), e.parameters().end());
  return {{last, logits}, grad({loss}, leaves), e.decisions(), e.decided_otherwise, e.decisions_made};
}

/// Relative to `exact`; both zero is no distance.
double distance(const Tensor& found, const Tensor& exact) {
  const std::vector<double> a = found.to_vector(), b = exact.to_vector();
  std::vector<double> differences(a.size());
  for (size_t i = 0; i < a.size(); ++i) differences[i] = a[i] - b[i];
  const double size = norm(b), off = norm(differences);
  return off == 0 ? 0 : off / size;
}

/// What was seen of all networks.
struct Seen {
  int64_t networks = 0, ops = 0;
  double worst = 0;  ///< the largest distance in deviations
  double decided_otherwise = 0, decisions_made = 0;
};

/// `found` and what noise makes of the network, tensor by tensor.
void expect_near(const std::vector<Tensor>& found, const std::vector<Tensor>& exact,
                 const std::vector<std::vector<Tensor>>& noisy, DType dtype, const std::string& what, Seen& seen) {
  for (size_t k = 0; k < found.size(); ++k) {
    double squares = 0;
    for (const auto& draw : noisy)
      squares += std::pow(distance(draw[k], exact[k]), 2) / static_cast<double>(noisy.size());
    const double off = distance(found[k], exact[k]), deviation = std::sqrt(squares);
    EXPECT_LE(off, kDeviations * deviation + unit_roundoff(dtype)) << what << k << " " << found[k].shape();
    if (deviation > 0) seen.worst = std::max(seen.worst, (off - unit_roundoff(dtype)) / deviation);
  }
}

void expect_agreement(const Network& net, DType dtype, const std::string& what, Seen& seen) {
  const Results found = results_of(net, Evaluation(dtype, net.parameters));
  const auto in_f64 = [&](double unit, uint64_t seed) {
    return results_of(net, Evaluation(found.decisions, unit, seed, net.parameters));
  };
  const Results exact = in_f64(0, 0);
  seen.decided_otherwise += exact.decided_otherwise;
  seen.decisions_made += exact.decisions_made;
  std::vector<std::vector<Tensor>> values, gradients;
  for (uint64_t i = 0; i < kDraws; ++i) {
    const Results noisy = in_f64(unit_roundoff(dtype), i);
    values.push_back(noisy.values);
    gradients.push_back(noisy.gradients);
  }
  expect_near(found.values, exact.values, values, dtype, what + ", value ", seen);
  expect_near(found.gradients, exact.gradients, gradients, dtype, what + ", gradient ", seen);
}

void expect_agreement_of_networks(DType dtype) {
  set_setting(&Settings::threads, 1);  // tensors this small only wait for others
  Seen seen;
  for (const int64_t number : case_numbers(kFew, 2)) {
    Draw draw = draw_of("network", number);
    const Network net = network_of(draw);
    expect_agreement(net, dtype, str(name(dtype), ", BOXCAM_CASE=", number, ", ", net.ops, " ops"), seen);
    ++seen.networks;
    seen.ops += net.ops;
  }
  std::cout << name(dtype) << ": " << seen.networks << " networks, " << seen.ops << " ops, at most " << seen.worst
            << " deviations off; " << seen.decided_otherwise << " of " << seen.decisions_made
            << " ReLUs decided otherwise\n";
  // Only what lies within rounding of zero may, and numbers are spread over all of [-1, 1] and more.
  EXPECT_LE(seen.decided_otherwise, 1 + kDeviations * unit_roundoff(dtype) * seen.decisions_made);
}

TEST(PrecisionsAgree, F32) { expect_agreement_of_networks(DType::f32); }
TEST(PrecisionsAgree, Bf16) { expect_agreement_of_networks(DType::bf16); }

}  // namespace
}  // namespace boxcam
