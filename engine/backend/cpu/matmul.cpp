#include "engine/backend/cpu/onednn.h"
#include "engine/backend/cpu/table.h"
#include "engine/base/parallel.h"
#include "engine/dtype.h"

namespace boxcam::cpu {

namespace {

template <class T>
void plain_matmul(const Tensor& a, const Tensor& b, bool transpose_a, bool transpose_b, Tensor& y) {
  const int64_t m = y.dim(0), n = y.dim(1), k = a.dim(transpose_a ? 0 : 1);
  const T *pa = a.data<T>(), *pb = b.data<T>();
  T* py = y.data<T>();
  parallel_for(m, std::max<int64_t>(1, kGrain / std::max<int64_t>(1, n * k)), [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      for (int64_t j = 0; j < n; ++j) {
        T total = 0;
        for (int64_t l = 0; l < k; ++l)
          total += (transpose_a ? pa[l * m + i] : pa[i * k + l]) * (transpose_b ? pb[j * k + l] : pb[l * n + j]);
        py[i * n + j] = total;
      }
  });
}

#ifdef BOXCAM_HAS_ONEDNN
void fast_matmul(const Tensor& a, const Tensor& b, bool transpose_a, bool transpose_b, Tensor& y) {
  using dnnl::memory;
  const int64_t m = y.dim(0), n = y.dim(1), k = a.dim(transpose_a ? 0 : 1);
  const auto matrix = [](int64_t rows, int64_t columns, bool transposed) {
    return memory::desc({rows, columns}, memory::data_type::f32,
                        transposed ? memory::dims{1, rows} : memory::dims{columns, 1});
  };
  const memory::desc da = matrix(m, k, transpose_a), db = matrix(k, n, transpose_b), dy = matrix(m, n, false);
  onednn_call("a matrix product", [&] {
    dnnl::stream stream(onednn_engine());
    dnnl::matmul(matmul_desc(da, db, dy))
        .execute(stream, {{DNNL_ARG_SRC, onednn_memory(da, a)},
                          {DNNL_ARG_WEIGHTS, onednn_memory(db, b)},
                          {DNNL_ARG_DST, onednn_memory(dy, y)}});
    stream.wait();
  });
}
#endif

}  // namespace

void matmul(const Tensor& a, const Tensor& b, bool transpose_a, bool transpose_b, Tensor& y) {
#ifdef BOXCAM_HAS_ONEDNN
  if (a.dtype() == DType::f32 && y.numel() > 0 && a.numel() > 0) return fast_matmul(a, b, transpose_a, transpose_b, y);
#endif
  visit_floating(a.dtype(), [&](auto zero) { plain_matmul<decltype(zero)>(a, b, transpose_a, transpose_b, y); });
}

}  // namespace boxcam::cpu
