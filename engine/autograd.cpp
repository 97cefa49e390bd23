#include "engine/autograd.h"

#include <algorithm>
#include <unordered_map>

#include "engine/graph_access.h"
#include "engine/ops.h"

namespace boxcam {

namespace {

thread_local bool recording = true;

/// What a gradient belongs to: an output of a node, or a leaf.
struct Key {
  const void* owner;
  int index;
  bool operator==(const Key&) const = default;
};
struct KeyHash {
  size_t operator()(const Key& k) const { return std::hash<const void*>()(k.owner) * 31 + size_t(k.index); }
};
Key key_of(const Tensor& t) { return t.node() ? Key{t.node().get(), t.output_index()} : Key{t.id(), 0}; }

/// The part of the graph below `outputs`: nodes, inputs before users, and whether each leads to a target.
struct Walk {
  std::vector<Node*> order;
  std::unordered_map<const Node*, bool> leads_to_target;
  std::unordered_map<const Node*, std::vector<Tensor>> outputs;  // as seen by their users

  void see(const Tensor& t) {
    if (!t.node()) return;
    auto& list = outputs[t.node().get()];
    list.resize(t.node()->num_outputs);
    list[t.output_index()] = t;
  }
};

template <class IsTarget>
Walk walk_from(const std::vector<Tensor>& outputs, IsTarget is_target) {
  Walk walk;
  struct Frame {
    Node* node;
    size_t next_input = 0;
  };
  std::vector<Frame> stack;
  const auto enter = [&](const Tensor& t) {
    check(!t.node() || t.node()->rule, "grad: the graph of a ", t.node() ? t.node()->name : "",
          " is gone: grad_and_release took it apart");
    walk.see(t);
    if (t.node() && walk.leads_to_target.emplace(t.node().get(), false).second) stack.push_back({t.node().get()});
  };
  for (const Tensor& output : outputs) {
    enter(output);
    while (!stack.empty()) {
      Frame& frame = stack.back();
      if (frame.next_input < frame.node->inputs.size()) {
        enter(frame.node->inputs[frame.next_input++]);
        continue;
      }
      bool leads = false;
      for (const Tensor& input : frame.node->inputs)
        leads = leads || is_target(input) || (input.node() && walk.leads_to_target[input.node().get()]);
      walk.leads_to_target[frame.node] = leads;
      walk.order.push_back(frame.node);
      stack.pop_back();
    }
  }
  return walk;
}

}  // namespace

Node::~Node() {
  std::vector<Tensor> pending = std::move(inputs);
  while (!pending.empty()) {
    Tensor t = std::move(pending.back());
    pending.pop_back();
    // If this handle is the last owner of its node, take the node's inputs before the node goes.
    if (t.node() && GraphAccess::sole_owner(t) && t.node().use_count() == 1) {
      for (Tensor& input : t.node()->inputs) pending.push_back(std::move(input));
      t.node()->inputs.clear();
    }
  }
}

bool grad_enabled() { return recording; }
GradMode::GradMode(bool enabled) : before_(recording) { recording = enabled; }
GradMode::~GradMode() { recording = before_; }

std::vector<Tensor> record(const char* name, std::vector<Tensor> outputs, std::vector<Tensor> inputs, Rule rule,
                           const RecordOptions& options) {
  const bool needed =
      recording && std::any_of(inputs.begin(), inputs.end(), [](const Tensor& t) { return t.requires_grad(); });
  if (!needed) return outputs;
  auto node = std::make_shared<Node>();
  node->name = name;
  node->inputs = std::move(inputs);
  node->rule = std::move(rule);
  node->num_outputs = static_cast<int>(outputs.size());
  node->adds_gradients = options.adds_gradients;
  for (int i = 0; i < node->num_outputs; ++i) GraphAccess::attach(outputs[i], node, i);
  return outputs;
}

Tensor record(const char* name, Tensor output, std::vector<Tensor> inputs, Rule rule, const RecordOptions& options) {
  std::vector<Tensor> outputs;
  outputs.push_back(std::move(output));
  return record(name, std::move(outputs), std::move(inputs), std::move(rule), options)[0];
}

std::vector<Tensor> record_composite(const char* name, std::vector<Tensor> outputs, std::vector<Tensor> inputs,
                                     Composite composite, Rule first_order) {
  Rule rule = [composite = std::move(composite), first_order = std::move(first_order)](const RuleArgs& a) {
    const bool create_graph = grad_enabled();
    if (first_order && !create_graph) {
      std::vector<Tensor> fused = first_order(a);
      if (!fused.empty()) return fused;
    }
    // Fresh handles, so that the inner walk ends at this op's inputs even where one of them depends on another.
    std::vector<Tensor> handles, wanted;
    GradMode mode(true);
    for (size_t i = 0; i < a.inputs.size(); ++i) {
      const Tensor& x = a.inputs[i];
      if (!x.defined()) {
        handles.emplace_back();
        continue;
      }
      Tensor handle = GraphAccess::alias(x, x.shape());
      if (create_graph && x.requires_grad())
        handle = record("alias", handle, {x}, [](const RuleArgs& args) { return std::vector{args.grads[0]}; });
      else if (a.wanted[i])
        handle.set_requires_grad();
      if (a.wanted[i]) wanted.push_back(handle);
      handles.push_back(std::move(handle));
    }
    const std::vector<Tensor> results = composite(handles);
    std::vector<Tensor> used, seeds;
    for (size_t i = 0; i < results.size(); ++i)
      if (a.grads[i].defined()) {
        used.push_back(results[i]);
        seeds.push_back(a.grads[i]);
      }
    const std::vector<Tensor> found = grad(used, wanted, {.seeds = seeds, .create_graph = create_graph});
    std::vector<Tensor> input_grads(a.inputs.size());
    for (size_t i = 0, k = 0; i < input_grads.size(); ++i)
      if (a.wanted[i]) input_grads[i] = found[k++];
    return input_grads;
  };
  return record(name, std::move(outputs), std::move(inputs), std::move(rule));
}

namespace {

std::vector<Tensor> walk_back(const std::vector<Tensor>& outputs, const std::vector<Tensor>& inputs,
                              const GradOptions& options, bool release) {
  const std::vector<Tensor>& seeds = options.seeds;
  const bool create_graph = options.create_graph;
  for (size_t i = 0; i < inputs.size(); ++i) {
    check(inputs[i].defined(), "grad: input ", i, " is undefined");
    check(inputs[i].requires_grad(), "grad: input ", i, " ", inputs[i].shape(),
          " does not require a gradient (set_requires_grad)");
  }
  check(seeds.empty() || seeds.size() == outputs.size(), "grad: ", outputs.size(), " outputs but ", seeds.size(),
        " seeds");
  std::unordered_map<Key, size_t, KeyHash> targets;
  for (const Tensor& input : inputs) targets.emplace(key_of(input), 0);
  const auto is_target = [&](const Tensor& t) { return t.defined() && targets.contains(key_of(t)); };

  GradMode mode(create_graph);
  struct Total {
    Tensor sum, more;  // `more` is still to be added
    Tensor all() const { return more.defined() ? add(sum, more) : sum; }
  };
  std::unordered_map<Key, Total, KeyHash> grads;
  const auto accumulate = [&](const Tensor& t, const Tensor& g) {
    Total& total = grads[key_of(t)];
    if (!total.sum.defined())
      total.sum = g;
    else if (!total.more.defined() && !create_graph && t.node() && t.node()->adds_gradients)
      total.more = g;
    else
      total = {add(total.all(), g), {}};
  };
  for (size_t i = 0; i < outputs.size(); ++i) {
    const Tensor& output = outputs[i];
    const bool given = !seeds.empty() && seeds[i].defined();
    const Tensor seed = !given         ? Tensor::full(output.shape(), 1.0, output.dtype(), output.device())
                        : create_graph ? seeds[i]
                                       : seeds[i].detach();
    check(seed.shape() == output.shape(), "grad: the seed of output ", i, " has the shape ", seed.shape(),
          ", expected ", output.shape());
    if (output.requires_grad()) accumulate(output, seed);
  }

  Walk walk = walk_from(outputs, is_target);
  while (!walk.order.empty()) {
    Node* node = walk.order.back();
    walk.order.pop_back();
    std::vector<Tensor> node_outputs = std::move(walk.outputs[node]);
    walk.outputs.erase(node);
    if (!walk.leads_to_target[node]) continue;
    std::vector<Tensor> output_grads(node->num_outputs), more_grads(node->num_outputs);
    bool any = false;
    for (int i = 0; i < node->num_outputs; ++i) {
      const auto found = grads.find({node, i});
      if (found == grads.end()) continue;
      any = true;
      output_grads[i] = found->second.sum;
      more_grads[i] = found->second.more;
      if (!targets.contains({node, i})) grads.erase(found);  // frees the memory as early as possible
    }
    if (!any) continue;
    std::vector<char> wanted;
    for (const Tensor& input : node->inputs)
      wanted.push_back(is_target(input) || (input.node() && walk.leads_to_target[input.node().get()]));
    std::vector<Tensor> input_grads = node->rule({node->inputs, node_outputs, output_grads, wanted, more_grads});
    output_grads.clear();
    more_grads.clear();
    for (size_t i = 0; i < input_grads.size(); ++i) {
      if (!wanted[i] || !input_grads[i].defined()) continue;
      check(input_grads[i].shape() == node->inputs[i].shape(), "grad: the rule of ", node->name,
            " gave a gradient of shape ", input_grads[i].shape(), " for an input of shape ", node->inputs[i].shape());
      accumulate(node->inputs[i], input_grads[i]);
      input_grads[i] = {};
    }
    if (release) {  // the nodes below stay alive: the walk holds their outputs until their turn comes
      node->rule = nullptr;
      node->inputs.clear();
    }
  }

  std::vector<Tensor> results;
  for (const Tensor& input : inputs) {
    const auto found = grads.find(key_of(input));
    results.push_back(found != grads.end() ? found->second.all()
                                           : Tensor::zeros(input.shape(), input.dtype(), input.device()));
  }
  return results;
}

}  // namespace

std::vector<Tensor> grad(const std::vector<Tensor>& outputs, const std::vector<Tensor>& inputs,
                         const GradOptions& options) {
  return walk_back(outputs, inputs, options, false);
}

std::vector<Tensor> grad_and_release(const std::vector<Tensor>& outputs, const std::vector<Tensor>& inputs) {
  return walk_back(outputs, inputs, {}, true);
}

}  // namespace boxcam
