// A case for every entry of the kernel table, for whatever table and device: backends_agree_test and cuda_twins_test.
// The CPU's f64 loops are the definition. Outputs are filled with NaN before the call ("every kernel assigns").
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <set>

#include "engine/backend/backend.h"
#include "engine/base/random.h"

namespace boxcam {

using Tensors = std::vector<Tensor>;

/// Where a case runs. Inputs hold values that bf16 represents: all devices and dtypes compute with the same numbers.
struct Place {
  const Kernels& kernels;
  Device device;
  DType dtype;

  Tensor in(const Shape& shape, uint64_t seed, double low = -1, double high = 1) const {
    Random random(seed);
    std::vector<float> values(shape.numel());
    for (float& v : values) v = bfloat16(static_cast<float>(random.uniform(low, high)));
    return Tensor::from(shape, values).to(dtype).clone().to(device);
  }
  /// The place of parameters and statistics beside activations of this dtype.
  Place parameters() const { return {kernels, device, dtype == DType::bf16 ? DType::f32 : dtype}; }
  /// Zeros and ones.
  Tensor mask(const Shape& shape, uint64_t seed) const {
    Random random(seed);
    std::vector<float> values(shape.numel());
    for (float& v : values) v = random.below(2) ? 1.f : 0.f;
    return Tensor::from(shape, values).to(dtype).clone().to(device);
  }
  Tensor index(const Shape& shape, std::vector<int32_t> values) const { return Tensor::from(shape, values).to(device); }
  Tensor out(const Shape& shape) const {
    return Tensor::full(shape, std::numeric_limits<double>::quiet_NaN(), dtype).to(device);
  }
  Tensor index_out(const Shape& shape) const { return Tensor::full(shape, -1, DType::i32).to(device); }
};

struct Case {
  std::string kernel;
  size_t slot;  ///< position in struct Kernels
  std::function<Tensors(const Place&)> run;

  /// Whether the kernel takes activations in bf16.
  bool takes_bf16() const {
    static const std::set<std::string> kernels = {"unary",
                                                  "binary",
                                                  "affine",
                                                  "scale_shift",
                                                  "take_at",
                                                  "put_at",
                                                  "conv2d",
                                                  "conv2d_bias",
                                                  "conv2d_input_grad",
                                                  "conv2d_weight_grad",
                                                  "batch_norm_statistics",
                                                  "batch_norm",
                                                  "batch_norm_grad",
                                                  "max_pool2d"};
    return kernels.contains(kernel);
  }
};

/// A case can call its own kernel only: it is handed the pointer.
template <class Pointer, class Body>
Case make_case(const char* kernel, Pointer Kernels::*member, Body body) {
  const Kernels& table = cpu_kernels();
  const auto offset = reinterpret_cast<const char*>(&(table.*member)) - reinterpret_cast<const char*>(&table);
  return {kernel, static_cast<size_t>(offset) / sizeof(void (*)()),
          [=](const Place& at) { return body(at.kernels.*member, at); }};
}

/// Numbers of channels: one that fits no vector, and one that fits all.
inline const std::vector<int64_t> channel_counts = {17, 16};

struct Conv {
  Shape x, w, y;
  Conv2dSpec spec;
};
inline const std::vector<Conv>& convolutions() {
  static const std::vector<Conv> list = {{{2, 9, 7, 3}, {5, 3, 3, 3}, {2, 9, 7, 5}, {1, 1}},
                                         {{1, 9, 8, 17}, {4, 3, 3, 17}, {1, 5, 4, 4}, {2, 1}},
                                         {{2, 14, 19, 64}, {64, 3, 3, 64}, {2, 14, 19, 64}, {1, 1}},
                                         {{2, 7, 7, 64}, {17, 1, 1, 64}, {2, 4, 4, 17}, {2, 0}},
                                         {{2, 7, 7, 3}, {8, 1, 1, 3}, {2, 4, 4, 8}, {2, 0}},
                                         {{2, 6, 5, 16}, {9, 1, 1, 16}, {2, 6, 5, 9}, {1, 0}},
                                         {{1, 15, 13, 3}, {16, 7, 7, 3}, {1, 8, 7, 16}, {2, 3}},
                                         {{1, 9, 9, 4}, {6, 3, 3, 2}, {1, 7, 7, 6}, {1, 1, 2, 2}}};
  return list;
}

inline std::vector<Case> all_cases() {
  std::vector<Case> cases;
  const auto add = [&](const char* kernel, auto member, auto body) {
    cases.push_back(make_case(kernel, member, body));
  };

  add("unary", &Kernels::unary, [](auto kernel, const Place& at) {
    Tensors results;
    for (const UnaryOp op : {UnaryOp::exp, UnaryOp::log, UnaryOp::sqrt, UnaryOp::abs, UnaryOp::relu}) {
      const double low = op == UnaryOp::log || op == UnaryOp::sqrt ? 0.1 : -2;
      kernel(op, at.in({3, 17, 5}, 1, low, 2), results.emplace_back(at.out({3, 17, 5})));
    }
    return results;
  });
  add("binary", &Kernels::binary, [](auto kernel, const Place& at) {
    Tensors results;
    for (const BinaryOp op :
         {BinaryOp::add, BinaryOp::sub, BinaryOp::mul, BinaryOp::div, BinaryOp::greater, BinaryOp::relu_grad})
      for (const auto& [a, b, y] : std::vector<std::tuple<Shape, Shape, Shape>>{{{3, 17, 5}, {3, 17, 5}, {3, 17, 5}},
                                                                                {{3, 1, 5}, {17, 1}, {3, 17, 5}},
                                                                                {{}, {7, 3}, {7, 3}},
                                                                                {{2, 5, 64}, {64}, {2, 5, 64}},
                                                                                {{}, {}, {}}})
        kernel(op, at.in(a, 2, 0.5, 2), at.in(b, 3, 0.5, 2), results.emplace_back(at.out(y)));
    return results;
  });
  add("cast", &Kernels::cast, [](auto kernel, const Place& at) {
    Tensors results;
    const Tensor x = at.in({5, 33}, 55, -2, 2);
    for (const DType dtype : {DType::f32, DType::f64, DType::bf16, DType::i32}) {
      Tensor y = Tensor::full({5, 33}, 7, dtype).to(at.device);
      kernel(x, y);
      Tensor back = Tensor::full({5, 33}, 7, at.dtype).to(at.device);
      kernel(y, back);
      results.insert(results.end(), {y, back});
    }
    return results;
  });
  add("affine", &Kernels::affine, [](auto kernel, const Place& at) {
    Tensor y = at.out({5, 33});
    kernel(at.in({5, 33}, 4), -1.75, 0.375, y);
    return Tensors{y};
  });
  add("scale_shift", &Kernels::scale_shift, [](auto kernel, const Place& at) {
    Tensors results;
    for (const int64_t count : channel_counts) {
      const Shape shape{2, 3, 5, count};
      for (const bool with_relu : {false, true})
        for (const bool with_residual : {false, true})
          kernel(at.in(shape, 5), at.parameters().in({count}, 6), at.parameters().in({count}, 7),
                 with_residual ? at.in(shape, 8) : Tensor{}, with_relu, results.emplace_back(at.out(shape)));
    }
    return results;
  });
  add("sum", &Kernels::sum, [](auto kernel, const Place& at) {
    Tensors results;
    for (const auto& [outer, length, inner] : std::vector<std::tuple<int64_t, int64_t, int64_t>>{
             {1, 5000, 1}, {33, 7, 1}, {1, 301, 17}, {3, 64, 5}, {2, 1, 3}})
      kernel(at.in({outer, length, inner}, 9, 0, 1), outer, length, inner,
             results.emplace_back(at.out({outer, inner})));
    return results;
  });
  add("argmax", &Kernels::argmax, [](auto kernel, const Place& at) {
    Tensors results;
    for (const bool minimum : {false, true}) {
      kernel(at.in({5, 1001}, 10), minimum, results.emplace_back(at.index_out({5, 1})));
      Tensor equal = Tensor::full({3, 4}, 2, at.dtype).to(at.device);  // the first one wins
      kernel(equal, minimum, results.emplace_back(at.index_out({3, 1})));
    }
    return results;
  });
  add("take_at", &Kernels::take_at, [](auto kernel, const Place& at) {
    Tensor y = at.out({2, 3});
    kernel(at.in({2, 5}, 11), at.index({2, 3}, {4, 0, 4, 1, 1, 3}), y);
    return Tensors{y};
  });
  add("put_at", &Kernels::put_at, [](auto kernel, const Place& at) {
    Tensor y = at.out({2, 5});
    kernel(at.in({2, 3}, 12), at.index({2, 3}, {4, 0, 4, 1, 1, 1}), y);
    return Tensors{y};
  });
  add("copy_range", &Kernels::copy_range, [](auto kernel, const Place& at) {
    Tensor cut = at.out({3, 2, 4}), padded = at.out({3, 8, 4});
    kernel(at.in({3, 5, 4}, 13), 2, cut, 0, 3, 5, 2, 2, 4);
    kernel(at.in({3, 5, 4}, 14), 0, padded, 1, 3, 5, 8, 5, 4);
    return Tensors{cut, padded};
  });
  add("matmul", &Kernels::matmul, [](auto kernel, const Place& at) {
    Tensors results;
    for (const bool ta : {false, true})
      for (const bool tb : {false, true}) {
        kernel(at.in(ta ? Shape{65, 17} : Shape{17, 65}, 15), at.in(tb ? Shape{5, 65} : Shape{65, 5}, 16), ta, tb,
               results.emplace_back(at.out({17, 5})));
        kernel(at.in(ta ? Shape{3, 1} : Shape{1, 3}, 17), at.in(tb ? Shape{1, 3} : Shape{3, 1}, 18), ta, tb,
               results.emplace_back(at.out({1, 1})));
      }
    return results;
  });
  add("conv2d", &Kernels::conv2d, [](auto kernel, const Place& at) {
    Tensors results;
    for (const Conv& c : convolutions())
      kernel(at.in(c.x, 19), at.parameters().in(c.w, 20), c.spec, results.emplace_back(at.out(c.y)));
    return results;
  });
  add("conv2d_bias", &Kernels::conv2d_bias, [](auto kernel, const Place& at) {
    Tensors results;
    const Tensor none;
    for (const Conv& c : convolutions())
      for (const bool with_relu : {false, true})
        for (const Tensor& residual : {none, at.in(c.y, 57)})
          kernel(at.in(c.x, 19), at.parameters().in(c.w, 20), c.spec, at.parameters().in({c.w[0]}, 56), residual,
                 with_relu, results.emplace_back(at.out(c.y)));
    for (const Conv& c : convolutions()) {
      Tensor y = results.emplace_back(at.in(c.y, 58));  // the residual and the result
      kernel(at.in(c.x, 19), at.parameters().in(c.w, 20), c.spec, at.parameters().in({c.w[0]}, 56), y, true, y);
    }
    return results;
  });
  add("conv2d_input_grad", &Kernels::conv2d_input_grad, [](auto kernel, const Place& at) {
    Tensors results;
    for (const Conv& c : convolutions())
      kernel(at.in(c.y, 21), at.parameters().in(c.w, 20), c.spec, results.emplace_back(at.out(c.x)));
    return results;
  });
  add("conv2d_weight_grad", &Kernels::conv2d_weight_grad, [](auto kernel, const Place& at) {
    Tensors results;
    for (const Conv& c : convolutions())
      kernel(at.in(c.x, 19), at.in(c.y, 21), c.spec, results.emplace_back(at.parameters().out(c.w)));
    return results;
  });

  add("batch_norm_statistics", &Kernels::batch_norm_statistics, [](auto kernel, const Place& at) {
    Tensors results;
    for (const int64_t count : channel_counts) {
      Tensor mean = at.parameters().out({count}), variance = at.parameters().out({count});
      kernel(at.in({3, 7, 5, count}, 22, 3, 5), mean, variance);
      results.insert(results.end(), {mean, variance});
    }
    return results;
  });
  add("batch_norm", &Kernels::batch_norm, [](auto kernel, const Place& at) {
    Tensors results;
    const Place p = at.parameters();
    for (const int64_t count : channel_counts) {
      const Shape shape{3, 7, 5, count}, channels{count};
      const Tensor x = at.in(shape, 23), gamma = p.in(channels, 24), beta = p.in(channels, 25);
      const Tensor mean = p.in(channels, 26), invstd = p.in(channels, 27, 0.5, 2), none, residual = at.in(shape, 28);
      for (const bool with_relu : {false, true})
        for (const Tensor& added : {none, residual})
          kernel({x, gamma, beta, mean, invstd, added, with_relu}, results.emplace_back(at.out(shape)));
    }
    return results;
  });
  add("batch_norm_grad", &Kernels::batch_norm_grad, [](auto kernel, const Place& at) {
    Tensors results;
    const Place p = at.parameters();
    for (const int64_t count : channel_counts) {
      const Shape shape{3, 7, 5, count}, channels{count};
      const Tensor x = at.in(shape, 29), gamma = p.in(channels, 30), beta = p.in(channels, 31), g = at.in(shape, 32);
      const Tensor mean = p.in(channels, 33), invstd = p.in(channels, 34, 0.5, 2), none, y = at.in(shape, 35);
      for (const bool with_relu : {false, true})
        for (const bool with_residual : {false, true})
          for (const Tensor& more_g : {none, at.in(shape, 54)}) {
            Tensor gx = at.out(shape), ggamma = p.out(channels), gbeta = p.out(channels);
            Tensor g_residual = with_residual ? at.out(shape) : Tensor{};
            // Without a residual, y is not there: x tells what the ReLU let through.
            kernel({x, gamma, beta, mean, invstd, with_residual ? y : none, with_relu}, with_residual ? y : none, g,
                   more_g, gx, ggamma, gbeta, g_residual);
            results.insert(results.end(), {gx, ggamma, gbeta});
            if (with_residual) results.push_back(g_residual);
          }
    }
    return results;
  });
  add("running_statistics", &Kernels::running_statistics, [](auto kernel, const Place& at) {
    const Shape channels{17};
    Tensor mean = at.in(channels, 105), variance = at.in(channels, 106, 0.5, 2);
    kernel(at.in(channels, 107), at.in(channels, 108, 0.5, 2), 0.1, 0.125, mean, variance);
    return Tensors{mean, variance};
  });
  add("max_pool2d", &Kernels::max_pool2d, [](auto kernel, const Place& at) {
    Tensors results;
    struct Pool {
      Shape x, y;
      Pool2dSpec spec;
    };
    for (const Pool& p : {Pool{{2, 9, 7, 17}, {2, 5, 4, 17}, {3, 2, 1}}, Pool{{2, 9, 7, 16}, {2, 5, 4, 16}, {3, 2, 1}},
                          Pool{{1, 6, 7, 3}, {1, 3, 3, 3}, {3, 2, 0, true}}}) {
      Tensor y = at.out(p.y), index = at.index_out(p.y);
      kernel(at.in(p.x, 36), p.spec, y, index);
      results.insert(results.end(), {y, index});
      Tensor tied = at.out(p.y), first = at.index_out(p.y);
      kernel(Tensor::full(p.x, -1, at.dtype).to(at.device), p.spec, tied, first);
      results.insert(results.end(), {tied, first});
    }
    return results;
  });
  add("cross_entropies", &Kernels::cross_entropies, [](auto kernel, const Place& at) {
    Tensors results;
    kernel(at.in({5, 4}, 100, -3, 3), at.index({5}, {0, 3, 1, 2, 3}), results.emplace_back(at.out({5})));
    kernel(at.in({3, 1000}, 101, 80, 100), at.index({3}, {0, 999, 500}), results.emplace_back(at.out({3})));
    kernel(at.in({2, 1}, 102), at.index({2}, {0, 0}), results.emplace_back(at.out({2})));
    return results;
  });
  add("cross_entropies_grad", &Kernels::cross_entropies_grad, [](auto kernel, const Place& at) {
    Tensors results;
    kernel(at.in({5}, 103), at.in({5, 4}, 100, -3, 3), at.index({5}, {0, 3, 1, 2, 3}),
           results.emplace_back(at.out({5, 4})));
    kernel(at.in({3}, 104), at.in({3, 1000}, 101, 80, 100), at.index({3}, {0, 999, 500}),
           results.emplace_back(at.out({3, 1000})));
    return results;
  });
  add("bilinear_resize", &Kernels::bilinear_resize, [](auto kernel, const Place& at) {
    Tensors results;
    kernel(at.in({3, 7, 5}, 37), results.emplace_back(at.out({3, 31, 24})));
    kernel(at.in({2, 9, 11}, 38), results.emplace_back(at.out({2, 4, 3})));
    return results;
  });
  add("bilinear_resize_adjoint", &Kernels::bilinear_resize_adjoint, [](auto kernel, const Place& at) {
    Tensors results;
    kernel(at.in({3, 31, 24}, 39), results.emplace_back(at.out({3, 7, 5})));
    kernel(at.in({2, 4, 3}, 40), results.emplace_back(at.out({2, 9, 11})));
    return results;
  });
  add("area_resize", &Kernels::area_resize, [](auto kernel, const Place& at) {
    Tensors results;
    kernel(at.in({3, 31, 24}, 110), results.emplace_back(at.out({3, 7, 5})));
    kernel(at.in({2, 4, 3}, 111), results.emplace_back(at.out({2, 9, 11})));
    return results;
  });
  add("area_resize_adjoint", &Kernels::area_resize_adjoint, [](auto kernel, const Place& at) {
    Tensors results;
    kernel(at.in({3, 7, 5}, 112), results.emplace_back(at.out({3, 31, 24})));
    kernel(at.in({2, 9, 11}, 113), results.emplace_back(at.out({2, 4, 3})));
    return results;
  });
  add("cam_box", &Kernels::cam_box, [](auto kernel, const Place& at) {
    Tensors results;
    struct Cam {
      int64_t h, w, channels, rows, columns;
    };
    for (const Cam& c : {Cam{7, 5, 33, 31, 24}, Cam{3, 3, 5, 3, 2}, Cam{1, 1, 3, 4, 4}, Cam{9, 8, 100, 20, 33}})
      for (const bool constant : {false, true}) {
        const Shape maps{3, c.h, c.w}, cams{3, c.rows, c.columns};
        const Tensor A = at.in({3, c.h, c.w, c.channels}, 48, 0, 1), alpha = at.in({3, c.channels}, 49);
        const Tensor mask = at.mask(cams, 50);
        Tensor map = at.out(maps), cam = at.out(cams), penalty = at.out({3}), map_grad = at.out(maps),
               alpha_grad = at.out({3, c.channels});
        kernel({A, alpha, mask, constant}, {map, cam, penalty, map_grad, alpha_grad});
        results.insert(results.end(), {map, cam, penalty, map_grad, alpha_grad});
      }
    return results;
  });
  add("cam_box_grad", &Kernels::cam_box_grad, [](auto kernel, const Place& at) {
    Tensors results;
    for (const int64_t count : channel_counts)
      kernel(at.in({3}, 51), at.in({3, 5, 4}, 52), at.in({3, count}, 53),
             results.emplace_back(at.out({3, 5, 4, count})));
    return results;
  });
  // Parameters of several sizes, one of them empty.
  const std::vector<Shape> sizes = {{333}, {2, 3}, {0}, {1}, {40, 50}};
  const auto some = [=](const Place& at, uint64_t seed, double low = -1, double high = 1) {
    Tensors list;
    for (const Shape& size : sizes) list.push_back(at.in(size, seed++, low, high));
    return list;
  };
  const auto join = [](std::initializer_list<Tensors> lists) {
    Tensors all;
    for (const Tensors& list : lists) all.insert(all.end(), list.begin(), list.end());
    return all;
  };
  add("sgd_step", &Kernels::sgd_step, [=](auto kernel, const Place& at) {
    Tensors results;
    for (const bool nesterov : {false, true})
      for (const bool first : {false, true}) {
        Tensors p = some(at, 60), g = some(at, 70), momentum = some(at, 80);
        if (first)
          for (size_t k = 0; k < sizes.size(); ++k) momentum[k] = at.out(sizes[k]);
        kernel({p, g, momentum, {}}, {0.1, 0.9, 0.01, nesterov, first});
        results = join({results, p, momentum});
      }
    return results;
  });
  add("adamw_step", &Kernels::adamw_step, [=](auto kernel, const Place& at) {
    Tensors p = some(at, 60), g = some(at, 70), m = some(at, 80), v = some(at, 90, 0.1, 1);
    kernel({p, g, m, v}, {0.1, 0.9, 0.999, 1e-8, 0.01, 3});
    return join({p, m, v});
  });
  return cases;
}

/// Indices exactly; floating point relative to the largest value: f64 by rounding in another order, f32 by 1e-5, what
/// sums of some 600 terms may lose with a margin of ten, bf16 by two roundings, 2^-7; in bf16 cases results
/// in f32 as in f32.
/// `rounded`: those too are rounded to bf16.
inline void expect_agreement(const Tensors& found, const Tensors& expected, DType dtype, const std::string& what,
                             bool rounded = false) {
  ASSERT_EQ(found.size(), expected.size()) << what;
  for (size_t k = 0; k < found.size(); ++k) {
    const std::vector<double> a = found[k].to(Device::cpu).to_vector(), b = expected[k].to_vector();
    ASSERT_EQ(a.size(), b.size()) << what;
    double largest = 0;
    for (const double v : b) largest = std::max(largest, std::abs(v));
    const bool exact = found[k].dtype() == DType::i32;
    const bool rough = dtype == DType::bf16 && (rounded || found[k].dtype() == DType::bf16);
    const double allowed = exact ? 0 : largest * (dtype == DType::f64 ? 1e-12 : rough ? 1.0 / 128 : 1e-5);
    for (size_t i = 0; i < a.size(); ++i)
      ASSERT_TRUE(std::abs(a[i] - b[i]) <= allowed)  // false for NaN
          << what << ", output " << k << " " << found[k].shape() << ", element " << i << ": " << a[i] << ", expected "
          << b[i];
  }
}

}  // namespace boxcam
