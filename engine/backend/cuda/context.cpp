#include "engine/backend/cuda/context.h"

namespace boxcam::cuda {

std::string libraries() {
  int runtime = 0;
  cudaRuntimeGetVersion(&runtime);
  const size_t cudnn = cudnnGetVersion();
  return str(runtime / 1000, ".", runtime % 1000 / 10, ", cuDNN ", cudnn / 10000, ".", cudnn % 10000 / 100, ".",
             cudnn % 100);
}

void check_call(cudaError_t status, const char* call) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // is told once
  fail("CUDA: ", call, " failed: ", cudaGetErrorString(status), " (", cudaGetErrorName(status), ")");
}

void check_call(cublasStatus_t status, const char* call) {
  check(status == CUBLAS_STATUS_SUCCESS, "cuBLAS: ", call, " failed: ", cublasGetStatusString(status));
}

void check_call(cudnnStatus_t status, const char* call) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  char details[512] = "";
  cudnnGetLastErrorString(details, sizeof details);
  fail("cuDNN: ", call, " failed: ", cudnnGetErrorString(status), details[0] ? "; " : "", details);
}

namespace {

Context* make_context() {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  check(status == cudaSuccess && count > 0, "the device cuda was asked for, but no driver or GPU was found: ",
        status == cudaSuccess ? "the driver shows no GPU" : cudaGetErrorString(status), " (CUDA ", libraries(), ")");
  int device = 0;
  cudaDeviceProp properties;
  BOXCAM_CUDA(cudaGetDevice(&device));
  BOXCAM_CUDA(cudaGetDeviceProperties(&properties, device));
  const std::string name = str(properties.name, ", compute capability ", properties.major, ".", properties.minor);
  check(properties.major * 10 + properties.minor >= 75, "boxcam needs a GPU of compute capability 7.5 or more, found ",
        name);

  auto* c = new Context;
  c->name = name;
  c->has_bf16 = properties.major >= 8;
  BOXCAM_CUDA(cudaStreamCreateWithFlags(&c->stream, cudaStreamNonBlocking));
  BOXCAM_CUDA(cudaHostAlloc(reinterpret_cast<void**>(&c->index_report), sizeof(IndexReport), cudaHostAllocMapped));
  *c->index_report = {};
  BOXCAM_CUBLAS(cublasCreate(&c->cublas));
  BOXCAM_CUBLAS(cublasSetStream(c->cublas, c->stream));
  BOXCAM_CUDNN(cudnnCreate(&c->cudnn));
  BOXCAM_CUDNN(cudnnSetStream(c->cudnn, c->stream));
  return c;
}

}  // namespace

const Context& context() {
  static const Context* made = make_context();
  return *made;
}

}  // namespace boxcam::cuda
