// Eigen-CAM (Muhammad and Yeasin, IJCNN 2020) and Eigen-Grad-CAM: a map's first principal component.
#pragma once

#include "xai/explainers.h"

namespace boxcam {

/// [N, h, w]: of each image X [h w, K], whose columns lose their means over the cells, the projection X v on the first
/// right singular vector v. Found through the smaller of X X^T and X^T X, in f64. A singular vector has no sign: this
/// one gets the sign with which the projection's product with sum_k X_k is not negative, so that where the channels
/// together are strong the map is positive. Zero where X has no variation, such as in a single cell.
Tensor first_projection(const Tensor& X);

Tensor eigen_cam(const Evidence& e);       ///< of A: it knows neither class nor score
Tensor eigen_grad_cam(const Evidence& e);  ///< of g A

/// The unit eigenvector of the largest eigenvalue of a symmetric positive semidefinite matrix, row-major [n, n], which
/// is squared until nothing but that eigenvalue is left. Where others are equal to it, a vector of their space. Throws
/// Error for a matrix whose trace is not positive.
std::vector<double> dominant_eigenvector(std::vector<double> matrix, int64_t n);

}  // namespace boxcam
