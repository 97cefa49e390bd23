// Residual networks as in torchvision (He et al., "Deep residual learning for image recognition", 2015): same parameter
// names, same initialisation, same numbers.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "nn/classifier.h"

namespace boxcam {

/// Everything that distinguishes one ResNet from another.
struct ResNetConfig {
  enum class Block {
    basic,          ///< 3x3, 3x3
    bottleneck,     ///< 1x1, 3x3 with the stride, 1x1 to four times the width (torchvision, "v1.5")
    bottleneck_v1,  ///< the stride in the first 1x1 (He et al. 2015)
  };
  std::string name, what;  ///< `what` in a few words, for help
  Block block = Block::basic;
  std::vector<int64_t> depths, widths = {64, 128, 256, 512}, strides = {1, 2, 2, 2};  ///< of the four stages
  int64_t stem_kernel = 7, stem_width = 64;                                           ///< stride 2
  bool stem_pool = true;                                                              ///< 3x3 max pool, stride 2
  Pool2dSpec pool{3, 2, 1, false};
};

/// resnet50 first.
const std::vector<ResNetConfig>& resnet_configs();
/// Throws Error that lists the names.
const ResNetConfig& resnet_config(const std::string& name);

class ResNet : public Classifier {
 public:
  static constexpr const char* kHead = "fc";  ///< the linear head's name

  /// Fresh weights: a pure function of (config, seed). dtype f32 or f64.
  ResNet(const ResNetConfig& config, int64_t classes, DType dtype = DType::f32, uint64_t seed = 0);

  const std::string& name() const override { return config_.name; }
  void set_activation_dtype(DType dtype) override;

  /// Taps are "conv1", "layer1" .. "layer4", a block "layer4.2" or a convolution's output "layer4.2.conv3".
  Forward forward(const Tensor& x, const ForwardOptions& options, const std::vector<std::string>& taps = {}) override;
  std::vector<std::string> tap_names() const override;
  Tensor head_of(const std::string& tap) const override;
  std::string restart_of(const std::string& tap) const override;
  Tensor resume(const std::string& tap, const Tensor& activations, const Tensor& start = {}) override;
  Tensor forward_with_biases(const Tensor& x, std::vector<CellBias>& biases) override;
  std::string part_of(const std::string& tensor) const override;  ///< "stem", "layer1" .. "layer4", "fc"

  std::unique_ptr<Classifier> copy() const override { return std::make_unique<ResNet>(clone()); }
  ResNet clone() const;  ///< the same by value; a copy by C++'s own means shares all tensors

  const ResNetConfig& config() const { return config_; }
  const Linear& head() const { return fc_; }

 protected:
  void visit(const TensorVisitor& visitor) override;

 private:
  struct Block {
    std::string name;
    std::vector<ConvNorm> layers;
    std::optional<ConvNorm> downsample;
  };
  struct Taps;
  Tensor run_conv(const std::string& name, ConvNorm& layer, const Tensor& x, const ForwardOptions& options,
                  const Taps& taps, bool with_relu, Tensor residual = {});
  Tensor run_block(Block& block, Tensor x, const ForwardOptions& options, const Taps& taps);
  /// From the images, or from what comes behind the first `skip` blocks, to the logits.
  Tensor run(const Tensor& x, const ForwardOptions& options, const Taps& taps);
  Tensor run_blocks(Tensor y, int64_t skip, const ForwardOptions& options, const Taps& taps);

  ResNetConfig config_;
  DType activation_dtype_;
  ConvNorm stem_;
  std::vector<std::vector<Block>> stages_;
  Linear fc_;
};

}  // namespace boxcam
