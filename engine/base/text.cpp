#include "engine/base/text.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <numeric>

namespace boxcam {
namespace {

// Levenshtein distance, one row of the table at a time.
size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substituted = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row.back();
}

// Longer ones are no mistyped words, and comparing them takes time by the square.
constexpr size_t longest_word = 200;

size_t distance(const std::string& word, const std::string& known) {
  const size_t longer = std::max(word.size(), known.size());
  const size_t edits = longer > longest_word ? longer : edit_distance(word, known);
  const bool prefix = !word.empty() && (known.starts_with(word) || word.starts_with(known));
  return prefix ? std::min<size_t>(edits, 1) : edits;
}

}  // namespace

std::vector<std::string> nearest(const std::string& word, const std::vector<std::string>& known, size_t most) {
  const std::string wanted = lower(word);
  std::vector<std::pair<size_t, size_t>> order;  // distance, position: equal distances keep the given order
  for (size_t i = 0; i < known.size(); ++i) order.emplace_back(distance(wanted, lower(known[i])), i);
  std::sort(order.begin(), order.end());

  const size_t near_enough = std::max<size_t>(2, word.size() / 2);
  std::vector<std::string> found;
  for (const auto& [edits, i] : order)
    if (found.size() < most && (found.empty() || edits <= near_enough)) found.push_back(known[i]);
  return found;
}

std::string join(const std::vector<std::string>& words, const std::string& separator) {
  std::string text;
  for (size_t i = 0; i < words.size(); ++i) text += (i == 0 ? "" : separator) + words[i];
  return text;
}

std::string shell_word(const std::string& word) {
  const auto plain = [](unsigned char c) { return std::isalnum(c) || std::strchr("-_./:,=+@%", c) != nullptr; };
  if (!word.empty() && std::all_of(word.begin(), word.end(), plain)) return word;
  std::string quoted(1, '\'');
  for (const char c : word)
    if (c == '\'')
      quoted += "'\\''";
    else
      quoted += c;
  quoted += '\'';
  return quoted;
}

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

std::string did_you_mean(const std::string& word, const std::vector<std::string>& known) {
  const std::vector<std::string> near = nearest(word, known);
  std::string text = near.empty() ? "" : "; did you mean ";
  for (size_t i = 0; i < near.size(); ++i)
    text += (i == 0 ? "'" : i + 1 == near.size() ? " or '" : ", '") + near[i] + "'" + (i + 1 == near.size() ? "?" : "");
  return text;
}

}  // namespace boxcam
