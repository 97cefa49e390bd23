// A plain convolutional network without shortcuts: small enough to be read in one sitting, and to train in a minute.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "nn/classifier.h"

namespace boxcam {

/// Four stages, each a 3x3 convolution with stride 2, batch norm and ReLU, of widths 16, 32, 64, 64; global average
/// pooling; a linear head. Taps: "stage1" .. "stage4", after the ReLU.
class PlainNet : public Classifier {
 public:
  static constexpr const char* kName = "plain-mini";
  static constexpr const char* kHead = "head";

  /// Fresh weights: a pure function of the seed. dtype f32 or f64.
  explicit PlainNet(int64_t classes, DType dtype = DType::f32, uint64_t seed = 0);

  const std::string& name() const override;
  Forward forward(const Tensor& x, const ForwardOptions& options, const std::vector<std::string>& taps = {}) override;
  std::vector<std::string> tap_names() const override;
  Tensor head_of(const std::string& tap) const override;
  std::string restart_of(const std::string& tap) const override;
  Tensor resume(const std::string& tap, const Tensor& activations, const Tensor& start = {}) override;
  Tensor forward_with_biases(const Tensor& x, std::vector<CellBias>& biases) override;
  void set_activation_dtype(DType dtype) override;
  std::unique_ptr<Classifier> copy() const override;

 protected:
  void visit(const TensorVisitor& visitor) override;

 private:
  /// From what comes before stage `first` to the logits; taps and biases go where they are wanted.
  Tensor run(Tensor y, size_t first, const ForwardOptions& options, const std::vector<std::string>& taps = {},
             std::map<std::string, Tensor>* found = nullptr, std::vector<CellBias>* biases = nullptr);

  DType activation_dtype_;
  std::vector<ConvNorm> stages_;
  Linear head_;
};

}  // namespace boxcam
