#include "xai/eigen_cam.h"

#include <cmath>
#include <limits>

namespace boxcam {

namespace {

double trace_of(const std::vector<double>& matrix, int64_t n) {
  double trace = 0;
  for (int64_t i = 0; i < n; ++i) trace += matrix[i * n + i];
  return trace;
}

/// The matrix times itself; it is symmetric, and so is the square, of which one half is computed.
std::vector<double> squared(const std::vector<double>& matrix, int64_t n) {
  std::vector<double> square(matrix.size());
  for (int64_t i = 0; i < n; ++i) {
    double* const to = &square[i * n];
    for (int64_t k = 0; k < n; ++k) {
      const double factor = matrix[i * n + k];
      const double* const row = &matrix[k * n];
      for (int64_t j = i; j < n; ++j) to[j] += factor * row[j];
    }
    for (int64_t j = i + 1; j < n; ++j) square[j * n + i] = to[j];
  }
  return square;
}

/// The projection of one image's X [cells, K], centred here.
std::vector<double> projection_of(const Tensor& X) {
  const int64_t cells = X.dim(0), K = X.dim(1);
  const Tensor centred = X - mean(X, {0}, true);
  const bool by_cells = cells <= K;
  const MatmulSpec gram{.transpose_a = !by_cells, .transpose_b = by_cells};
  std::vector<double> matrix = matmul(centred, centred, gram).to_vector();
  const int64_t n = by_cells ? cells : K;
  const double trace = trace_of(matrix, n);
  // The columns' means are rounded: what varies by no more than that does not vary.
  const double rounding = 4 * (X.dtype() == DType::f64 ? std::numeric_limits<double>::epsilon()
                                                       : double{std::numeric_limits<float>::epsilon()});
  if (trace <= rounding * rounding * sum(X * X).item()) return std::vector<double>(cells);
  if (!std::isfinite(trace)) return std::vector<double>(cells, std::numeric_limits<double>::quiet_NaN());
  const std::vector<double> v = dominant_eigenvector(matrix, n);
  std::vector<double> projection = v;  // X X^T u = sigma^2 u: the projection is sigma u
  if (by_cells) {
    double sigma2 = 0;
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < n; ++j) sigma2 += v[i] * matrix[i * n + j] * v[j];
    for (double& value : projection) value *= std::sqrt(sigma2);
  } else {
    const Tensor column = Tensor::from({K, 1}, v).to(X.dtype()).to(X.device());
    projection = matmul(centred, column).to_vector();
  }
  const std::vector<double> total = sum(centred, {1}).to_vector();
  double product = 0;
  for (int64_t i = 0; i < cells; ++i) product += projection[i] * total[i];
  if (product < 0)
    for (double& value : projection) value = -value;
  return projection;
}

}  // namespace

std::vector<double> dominant_eigenvector(std::vector<double> matrix, int64_t n) {
  const double trace = trace_of(matrix, n);
  check(trace > 0, "dominant_eigenvector: expected a matrix with a positive trace, found ", trace);
  for (double& value : matrix) value /= trace;
  // Each squaring squares the ratio of the second eigenvalue to the first; 60 of them leave a ratio of 1 - 1e-15 no
  // trace. With eigenvalues that sum to 1, of which all but the first sum to e, the trace of the square is
  // 1 - 2 e + 2 e^2 at most: where it is above 0.9, e is below 0.053, and the square's own ratio below 0.0032.
  for (int step = 0; step < 60; ++step) {
    matrix = squared(matrix, n);
    const double left = trace_of(matrix, n);
    for (double& value : matrix) value /= left;
    if (left > 0.9) break;
  }
  int64_t best = 0;  // every column is the vector times one of its entries: the largest is the most exact
  for (int64_t i = 1; i < n; ++i)
    if (matrix[i * n + i] > matrix[best * n + best]) best = i;
  std::vector<double> v(matrix.begin() + best * n, matrix.begin() + (best + 1) * n);
  for (int step = 0; step < 6; ++step) {  // 0.0032^7 < 1e-17
    std::vector<double> next(n);
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < n; ++j) next[j] += v[i] * matrix[i * n + j];  // it is symmetric
    v = std::move(next);
  }
  double norm = 0;
  for (const double value : v) norm += value * value;
  for (double& value : v) value /= std::sqrt(norm);
  return v;
}

Tensor first_projection(const Tensor& X) {
  const int64_t N = X.dim(0), cells = X.dim(1) * X.dim(2);
  std::vector<double> all;
  for (int64_t n = 0; n < N; ++n) {
    const std::vector<double> one = projection_of(reshape(slice(X, 0, n, 1), {cells, X.dim(3)}));
    all.insert(all.end(), one.begin(), one.end());
  }
  return Tensor::from({N, X.dim(1), X.dim(2)}, all).to(X.dtype()).to(X.device());
}

Tensor eigen_cam(const Evidence& e) { return first_projection(e.A()); }

Tensor eigen_grad_cam(const Evidence& e) { return first_projection(e.gradient() * e.A()); }

}  // namespace boxcam
