#include "engine/backend/cuda/matmul.h"

#include "engine/backend/cuda/launch.h"
#include "engine/backend/cuda/table.h"
#include "engine/settings.h"

namespace boxcam::cuda {

namespace {

/// cuBLAS reads matrices by columns: a row-major matrix is its transpose, so y = a b is computed as y^T = b^T a^T.
void cublas_matmul(const Tensor& a, const Tensor& b, bool transpose_a, bool transpose_b, Tensor& y) {
  const auto small = [&](int64_t extent) {
    check(extent <= INT32_MAX, "matmul: the device cuda takes extents up to 2^31 - 1, found ", a.shape(), " and ",
          b.shape());
    return static_cast<int>(extent);
  };
  const int m = small(y.dim(0)), n = small(y.dim(1)), k = small(a.dim(transpose_a ? 0 : 1));
  const float one = 1, zero = 0;
  const cublasHandle_t handle = context().cublas;
  // The default computes f32 in f32; CudaDevice.Tf32IsOffUntilItIsAllowed looks.
  BOXCAM_CUBLAS(cublasSetMathMode(handle, settings().allow_tf32 ? CUBLAS_TF32_TENSOR_OP_MATH : CUBLAS_DEFAULT_MATH));
  BOXCAM_CUBLAS(cublasSgemm(handle, transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N, transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N, n,
                            m, k, &one, pointer<float>(b), small(b.dim(1)), pointer<float>(a), small(a.dim(1)), &zero,
                            pointer<float>(y), n));
}

}  // namespace

void matmul(const Tensor& a, const Tensor& b, bool transpose_a, bool transpose_b, Tensor& y) {
  if (a.dtype() == DType::f32 && y.numel() > 0 && a.numel() > 0)
    cublas_matmul(a, b, transpose_a, transpose_b, y);
  else
    plain_matmul(Launch{}, a, b, transpose_a, transpose_b, y);
}

void add_matmul(Kernels& table) { table.matmul = matmul; }

}  // namespace boxcam::cuda
