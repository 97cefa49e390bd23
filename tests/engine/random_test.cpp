#include "engine/base/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace boxcam {
namespace {

using Block = std::array<uint32_t, 4>;

TEST(Philox, KnownAnswers) {  // kat_vectors of Random123
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}), (Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr uint32_t ones = 0xffffffff;
  EXPECT_EQ(philox4x32({ones, ones, ones, ones}, {ones, ones}),
            (Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Random, StreamNumbersAreFnv1a) {
  EXPECT_EQ(stream_of(""), 0xcbf29ce484222325u);
  EXPECT_EQ(stream_of("a"), 0xaf63dc4c8601ec8cu);
  EXPECT_EQ(stream_of("foobar"), 0x85944171f73967e8u);
  EXPECT_NE(stream_of("conv1.weight"), stream_of("conv2.weight"));
}

TEST(Random, WordsComeFromTheDocumentedBlocks) {
  const uint64_t seed = 0x0123456789abcdef, stream = 0xfedcba9876543210;
  Random random(seed, stream);
  for (uint32_t block = 0; block < 3; ++block)
    for (const uint32_t word : philox4x32({block, 0, 0x76543210, 0xfedcba98}, {0x89abcdef, 0x01234567}))
      EXPECT_EQ(random.next(), word);
  EXPECT_EQ(random.position(), 12u);
  EXPECT_EQ(random.seed(), seed);
  EXPECT_EQ(random.stream(), stream);

  Random late(seed, stream, uint64_t{5} << 34);  // the block number needs its high word
  EXPECT_EQ(late.next(), philox4x32({0, 5, 0x76543210, 0xfedcba98}, {0x89abcdef, 0x01234567})[0]);
}

TEST(Random, ResumesFromAPosition) {
  for (const int used : {0, 1, 2, 3, 4, 7, 1000}) {
    Random whole(42, 7);
    for (int i = 0; i < used; ++i) whole.next();
    Random resumed(whole.seed(), whole.stream(), whole.position());
    for (int i = 0; i < 10; ++i) ASSERT_EQ(resumed.normal(), whole.normal()) << used;
  }
}

TEST(Random, UniformAndNormalFollowTheirFormulas) {
  Random words(3), uniform(3), normal(3);
  const double a = words.next() >> 5, b = words.next() >> 6, u = (a * 67108864 + b) / 9007199254740992.0;
  EXPECT_EQ(uniform.uniform(), u);
  const double v = uniform.uniform();
  EXPECT_EQ(normal.normal(), std::sqrt(-2 * std::log(1 - u)) * std::cos(2 * std::acos(-1.0) * v));
  EXPECT_EQ(normal.position(), 4u);
}

TEST(Random, SeedsAndStreamsDiffer) {
  const auto first = [](uint64_t seed, uint64_t stream) {
    Random random(seed, stream);
    return std::vector{random.next(), random.next()};
  };
  EXPECT_EQ(first(1, 2), first(1, 2));
  EXPECT_NE(first(1, 2), first(2, 1));
  EXPECT_NE(first(0, 1), first(0, 0));
  EXPECT_NE(first(uint64_t{1} << 32, 0), first(0, 0));
  EXPECT_NE(first(0, uint64_t{1} << 32), first(0, 0));
}

/// Mean, variance, skewness and kurtosis of n draws.
template <class Draw>
std::array<double, 4> moments(int n, Draw draw) {
  std::vector<double> values(n);
  for (double& v : values) v = draw();
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  std::array<double, 4> m{mean, 0, 0, 0};
  for (const double v : values)
    for (int power = 2; power <= 4; ++power) m[power - 1] += std::pow(v - mean, power) / n;
  m[2] /= std::pow(m[1], 1.5);
  m[3] /= m[1] * m[1];
  return m;
}

TEST(Random, Moments) {  // tolerances: five standard errors
  constexpr int n = 200'000;
  const double root = std::sqrt(double{n});
  Random random(11);
  const auto uniform = moments(n, [&] { return random.uniform(); });
  EXPECT_NEAR(uniform[0], 0.5, 5 * 0.289 / root);
  EXPECT_NEAR(uniform[1], 1 / 12.0, 5 * 0.0745 / root);
  EXPECT_NEAR(uniform[3], 1.8, 0.02);
  const auto normal = moments(n, [&] { return random.normal(); });
  EXPECT_NEAR(normal[0], 0, 5 / root);
  EXPECT_NEAR(normal[1], 1, 5 * std::sqrt(2.0) / root);
  EXPECT_NEAR(normal[2], 0, 5 * std::sqrt(6.0) / root);
  EXPECT_NEAR(normal[3], 3, 5 * std::sqrt(24.0) / root);
  int hits = 0;
  for (int i = 0; i < n; ++i) hits += random.chance(0.3);
  EXPECT_NEAR(hits, 0.3 * n, 5 * std::sqrt(0.21 * n));
}

TEST(Random, BelowIsEvenAndStaysInRange) {
  Random random(5);
  std::vector<int> counts(7, 0);
  for (int i = 0; i < 70'000; ++i) {
    const int64_t v = random.below(7);
    ASSERT_TRUE(v >= 0 && v < 7);
    ++counts[v];
  }
  for (const int c : counts) EXPECT_NEAR(c, 10'000, 5 * std::sqrt(10'000 * 6 / 7.0));
  for (int i = 0; i < 100; ++i) EXPECT_EQ(random.below(1), 0);
  for (int i = 0; i < 1000; ++i) {
    const double v = random.uniform(-2, 3);
    ASSERT_TRUE(v >= -2 && v < 3);
  }
}

TEST(Random, ShuffleIsAPermutationThatDependsOnTheSeedAlone) {
  const auto shuffled = [](uint64_t seed) {
    std::vector<int> items(100);
    std::iota(items.begin(), items.end(), 0);
    Random random(seed);
    shuffle(items, random);
    return items;
  };
  EXPECT_EQ(shuffled(1), shuffled(1));
  EXPECT_NE(shuffled(1), shuffled(2));
  std::vector<int> sorted = shuffled(1);
  EXPECT_FALSE(std::is_sorted(sorted.begin(), sorted.end()));
  std::sort(sorted.begin(), sorted.end());
  for (int i = 0; i < 100; ++i) EXPECT_EQ(sorted[i], i);

  std::vector<int> nothing;
  Random random(1);
  shuffle(nothing, random);
  EXPECT_EQ(random.position(), 0u);
}

}  // namespace
}  // namespace boxcam
