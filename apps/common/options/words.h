// The words of options whose value is a choice: one table for each enum, which parsing, help, run.json and the
// walkthrough read.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "engine/base/check.h"

namespace boxcam {

/// In the order of the help.
template <class T>
using Words = std::vector<std::pair<std::string, T>>;

/// Of an enum that is the value of an option.
template <class E>
const Words<E>& words_of();

template <class T>
const std::string& word_in(const Words<T>& words, const T& value) {
  for (const auto& [word, meaning] : words)
    if (meaning == value) return word;
  fail("a value has no word");
}

template <class E>
const std::string& word_of(E value) {
  return word_in(words_of<E>(), value);
}

}  // namespace boxcam
