// Cases with random shapes and options: each is a pure function of a seed, a name and a number, so that one that fails
// is repeated alone.
//
//   BOXCAM_CASES=10000   so many in the whole program, in place of the few that every build runs
//   BOXCAM_CASE=17       this one alone, of the test that --gtest_filter picks
//   BOXCAM_SEED=1        other cases
#pragma once

#include <algorithm>
#include <cstdlib>

#include "tests/gradcheck.h"

namespace boxcam {

/// What a case is made of.
class Draw {
 public:
  Draw(uint64_t seed, const std::string& name, int64_t number) : random_(seed, stream_of(str(name, " ", number))) {}

  int64_t integer(int64_t low, int64_t high) { return low + random_.below(high - low + 1); }  ///< both included
  double number(double low, double high) { return random_.uniform(low, high); }
  bool chance(double p = 0.5) { return random_.chance(p); }
  template <class T>
  T one_of(const std::vector<T>& items) {
    return items[random_.below(static_cast<int64_t>(items.size()))];
  }
  uint64_t seed() { return random_.next(); }

  Shape shape(int64_t fewest_axes, int64_t most_axes, int64_t longest = 4) {
    std::vector<int64_t> dims(integer(fewest_axes, most_axes));
    for (int64_t& d : dims) d = integer(1, longest);
    return Shape(dims);
  }
  Tensor tensor(const Shape& shape, double low = -1, double high = 1) {
    return random_tensor(shape, seed(), low, high);
  }
  Tensor index(const Shape& shape, int64_t size) {
    std::vector<int32_t> values(shape.numel());
    for (int32_t& v : values) v = static_cast<int32_t>(random_.below(size));
    return Tensor::from(shape, values);
  }
  Random& random() { return random_; }

 private:
  Random random_;
};

inline int64_t number_in_environment(const char* name, int64_t otherwise) {
  const char* text = std::getenv(name);
  return text ? std::atoll(text) : otherwise;
}

/// Which numbers one of `tests` tests runs, if it is not told otherwise the first `few`.
inline std::vector<int64_t> case_numbers(int64_t few, int64_t tests) {
  if (const int64_t alone = number_in_environment("BOXCAM_CASE", -1); alone >= 0) return {alone};
  const int64_t all = number_in_environment("BOXCAM_CASES", -1);
  std::vector<int64_t> numbers(all < 0 ? few : (all + tests - 1) / tests);
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<int64_t>(i);
  return numbers;
}

inline Draw draw_of(const std::string& name, int64_t number) {
  return {static_cast<uint64_t>(number_in_environment("BOXCAM_SEED", 0)), name, number};
}

/// A function with inputs to differentiate it at.
struct Problem {
  std::string what;
  Function f;
  std::vector<Tensor> inputs;
};

template <class F>
Problem problem(const std::string& what, F f, std::vector<Tensor> inputs) {
  return {what, function(std::move(f)), std::move(inputs)};
}

/// Both derivatives of the problems that `make` draws, one for each number.
///
/// A ReLU or an extreme within a function can lie so near its kink that differences mean nothing: the check says so,
/// and the case goes on to what it draws next. That is rare, and held to be: where a derivative jumps everywhere, it
/// fails.
inline void check_random_derivatives(const std::string& name, const std::vector<int64_t>& numbers,
                                     const std::function<Problem(Draw&)>& make) {
  constexpr int most_draws = 4;
  int64_t redrawn = 0;
  for (const int64_t number : numbers) {
    Draw draw = draw_of(name, number);
    for (int i = 1;; ++i) {
      const Problem problem = make(draw);
      testing::AssertionResult result = check_first_order(problem.f, problem.inputs);
      if (result) result = check_second_order(problem.f, problem.inputs);
      const bool at_a_kink = !result && std::string(result.message()).find("lies at a kink") != std::string::npos;
      if (at_a_kink && i < most_draws) {
        ++redrawn;
        continue;
      }
      EXPECT_TRUE(result) << name << ", " << problem.what << ": BOXCAM_CASE=" << number << " repeats it";
      break;
    }
  }
  EXPECT_LE(redrawn, 1 + static_cast<int64_t>(numbers.size()) / 50) << name << " lies at kinks too often";
}

}  // namespace boxcam
