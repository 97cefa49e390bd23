// How a tensor looks: operator<<.
#include <algorithm>
#include <cstdio>
#include <ostream>

#include "engine/tensor.h"

namespace boxcam {

namespace {

constexpr int64_t kWhole = 1000, kEdge = 3;  // elements that are all shown; otherwise this many at both ends of an axis
constexpr size_t kLineWidth = 100;

std::string number_text(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

class Picture {
 public:
  explicit Picture(const Tensor& t) : shape_(t.shape()), values_(t.to_vector()) {
    each_shown(0, 0, [&](int64_t at) { width_ = std::max(width_, number_text(values_[at]).size()); });
  }

  /// What lies below element `at` of the axes before `axis`; the text goes on in the column `indent`.
  std::string text(int axis, int64_t at, size_t indent) const {
    if (axis == shape_.ndim()) {
      const std::string number = number_text(values_[at]);
      return std::string(width_ - number.size(), ' ').append(number);
    }
    const bool row = axis + 1 == shape_.ndim();
    const std::string margin(indent + 1, ' ');
    std::string result = "[";
    size_t line = indent + 1;
    bool first = true;
    for (const int64_t i : shown(axis)) {
      const std::string part = i < 0 ? "..." : text(axis + 1, at * shape_[axis] + i, indent + 1);
      if (!first) result += ",";
      if (!first && !row) {
        for (int k = axis + 1; k < shape_.ndim(); ++k) result += '\n';  // blank lines between matrices
        result += margin;
      } else if (!first && line + part.size() + 2 > kLineWidth) {
        result += '\n';
        result += margin;
        line = indent + 1;
      } else if (!first) {
        result += " ";
      }
      result += part;
      line += part.size() + 2;
      first = false;
    }
    return result + "]";
  }

 private:
  /// The positions along an axis, -1 for those left out.
  std::vector<int64_t> shown(int axis) const {
    const int64_t extent = shape_[axis];
    const bool whole = shape_.numel() <= kWhole || extent <= 2 * kEdge;
    std::vector<int64_t> list;
    for (int64_t i = 0; i < (whole ? extent : kEdge); ++i) list.push_back(i);
    if (whole) return list;
    list.push_back(-1);
    for (int64_t i = extent - kEdge; i < extent; ++i) list.push_back(i);
    return list;
  }
  template <class F>
  void each_shown(int axis, int64_t at, const F& f) const {
    if (axis == shape_.ndim()) return f(at);
    for (const int64_t i : shown(axis))
      if (i >= 0) each_shown(axis + 1, at * shape_[axis] + i, f);
  }

  Shape shape_;
  std::vector<double> values_;
  size_t width_ = 0;
};

}  // namespace

std::ostream& operator<<(std::ostream& out, const Tensor& t) {
  if (!t.defined()) return out << "tensor(undefined)";
  constexpr const char* begin = "tensor(";
  out << begin;
  if (t.numel() == 0)
    out << "[]";
  else
    out << Picture(t).text(0, 0, std::char_traits<char>::length(begin));
  out << ", " << t.dtype() << " " << t.shape();
  if (t.device() != Device::cpu) out << ", " << name(t.device());
  return out << ")";
}

}  // namespace boxcam
