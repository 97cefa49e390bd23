// Residual networks as in torchvision (He et al., "Deep residual learning for image recognition", 2015): same parameter
// names, same initialisation, same numbers.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "nn/layers.h"

namespace boxcam {

/// Everything that distinguishes one ResNet from another.
struct ResNetConfig {
  enum class Block {
    basic,          ///< 3x3, 3x3
    bottleneck,     ///< 1x1, 3x3 with the stride, 1x1 to four times the width (torchvision, "v1.5")
    bottleneck_v1,  ///< the stride in the first 1x1 (He et al. 2015)
  };
  std::string name;
  Block block = Block::basic;
  std::vector<int64_t> depths, widths, strides;  ///< of the four stages
  int64_t stem_kernel = 7, stem_width = 64;      ///< stride 2
  bool stem_pool = true;                         ///< 3x3 max pool, stride 2
  Pool2dSpec pool{3, 2, 1, false};
};

/// resnet18|34|50|101|152, resnet50-v1, resnet-mini. Throws Error that lists the names.
ResNetConfig resnet_config(const std::string& name);
const std::vector<std::string>& resnet_names();

/// What a forward pass returns: logits [N, classes] and the activations that were asked for by name.
struct Forward {
  Tensor logits;
  std::map<std::string, Tensor> taps;  ///< [N, h, w, K]
};

class ResNet {
 public:
  /// Fresh weights: a pure function of (config, seed). dtype f32 or f64.
  ResNet(const ResNetConfig& config, int64_t classes, DType dtype = DType::f32, uint64_t seed = 0);

  /// The type of the activations between the images and the head: that of the parameters (the default), or bf16 beside
  /// parameters of f32. Throws Error for another.
  void set_activation_dtype(DType dtype);

  /// x: [N, H, W, 3], normalised, in the parameters' type. Taps are in the activations' type, and named "conv1",
  /// "layer1"
  /// .. "layer4", a block "layer4.2" or a convolution's output "layer4.2.conv3". Throws as check_taps.
  Forward forward(const Tensor& x, const ForwardOptions& options, const std::vector<std::string>& taps = {});

  /// All parameters and buffers, in torchvision's order and under its names. The handles share the model's memory.
  std::vector<NamedTensor> named_tensors() const;
  std::vector<Tensor> parameters() const;
  int64_t parameter_count() const;

  ResNet clone() const;                  ///< a deep copy: shares nothing
  void copy_from(const ResNet& source);  ///< overwrites parameters and buffers

  const ResNetConfig& config() const { return config_; }
  const Linear& head() const { return fc_; }
  /// Whether the tap's activations go straight into global average pooling and the linear head.
  bool feeds_head(const std::string& tap) const;
  std::vector<std::string> tap_names() const;
  /// Throws Error for a tap that does not exist, naming the nearest.
  void check_taps(const std::vector<std::string>& taps) const;

 private:
  struct Block {
    std::string name;
    std::vector<Conv2d> convs;
    std::vector<BatchNorm2d> norms;
    bool has_downsample = false;
    Conv2d downsample_conv;
    BatchNorm2d downsample_norm;
  };
  struct Taps;
  template <class F>
  void for_each_tensor(F f);
  Tensor run_conv(const std::string& name, const Conv2d& conv, BatchNorm2d& norm, const Tensor& x,
                  const ForwardOptions& options, const Taps& taps, bool with_relu, Tensor residual = {});
  Tensor run_block(Block& block, Tensor x, const ForwardOptions& options, const Taps& taps);

  ResNetConfig config_;
  DType activation_dtype_;
  Conv2d conv1_;
  BatchNorm2d bn1_;
  std::vector<std::vector<Block>> stages_;
  Linear fc_;
};

}  // namespace boxcam
