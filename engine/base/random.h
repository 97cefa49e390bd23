// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
// A generator's whole state is integers, so it can be stored, resumed, and repeated in any language.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace boxcam {

/// One Philox4x32-10 block: 128 bits of counter and 64 bits of key give 128 random bits.
std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

/// FNV-1a, 64 bit: turns a name into a stream number.
uint64_t stream_of(std::string_view name);

/// A stream of random numbers, a pure function of (seed, stream, position). Block b of a stream is
/// philox4x32({lo(b), hi(b), lo(stream), hi(stream)}, {lo(seed), hi(seed)}); its four words are used in order.
class Random {
 public:
  explicit Random(uint64_t seed, uint64_t stream = 0, uint64_t position = 0)
      : seed_(seed), stream_(stream), position_(position) {}

  uint32_t next();   ///< 32 random bits
  double uniform();  ///< [0, 1), 53 bits: ((a >> 5) * 2^26 + (b >> 6)) / 2^53 of two words a, b
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  int64_t below(int64_t n);  ///< an integer in [0, n): floor(uniform() * n)
  double normal();           ///< standard normal, Box-Muller, two uniforms each
  bool chance(double p) { return uniform() < p; }

  uint64_t seed() const { return seed_; }
  uint64_t stream() const { return stream_; }
  uint64_t position() const { return position_; }  ///< words used so far

 private:
  uint64_t seed_, stream_, position_;
  uint64_t block_index_ = ~uint64_t{0};
  std::array<uint32_t, 4> block_{};
};

/// A permutation of 0..n-1 (Fisher-Yates from the end) for shuffling; the same on every machine.
template <class Container>
void shuffle(Container& items, Random& random) {
  for (int64_t i = static_cast<int64_t>(items.size()) - 1; i > 0; --i) {
    using std::swap;
    swap(items[i], items[random.below(i + 1)]);
  }
}

}  // namespace boxcam
