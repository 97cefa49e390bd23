// Sentences where memory ends: each allocation of a `str` fails in turn.
#include "engine/base/check.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

namespace {
int left = -1;  // allocations until one fails; below 0 none does
}

// Not inlined: GCC would see malloc and delete meet.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  void* const memory = left == 0 ? nullptr : std::malloc(bytes);
  if (left >= 0) --left;
  if (!memory) throw std::bad_alloc();
  return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace boxcam {
namespace {

TEST(Str, IsWholeOrThrowsWhereMemoryEnds) {
  const std::string word(300, 'w'), expected = word + " 7 " + word;
  int refused = 0;
  for (bool whole = false; !whole; ++refused) {
    ASSERT_LT(refused, 100);
    std::string text;
    left = refused;
    try {
      text = str(word, " ", 7, " ", word);
      whole = true;
    } catch (const std::bad_alloc&) {
    }
    left = -1;
    if (whole) {
      EXPECT_EQ(text, expected);
    }
  }
  EXPECT_GE(refused, 3);
}

}  // namespace
}  // namespace boxcam
