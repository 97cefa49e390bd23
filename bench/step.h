// The step that others are measured against: cross-entropy, without a CAM.
#pragma once

#include <string>
#include <vector>

#include "bench/machine.h"
#include "models/resnet.h"
#include "nn/optim.h"

namespace boxcam::bench {

inline constexpr int64_t kClasses = 4;

/// Forward, cross-entropy, gradients, SGD with momentum; train mode, activations f32 or bf16.
class CrossEntropyStep {
 public:
  CrossEntropyStep(const std::string& name, int64_t batch, int64_t size, DType activations = DType::f32)
      : model(resnet_config(name), kClasses),
        x(uniform({batch, size, size, 3}, -2, 2)),
        labels_(some_labels(batch, kClasses)),
        optimizer_(only_parameters(model.named_tensors()), {}) {
    model.set_activation_dtype(activations);
  }

  void operator()() {
    const auto gradients = [&] {  // the graph is gone before the optimiser writes
      const Forward f = model.forward(x, ForwardOptions::training());
      return grad_and_release({cross_entropy(f.logits, labels_)}, model.parameters());
    }();
    optimizer_.step(gradients, 0.01);
  }

  ResNet model;
  Tensor x;

 private:
  Tensor labels_;
  Optimizer optimizer_;
};

}  // namespace boxcam::bench
