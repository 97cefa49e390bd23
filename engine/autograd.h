// Reverse-mode differentiation. `grad` is the only backward pass; it returns tensors and touches no buffer.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/tensor.h"

namespace boxcam {

/// What a derivative rule may read. A rule captures no tensor with history: ownership goes tensor -> node -> inputs
/// only, and outputs reach the rule through the walk.
struct RuleArgs {
  const std::vector<Tensor>& inputs;
  const std::vector<Tensor>& outputs;     ///< undefined where no consumer kept the output alive
  const std::vector<Tensor>& grads;       ///< gradients of the outputs; undefined means zero
  const std::vector<char>& wanted;        ///< which inputs' gradients will be used
  const std::vector<Tensor>& more_grads;  ///< to be added to `grads`; undefined unless the node adds_gradients
};

/// Returns one gradient for each input, undefined where it is zero or not wanted. Written in public ops, so that
/// running it while gradients are recorded gives the gradient of the gradient.
using Rule = std::function<std::vector<Tensor>(const RuleArgs&)>;

struct Node {
  const char* name = "";
  std::vector<Tensor> inputs;
  Rule rule;
  int num_outputs = 1;
  /// The rule adds two gradients of an output itself, in the pass over memory that it makes anyway. Only where the
  /// result is not differentiated again.
  bool adds_gradients = false;
  ~Node();  // iterative, so that a long graph does not overflow the stack
};

struct GradOptions {
  std::vector<Tensor> seeds = {};  ///< one for each output, of its shape; empty, or undefined where it is ones
  bool create_graph = false;       ///< the result can be differentiated again
};
/// d(sum_i <outputs_i, seeds_i>) / d(inputs): grad({loss}, model.parameters()), grad({y}, {x}, {.create_graph = true}).
/// An input that the outputs do not depend on gets zeros. Throws Error when an input does not require a gradient, and
/// when a seed's shape differs from its output's.
std::vector<Tensor> grad(const std::vector<Tensor>& outputs, const std::vector<Tensor>& inputs,
                         const GradOptions& options = {});

/// The gradients that grad(outputs, inputs) gives. Takes the graph apart on the way: what a rule has used is given up
/// at once, so that a training step never holds all activations and all gradients. The graph cannot be differentiated
/// again: that throws Error.
std::vector<Tensor> grad_and_release(const std::vector<Tensor>& outputs, const std::vector<Tensor>& inputs);

/// Whether ops record their history now (per thread).
bool grad_enabled();

/// Turns recording off (or on) for a scope.
class GradMode {
 public:
  explicit GradMode(bool enabled);
  ~GradMode();
  GradMode(const GradMode&) = delete;
  GradMode& operator=(const GradMode&) = delete;

 private:
  bool before_;
};
struct NoGrad : GradMode {
  NoGrad() : GradMode(false) {}
};

struct RecordOptions {
  bool adds_gradients = false;  ///< see Node; the rule then reads RuleArgs::more_grads
};
/// Used by ops: attaches history to freshly computed outputs when some input requires a gradient.
Tensor record(const char* name, Tensor output, std::vector<Tensor> inputs, Rule rule,
              const RecordOptions& options = {});
std::vector<Tensor> record(const char* name, std::vector<Tensor> outputs, std::vector<Tensor> inputs, Rule rule,
                           const RecordOptions& options = {});

/// A fused op: `outputs` were computed by a kernel from `inputs`; their derivative, to any order, is that of
/// `composite`, the same formula in public ops.
using Composite = std::function<std::vector<Tensor>(const std::vector<Tensor>&)>;
/// `first_order`, if given, is asked first where the result will not be differentiated again; it may return nothing.
std::vector<Tensor> record_composite(const char* name, std::vector<Tensor> outputs, std::vector<Tensor> inputs,
                                     Composite composite, Rule first_order = {});

}  // namespace boxcam
