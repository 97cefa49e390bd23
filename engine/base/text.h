// Small text helpers for messages: lists, and the nearest known words to a mistyped one.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace boxcam {

/// The words of `known` nearest to `word`, nearest first, at most `most`. Distance is the number of single-letter
/// edits, ignoring case; a word that begins with the other counts as one edit. The nearest word is always given (when
/// there is one at all); others only while they are near enough to be meant.
std::vector<std::string> nearest(const std::string& word, const std::vector<std::string>& known, size_t most = 3);

/// The end of a message about an unknown word: "; did you mean 'a', 'b' or 'c'?"
std::string did_you_mean(const std::string& word, const std::vector<std::string>& known);

/// "a, b, c"
std::string join(const std::vector<std::string>& words, const std::string& separator = ", ");

/// The word as a POSIX shell reads it back: quoted where it holds more than letters, digits and -_./:,=+@%.
std::string shell_word(const std::string& word);

/// ASCII lower case.
std::string lower(std::string text);

}  // namespace boxcam
