// The one CUDA device a process uses: its stream, the libraries' handles, and how their errors become sentences.
#pragma once

#include <cublas_v2.h>
#include <cuda_runtime.h>
#include <cudnn.h>

#include "engine/backend/cuda/host_device.h"

namespace boxcam::cuda {

void check_call(cudaError_t status, const char* call);
void check_call(cublasStatus_t status, const char* call);
void check_call(cudnnStatus_t status, const char* call);

/// Each throws Error with the failing call and what the library says.
#define BOXCAM_CUDA(call) ::boxcam::cuda::check_call(cudaError_t{call}, #call)
#define BOXCAM_CUBLAS(call) ::boxcam::cuda::check_call(cublasStatus_t{call}, #call)
#define BOXCAM_CUDNN(call) ::boxcam::cuda::check_call(cudnnStatus_t{call}, #call)

struct Context {
  cudaStream_t stream = nullptr;
  IndexReport* index_report = nullptr;  ///< in host memory that the device writes to
  cublasHandle_t cublas = nullptr;
  cudnnHandle_t cudnn = nullptr;
  std::string name;  ///< of the card, with its compute capability
  bool has_bf16 = false;
};

/// Made by the first call; never freed, because tensors with static storage may outlive everything. Throws Error when
/// there is no driver, no card, or one below compute capability 7.5.
const Context& context();

std::string libraries();  ///< "13.0, cuDNN 9.19.0": the versions at hand, also where there is no device

}  // namespace boxcam::cuda
