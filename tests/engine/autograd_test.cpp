// The backward pass itself: which graph it walks, what it returns, what it leaves behind.
#include "engine/autograd.h"

#include <gtest/gtest.h>

#include <thread>

#include "engine/memory.h"
#include "engine/settings.h"
#include "tests/gradcheck.h"

namespace boxcam {
namespace {

using Values = std::vector<double>;
using In = const std::vector<Tensor>&;

Tensor leaf(const Values& values) {
  return Tensor::from({static_cast<int64_t>(values.size())}, values).set_requires_grad();
}

TEST(Grad, AddsUpOverSharedSubexpressions) {
  const Tensor x = leaf({2, 3});
  const Tensor s = x * x, y = s * s + s + x;  // x^4 + x^2 + x
  EXPECT_EQ(grad({y}, {x})[0].to_vector(), (Values{4 * 8 + 4 + 1, 4 * 27 + 6 + 1}));
}

TEST(Grad, WalksALadderOfSharingInLinearTime) {
  const Tensor x = leaf({1});
  Tensor y = x;
  for (int i = 0; i < 60; ++i) y = y + y;  // 2^60 paths
  EXPECT_EQ(grad({y}, {x})[0].item(), std::ldexp(1.0, 60));
}

TEST(Grad, GivesZerosForWhatIsNotUsed) {
  const Tensor x = leaf({1, 2}), unused = Tensor::zeros({2, 3}).set_requires_grad();
  const std::vector<Tensor> g = grad({x * 3.0}, {unused, x});
  EXPECT_EQ(g[0].shape(), (Shape{2, 3}));
  EXPECT_EQ(g[0].dtype(), DType::f32);
  EXPECT_EQ(g[0].to_vector(), Values(6, 0.0));
  EXPECT_EQ(g[1].to_vector(), (Values{3, 3}));
  EXPECT_EQ(grad({x.detach() * x.detach()}, {x})[0].to_vector(), (Values{0, 0}));
}

TEST(Grad, RefusesAnInputThatRequiresNoGradient) {
  const Tensor x = leaf({1, 2}), forgotten = Tensor::zeros({2, 3});
  const auto message_of = [](const auto& call) -> std::string {
    try {
      call();
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  const std::string refusal = "grad: input 1 [2, 3] does not require a gradient (set_requires_grad)";
  EXPECT_EQ(message_of([&] { grad({x * 3.0}, {x, forgotten}); }), refusal);
  EXPECT_EQ(message_of([&] { grad_and_release({x * 3.0}, {x, forgotten}); }), refusal);
  EXPECT_EQ(message_of([&] { grad({x}, {Tensor{}}); }), "grad: input 0 is undefined");
}

TEST(Grad, IntermediateResultsAreTargetsToo) {
  const Tensor x = leaf({2, 3});
  const Tensor a = x * x, b = a * 5.0, y = b * a;  // y = 5 a^2
  const std::vector<Tensor> g = grad({y}, {a, b, x, y});
  EXPECT_EQ(g[0].to_vector(), (Values{10 * 4, 10 * 9}));
  EXPECT_EQ(g[1].to_vector(), (Values{4, 9}));
  EXPECT_EQ(g[2].to_vector(), (Values{20 * 8, 20 * 27}));
  EXPECT_EQ(g[3].to_vector(), (Values{1, 1}));
}

TEST(Grad, TheSameTargetMayBeAskedForTwice) {
  const Tensor x = leaf({2});
  const std::vector<Tensor> g = grad({x * x}, {x, x});
  EXPECT_EQ(g[0].item(), 4);
  EXPECT_EQ(g[1].item(), 4);
}

TEST(Grad, StopsAtTheTargets) {
  // Only nodes between outputs and targets are visited: what lies below them need not be differentiable.
  const Tensor x = leaf({2});
  const Tensor middle = record("broken", x * 1.0, {x},
                               [](const RuleArgs&) -> std::vector<Tensor> { fail("a rule below the target was run"); });
  EXPECT_EQ(grad({middle * 7.0}, {middle})[0].item(), 7);
}

TEST(Grad, SeedsWeightTheOutputs) {
  const Tensor x = leaf({2, 3});
  const Tensor a = x * 2.0, b = x * x;
  const Tensor seed = Tensor::from({2}, Values{10, 100});
  EXPECT_EQ(grad({a, b}, {x}, {.seeds = {seed, {}}})[0].to_vector(), (Values{2 * 10 + 4, 2 * 100 + 6}));
  EXPECT_EQ(grad({a, a}, {x}, {.seeds = {seed, seed}})[0].to_vector(), (Values{40, 400}));
}

TEST(Grad, AWrongSeedIsASentence) {
  const Tensor x = leaf({2, 3});
  try {
    grad({x * 2.0}, {x}, {.seeds = {Tensor::zeros({3}, DType::f64)}});
    FAIL() << "a seed of another shape was accepted";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("[3]"), std::string::npos) << e.what();
    EXPECT_NE(std::string(e.what()).find("[2]"), std::string::npos) << e.what();
  }
  EXPECT_THROW(grad({x * 2.0}, {x}, {.seeds = {{}, {}}}), Error);
}

TEST(Grad, WithoutCreateGraphThereIsNoHistory) {
  const Tensor x = leaf({2}), seed = leaf({3});
  const auto product = [&] { return grad({x * x}, {x}, {.seeds = {seed}}); };
  EXPECT_FALSE(product()[0].requires_grad());
  EXPECT_TRUE(grad({x * x}, {x}, {.seeds = {seed}, .create_graph = true})[0].requires_grad());
  // Rules that hand the seed through must not hand its history through.
  EXPECT_FALSE(grad({x + 1.0}, {x}, {.seeds = {seed}})[0].requires_grad());
  EXPECT_FALSE(grad({x}, {x}, {.seeds = {seed}})[0].requires_grad());
}

TEST(Grad, ThirdOrder) {
  set_setting(&Settings::threads, 1);  // tiny tensors: a second thread only costs
  const Tensor x = leaf({1.5});
  Tensor d = x * x * x * x * x;
  for (int order = 0; order < 3; ++order) d = grad({d}, {x}, {.create_graph = true})[0];
  EXPECT_NEAR(d.item(), 60 * 1.5 * 1.5, 1e-12);

  // A convolution, batch norm with ReLU and softmax, three times, against differences of the second order.
  const auto f = function([](In in) {
    const Tensor y = batch_norm_train(conv2d(in[0], in[1], {1, 1}), Tensor::full({2}, 1, DType::f64),
                                      Tensor::zeros({2}, DType::f64), 0.1, true);
    return softmax(global_avg_pool(y));
  });
  const std::vector<Tensor> x0 = {random_tensor({2, 2, 2, 1}, 1), random_tensor({2, 2, 2, 1}, 2)};
  std::vector<Tensor> all = x0;
  for (const Tensor& seed : random_seeds(f, x0)) all.push_back(seed);
  EXPECT_TRUE(check_second_order(gradient_of(f, x0.size()), all));
  set_setting(&Settings::threads, 0);
}

TEST(Grad, OneInputMayDependOnAnother) {
  const std::vector<Tensor> x = {random_tensor({2, 2, 2, 2}, 3)};
  const auto channel = [](const Tensor& t) { return mean(t, {0, 1, 2}); };
  const auto in_the_gradient =
      function([&](In in) { return batch_norm_train_grad(in[0], channel(exp(in[0])), in[0] * in[0], 0.1); });
  EXPECT_TRUE(check_first_order(in_the_gradient, x));
  EXPECT_TRUE(check_second_order(in_the_gradient, x));
  const auto in_the_norm = function(
      [&](In in) { return batch_norm_train(in[0], channel(exp(in[0])), channel(in[0]), 0.1, false, in[0] * in[0]); });
  EXPECT_TRUE(check_first_order(in_the_norm, x));
  EXPECT_TRUE(check_second_order(in_the_norm, x));
  const auto the_same_tensor =
      function([](In in) { return batch_norm_train_grad(in[0], Tensor::full({2}, 1, DType::f64), in[0], 0.1); });
  EXPECT_TRUE(check_first_order(the_same_tensor, x));
  EXPECT_TRUE(check_second_order(the_same_tensor, x));
}

TEST(Grad, AFusedOpHasTheDerivativeOfItsComposite) {
  const auto cube = [](const Tensor& x, const Tensor& scale) {
    Tensor value;
    {
      const NoGrad no_grad;
      value = x * x * x * scale;
    }
    return record_composite("cube", {value, value * 2.0}, {x, scale}, [](In in) {
      const Tensor y = in[0] * in[0] * in[0] * in[1];
      return std::vector{y, y * 2.0};
    });
  };
  const auto both = function([&](In in) { return cube(in[0], in[1]); });
  const auto second_only = function([&](In in) { return cube(in[0], in[1])[1]; });
  const auto dependent = function([&](In in) { return cube(in[0], exp(in[0])); });
  const std::vector<Tensor> x = {random_tensor({3}, 4), random_tensor({3}, 5)};
  for (const Function& f : {both, second_only, dependent}) {
    EXPECT_TRUE(check_first_order(f, x));
    EXPECT_TRUE(check_second_order(f, x));
  }
}

TEST(Grad, PartsOfSeveralOutputsAreEnough) {
  const Tensor x = random_tensor({1, 2, 2, 1}, 6).set_requires_grad();
  const Tensor gamma = Tensor::full({1}, 2, DType::f64), g = random_tensor({1, 2, 2, 1}, 7);
  const std::vector<Tensor> all = batch_norm_train_grad(x, gamma, g, 0.1);
  const auto zero = [](const Tensor& t) { return Tensor::zeros(t.shape(), DType::f64); };
  const Values alone = grad({all[1]}, {x})[0].to_vector();
  const Values with_zeros = grad(all, {x}, {.seeds = {zero(all[0]), {}, zero(all[2])}})[0].to_vector();
  for (size_t i = 0; i < alone.size(); ++i) EXPECT_NEAR(alone[i], with_zeros[i], 1e-12);
}

// ---- recording ------------------------------------------------------------------------------------------------------

TEST(Recording, FollowsItsInputs) {
  const Tensor constant = Tensor::full({2}, 3, DType::f64), x = leaf({1, 2});
  EXPECT_FALSE((constant * 2.0).requires_grad());
  EXPECT_TRUE((constant * x).requires_grad());
  EXPECT_FALSE((constant * x.detach()).requires_grad());
  EXPECT_THROW((constant * x).set_requires_grad(), Error);
}

TEST(Recording, NoGradEndsWithItsScopeAlsoByAnException) {
  const Tensor x = leaf({1});
  try {
    const NoGrad no_grad;
    EXPECT_FALSE(grad_enabled());
    EXPECT_FALSE((x * x).requires_grad());
    {
      const GradMode on(true);
      EXPECT_TRUE((x * x).requires_grad());
    }
    EXPECT_FALSE(grad_enabled());
    fail("out");
  } catch (const Error&) {
  }
  EXPECT_TRUE(grad_enabled());
}

TEST(Recording, IsAMatterOfTheThread) {
  const NoGrad no_grad;
  bool in_thread = false;
  std::thread([&] { in_thread = grad_enabled(); }).join();
  EXPECT_TRUE(in_thread);
  EXPECT_FALSE(grad_enabled());
}

TEST(Recording, AResultThatIsItsInputKeepsBothHistories) {
  const Tensor x = leaf({2, 3});
  const Tensor same = broadcast_to(x, {2}), pieces = slice(x, 0, 0, 2);
  EXPECT_EQ(grad({same * 2.0}, {x})[0].to_vector(), (Values{2, 2}));
  EXPECT_EQ(grad({pieces * 2.0}, {x})[0].to_vector(), (Values{2, 2}));
  EXPECT_EQ(x.node(), nullptr);
}

// ---- memory ---------------------------------------------------------------------------------------------------------

TEST(Memory, ALongChainIsDestroyedWithoutRecursion) {
  constexpr int length = 200'000;
  const Tensor x = leaf({1});
  {
    Tensor y = x;
    for (int i = 0; i < length; ++i) y = y + 1.0;
    EXPECT_EQ(grad({y}, {x})[0].item(), 1);
  }
  {
    Tensor y = x;  // each node owned through two inputs
    for (int i = 0; i < length; ++i) y = (y + y) * 0.5;
    EXPECT_EQ(y.item(), 1);
  }
  {
    Tensor a = x, b = x;  // nodes with two outputs, both of them used
    for (int i = 0; i < length; ++i) {
      const auto pair = record("pair", {a.detach(), b.detach()}, {a, b}, [](const RuleArgs& r) { return r.grads; });
      a = pair[0], b = pair[1];
    }
    EXPECT_EQ(grad({a}, {x})[0].item(), 1);
  }
  {
    Tensor y = x;  // and the graph of a gradient
    for (int i = 0; i < length / 4; ++i) y = y * x;
    const Tensor g = grad({y}, {x}, {.create_graph = true})[0];
    EXPECT_EQ(g.item(), length / 4 + 1);
  }
}

TEST(Memory, GraphsLeaveNothingBehind) {
  const Tensor x = random_tensor({2, 4, 4, 2}, 8).set_requires_grad();
  const Tensor w = random_tensor({2, 3, 3, 2}, 9).set_requires_grad();
  const Tensor gamma = Tensor::full({2}, 1, DType::f64).set_requires_grad();
  const Tensor beta = Tensor::zeros({2}, DType::f64).set_requires_grad();
  const auto labels = Tensor::from({2}, std::vector<int32_t>{0, 1});
  const auto step = [&] {
    BatchStatistics statistics;
    const Tensor y = batch_norm_train(conv2d(x, w, {1, 1}), gamma, beta, 1e-5, true, x, &statistics);
    const Tensor pooled = global_avg_pool(max_pool2d(y, {2, 2, 0}));
    const Tensor cam = bilinear_resize(relu(sum(y * grad({pooled}, {y}, {.create_graph = true})[0], {3})), 8, 8);
    const Tensor loss = cross_entropy(pooled, labels) + sum(cam * cam);
    const std::vector<Tensor> first = grad({loss}, {x, w, gamma, beta}, {.create_graph = true});
    return grad({sum(first[0] * first[0]) + sum(first[1] * first[1])}, {x, w, gamma, beta});
  };
  step();
  const size_t before = memory_use().now;
  for (int i = 0; i < 3; ++i) step();
  EXPECT_EQ(memory_use().now, before);
}

TEST(Memory, AnExceptionInARuleLeavesNothingBehind) {
  const Tensor x = leaf({2});
  const size_t before = memory_use().now;
  {
    const Tensor y = record("broken", x * 1.0, {x}, [](const RuleArgs&) -> std::vector<Tensor> { fail("broken"); });
    EXPECT_THROW(grad({y * y}, {x}, {.create_graph = true}), Error);
    EXPECT_TRUE(grad_enabled());
  }
  EXPECT_EQ(memory_use().now, before);
}

TEST(Memory, PeakIsCounted) {
  const size_t before = memory_use().now;
  reset_peak_memory();
  { const Tensor t = Tensor::empty({1000, 1000}, DType::f64); }
  EXPECT_EQ(memory_use().now, before);
  EXPECT_EQ(memory_use().peak, before + 8'000'000);
  reset_peak_memory();
  EXPECT_EQ(memory_use().peak, before);
}

TEST(Memory, BlocksThatComeAndGoDoNotOverlapAndTakeNothingNew) {
  struct Block {
    Tensor tensor;
    uint8_t mark;
  };
  const auto intact = [](const Block& b) {
    const uint8_t* bytes = b.tensor.data<uint8_t>();
    return std::all_of(bytes, bytes + b.tensor.numel(), [&](uint8_t v) { return v == b.mark; });
  };
  const auto work = [&] {
    Random random(7);
    std::vector<Block> blocks;
    for (int i = 0; i < 2000; ++i) {
      if (blocks.size() == 24 || (!blocks.empty() && random.uniform(0, 1) < 0.4)) {
        const size_t k = static_cast<size_t>(random.uniform(0, 1) * static_cast<double>(blocks.size()));
        ASSERT_TRUE(intact(blocks[k]));
        blocks.erase(blocks.begin() + static_cast<std::ptrdiff_t>(k));
      }
      const auto mark = static_cast<uint8_t>(i);
      const auto size = static_cast<int64_t>(std::exp(random.uniform(std::log(1e3), std::log(4e6))));
      blocks.push_back({Tensor::full({size}, mark, DType::u8), mark});
      ASSERT_EQ(reinterpret_cast<uintptr_t>(blocks.back().tensor.raw_data()) % 64, 0u);
    }
    for (const Block& b : blocks) ASSERT_TRUE(intact(b));
  };
  work();
  const size_t before = memory_use().reserved;
  for (int i = 0; i < 3; ++i) work();
  EXPECT_EQ(memory_use().reserved, before);
}

TEST(Memory, MoreThanThereIsEndsInASentence) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the sanitizer itself ends the program when so much is asked for";
#endif
  const size_t before = memory_use().now;
  try {
    Tensor::empty({int64_t{1} << 46}, DType::u8);
    FAIL() << "64 TiB were to be had";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("a smaller batch or image size"), std::string::npos) << e.what();
  }
  EXPECT_EQ(memory_use().now, before);
  EXPECT_EQ(Tensor::full({1 << 20}, 1, DType::u8).to_vector().back(), 1);
}

TEST(Autograd, GradAndReleaseGivesTheSameAndHoldsLess) {
  const auto use_of = [](auto differentiate) {
    const Tensor w = Tensor::full({64, 64}, 0.01).set_requires_grad();
    Tensor y = Tensor::full({64, 64}, 1);
    for (int i = 0; i < 20; ++i) y = relu(matmul(y, w) + 0.1);
    const Tensor loss = sum(y);
    y = {};
    const std::vector<double> g = differentiate(loss, w)[0].to_vector();
    return std::pair{memory_use().now, g};
  };
  const auto kept = use_of([](const Tensor& loss, const Tensor& w) { return grad({loss}, {w}); });
  const auto released = use_of([](const Tensor& loss, const Tensor& w) { return grad_and_release({loss}, {w}); });
  EXPECT_EQ(released.second, kept.second);
  EXPECT_LE(released.first + 40 * 64 * 64 * 4, kept.first);  // 20 products, 20 sums and 20 ReLUs, all but a few
}

TEST(Autograd, AReleasedGraphIsNotDifferentiatedAgain) {
  const Tensor x = Tensor::full({3}, 2).set_requires_grad();
  const Tensor y = sum(exp(x * x));
  grad_and_release({y}, {x});
  EXPECT_THROW(grad({y}, {x}), Error);
}

TEST(Autograd, GradAndReleaseOfAnInnerTensor) {
  const Tensor x = Tensor::full({3}, 2).set_requires_grad();
  const Tensor inner = x * x;
  EXPECT_EQ(grad_and_release({sum(inner * 3.0)}, {inner, x})[1].to_vector(), (std::vector<double>{12, 12, 12}));
}

}  // namespace
}  // namespace boxcam
