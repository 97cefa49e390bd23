// A checkpoint, for a model of two numbers.
#include <optional>

#include "apps/common/run_folder.h"
#include "tests/fuzz/target.h"
#include "xai/metrics.h"

namespace boxcam::fuzz {
namespace {

class TwoNumbers : public Classifier {
 public:
  const std::string& name() const override {
    static const std::string own = "two-numbers";
    return own;
  }
  Forward forward(const Tensor&, const ForwardOptions&, const std::vector<std::string>&) override {
    fail("the model of this target computes nothing");
  }
  std::vector<std::string> tap_names() const override { return {"tap"}; }
  Tensor head_of(const std::string&) const override { return weight_; }
  void set_activation_dtype(DType) override {}
  std::unique_ptr<Classifier> copy() const override { return std::make_unique<TwoNumbers>(); }

 protected:
  void visit(const TensorVisitor& visitor) override {
    visitor({.name = "head.weight", .tensor = weight_, .head = true}, weight_);
  }

 private:
  Tensor weight_ = Tensor::zeros({2, 1});
};

struct Run {
  RunFolder folder{(write("run/checkpoint.safetensors", ""), (fuzz::folder() / "run").string()), true};
  TwoNumbers model;
  Optimizer optimizer{model.named_tensors(), {}};
};

}  // namespace

void run(std::string_view input) {
  static Run own;
  write("run/checkpoint.safetensors", input);
  const Progress progress = own.folder.load_checkpoint(own.model, own.optimizer);
  Metrics(2).restore(progress.metrics);
}

}  // namespace boxcam::fuzz
