#include "engine/backend/cuda/cudnn.h"

#include <algorithm>

namespace boxcam::cuda {

namespace {

constexpr size_t kLargestWorkspace = size_t{1} << 30;  // bytes: an engine that wants more may not fit a smaller card

// What a tensor is called in a plan.
constexpr int64_t kX = 'x', kW = 'w', kY = 'y';

/// A tensor [a, b, c, d] that is dense with d innermost; cuDNN counts the extents in the order a, d, b, c.
Descriptor tensor(int64_t name, const Shape& s, DType dtype) {
  Descriptor t(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  t.set(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE,
        dtype == DType::bf16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT);
  t.set(CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, std::array{s[0], s[3], s[1], s[2]});
  t.set(CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, std::array{s[1] * s[2] * s[3], int64_t{1}, s[2] * s[3], s[3]});
  t.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, name);
  t.set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, int64_t{16});  // blocks of memory.cu are aligned to more
  t.finalize();
  return t;
}

/// Names of the attributes of one kind's operation.
struct OperationNames {
  cudnnBackendDescriptorType_t type;
  cudnnBackendAttributeName_t convolution, x, w, y, alpha, beta;
};
OperationNames names(ConvKind kind) {
  switch (kind) {
    case ConvKind::forward:
      return {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA};
    case ConvKind::input_grad:
      return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA};
    case ConvKind::weight_grad: break;
  }
  return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA};
}

Descriptor graph(const ConvProblem& p) {
  Descriptor convolution(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
  const auto both = [&](cudnnBackendAttributeName_t name, int64_t value) {
    convolution.set(name, CUDNN_TYPE_INT64, std::array{value, value});
  };
  convolution.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, CUDNN_DATA_FLOAT);
  convolution.set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, CUDNN_CROSS_CORRELATION);
  convolution.set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, int64_t{2});
  both(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, p.spec.padding);
  both(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, p.spec.padding);
  both(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, p.spec.stride);
  both(CUDNN_ATTR_CONVOLUTION_DILATIONS, p.spec.dilation);
  convolution.finalize();

  const OperationNames n = names(p.kind);
  Descriptor operation(n.type);
  operation.set(n.convolution, convolution);
  operation.set(n.x, tensor(kX, p.x, p.dtype));
  operation.set(n.w, tensor(kW, p.w, p.dtype));
  operation.set(n.y, tensor(kY, p.y, p.dtype));
  operation.set(n.alpha, CUDNN_TYPE_FLOAT, 1.f);
  operation.set(n.beta, CUDNN_TYPE_FLOAT, 0.f);
  operation.finalize();

  Descriptor result(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  result.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, context().cudnn);
  result.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, operation);
  result.finalize();
  return result;
}

/// What cuDNN proposes, best first; nothing where it has no engine.
std::vector<Descriptor> configurations(const Descriptor& graph, cudnnBackendHeurMode_t mode) {
  Descriptor heuristic(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
  heuristic.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
  heuristic.set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, mode);
  std::vector<Descriptor> configs;
  if (heuristic.try_finalize() != CUDNN_STATUS_SUCCESS) return configs;
  std::array<cudnnBackendDescriptor_t, 64> handles;
  for (auto& handle : handles) handle = configs.emplace_back(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR).handle();
  const int64_t count = heuristic.get(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, handles);
  configs.erase(configs.begin() + std::min<int64_t>(count, handles.size()), configs.end());
  return configs;
}

Descriptor engine_of(const Descriptor& config) {
  Descriptor engine(CUDNN_BACKEND_ENGINE_DESCRIPTOR);
  std::array handle{engine.handle()};
  config.get(CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, handle);
  return engine;
}

bool acceptable(const Descriptor& config, const ConvProblem& p) {
  std::array<cudnnBackendNumericalNote_t, CUDNN_NUMERICAL_NOTE_TYPE_COUNT> notes;
  const int64_t count = engine_of(config).get(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE, notes);
  const bool exact = p.dtype == DType::f32 && !p.tf32;
  return std::none_of(notes.begin(), notes.begin() + count, [exact](cudnnBackendNumericalNote_t note) {
    switch (note) {
      case CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC:
      case CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION: return true;
      case CUDNN_NUMERICAL_NOTE_TENSOR_CORE:  // for f32 that is TF32
      case CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS: return exact;
      default: return false;
    }
  });
}

}  // namespace

ConvPlan::ConvPlan(const Descriptor& config, cudnnStatus_t& status) : plan_(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR) {
  plan_.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, context().cudnn);
  plan_.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config);
  status = plan_.try_finalize();
  if (status != CUDNN_STATUS_SUCCESS) return;
  std::array<int64_t, 1> number{};
  plan_.get(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, number);
  workspace_ = number[0];
  engine_of(config).get(CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, number);
  engine_ = number[0];
}

void ConvPlan::execute(const void* x, const void* w, const void* y, void* workspace) const {
  Descriptor pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
  pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, std::array{kX, kW, kY});
  pack.set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, std::array{x, w, y});
  pack.set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, workspace);
  pack.finalize();
  BOXCAM_CUDNN(cudnnBackendExecute(context().cudnn, plan_.handle(), pack.handle()));
}

std::vector<ConvPlan> conv_plans(const ConvProblem& problem, size_t wanted) {
  const Descriptor operations = graph(problem);
  std::vector<ConvPlan> plans;
  cudnnStatus_t trouble = CUDNN_STATUS_SUCCESS;
  for (const auto mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK})
    for (const Descriptor& config : configurations(operations, mode)) {
      if (plans.size() == wanted) return plans;
      if (!acceptable(config, problem)) continue;
      cudnnStatus_t status;
      ConvPlan plan(config, status);
      if (status != CUDNN_STATUS_SUCCESS) {
        const bool unsupported = status / 1000 == CUDNN_STATUS_NOT_SUPPORTED / 1000;  // 3000; from 3001 on it says why
        if (!unsupported) trouble = status;
      } else if (plan.workspace_bytes() <= kLargestWorkspace) {
        plans.push_back(std::move(plan));
      }
    }
  if (plans.empty()) BOXCAM_CUDNN(trouble);
  return plans;
}

}  // namespace boxcam::cuda
