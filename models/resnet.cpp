#include "models/resnet.h"

#include <algorithm>

#include "engine/base/text.h"

namespace boxcam {

const std::vector<ResNetConfig>& resnet_configs() {
  using Block = ResNetConfig::Block;
  static const std::vector<ResNetConfig> configs = {
      {.name = "resnet50",
       .what = "torchvision's, stride in the 3x3",
       .block = Block::bottleneck,
       .depths = {3, 4, 6, 3}},
      {.name = "resnet18", .what = "torchvision's", .depths = {2, 2, 2, 2}},
      {.name = "resnet34", .what = "torchvision's", .depths = {3, 4, 6, 3}},
      {.name = "resnet101", .what = "torchvision's", .block = Block::bottleneck, .depths = {3, 4, 23, 3}},
      {.name = "resnet152", .what = "torchvision's", .block = Block::bottleneck, .depths = {3, 8, 36, 3}},
      {.name = "resnet50-v1",
       .what = "of 2015, stride in the first 1x1",
       .block = Block::bottleneck_v1,
       .depths = {3, 4, 6, 3},
       .pool = {3, 2, 0, true}},
      {.name = "resnet-mini",
       .what = "small, for scenes and tests",
       .depths = {1, 1, 1, 1},
       .widths = {16, 32, 64, 64},
       .strides = {2, 1, 2, 1},
       .stem_kernel = 3,
       .stem_width = 16,
       .stem_pool = false},
  };
  return configs;
}

const ResNetConfig& resnet_config(const std::string& name) {
  std::vector<std::string> names;
  for (const ResNetConfig& config : resnet_configs()) {
    if (config.name == name) return config;
    names.push_back(config.name);
  }
  fail("unknown model '", name, "'", did_you_mean(name, names));
}

ResNet::ResNet(const ResNetConfig& config, int64_t classes, DType dtype, uint64_t seed)
    : config_(config), activation_dtype_(dtype) {
  using Kind = ResNetConfig::Block;
  const auto layer = [&](const std::string& name, int64_t in, int64_t out, int64_t kernel, int64_t stride) {
    return ConvNorm::make(name, in, out, kernel, {stride, kernel / 2}, dtype, seed);
  };
  stem_ = layer("conv1", 3, config.stem_width, config.stem_kernel, 2);
  const bool basic = config.block == Kind::basic, first = config.block == Kind::bottleneck_v1;
  int64_t channels = config.stem_width;
  for (size_t stage = 0; stage < config.depths.size(); ++stage) {
    auto& blocks = stages_.emplace_back();
    const int64_t width = config.widths[stage], out = basic ? width : 4 * width;
    for (int64_t i = 0; i < config.depths[stage]; ++i) {
      const int64_t stride = i == 0 ? config.strides[stage] : 1;
      Block& b = blocks.emplace_back();
      b.name = str("layer", stage + 1, ".", i);
      if (basic)
        b.layers = {layer(b.name + ".conv1", channels, width, 3, stride), layer(b.name + ".conv2", width, width, 3, 1)};
      else
        b.layers = {layer(b.name + ".conv1", channels, width, 1, first ? stride : 1),
                    layer(b.name + ".conv2", width, width, 3, first ? 1 : stride),
                    layer(b.name + ".conv3", width, out, 1, 1)};
      if (stride != 1 || channels != out) b.downsample = layer(b.name + ".downsample.0", channels, out, 1, stride);
      channels = out;
    }
  }
  fc_ = Linear::make(kHead, channels, classes, dtype, seed);
}

/// Hands out the values on the way that were asked for, or puts one in the place of the one that was.
struct ResNet::Taps {
  const std::vector<std::string>& wanted;
  std::map<std::string, Tensor>& found;
  Tensor replacement = {};                  ///< of what is wanted; undefined: nothing is replaced
  std::vector<CellBias>* biases = nullptr;  ///< where they are collected

  /// Whether the convolution `name` is a tap, or inside one.
  bool look_at(const std::string& name) const {
    return std::any_of(wanted.begin(), wanted.end(), [&](const std::string& tap) { return names_part(tap, name); });
  }
  Tensor operator()(const std::string& name, const Tensor& t) const {
    if (std::find(wanted.begin(), wanted.end(), name) == wanted.end()) return t;
    return found[name] = replacement.defined() ? replacement : t;
  }
};

/// A convolution and its batch norm, + residual if defined, ReLU if asked. In eval mode, where no derivative is
/// recorded, they are one pass, but for what a tap shows: there zeros are exact, which tells an empty CAM.
Tensor ResNet::run_conv(const std::string& name, ConvNorm& layer, const Tensor& x, const ForwardOptions& options,
                        const Taps& taps, bool with_relu, Tensor residual) {
  if (options.mode == Mode::eval && !grad_enabled() && !taps.look_at(name))
    return layer.folded(x, with_relu, std::move(residual));
  Tensor y = layer.norm(taps(name, layer.conv(x)), options, with_relu, residual);
  if (taps.biases) taps.biases->push_back({layer.norm.shift().detach(), y, with_relu});
  return y;
}

Tensor ResNet::run_block(Block& block, Tensor x, const ForwardOptions& options, const Taps& taps) {
  auto& layers = block.layers;
  const size_t last = layers.size() - 1;
  const auto name = [&](size_t i) { return str(block.name, ".conv", i + 1); };
  Tensor shortcut =
      block.downsample ? run_conv(block.name + ".downsample.0", *block.downsample, x, options, taps, false) : x;
  Tensor y = std::move(x);  // so that the shortcut can be its last handle
  if (options.mode == Mode::eval) {
    for (size_t i = 0; i < last; ++i) y = run_conv(name(i), layers[i], y, options, taps, true);
    y = run_conv(name(last), layers[last], y, options, taps, true, std::move(shortcut));
  } else {
    y = taps(name(0), layers[0].conv(y));
    for (size_t i = 1; i <= last; ++i) y = taps(name(i), layers[i - 1].norm_relu_conv(y, layers[i].conv, options));
    y = layers[last].norm(y, options, true, shortcut);
  }
  return taps(block.name, y);
}

Tensor ResNet::run_blocks(Tensor y, int64_t skip, const ForwardOptions& options, const Taps& taps) {
  for (size_t stage = 0; stage < stages_.size(); ++stage) {
    for (Block& block : stages_[stage])
      if (skip-- <= 0) y = run_block(block, std::move(y), options, taps);
    taps(str("layer", stage + 1), y);
  }
  return fc_(global_avg_pool(cast(y, fc_.weight.dtype())));
}

Tensor ResNet::run(const Tensor& x, const ForwardOptions& options, const Taps& taps) {
  check(x.ndim() == 4 && x.dim(3) == 3, config_.name, ": expected images [N, H, W, 3], found ", x.shape());
  Tensor y = run_conv("conv1", stem_, cast(x, activation_dtype_), options, taps, true);
  if (config_.stem_pool) y = max_pool2d(y, config_.pool);
  return run_blocks(std::move(y), 0, options, taps);
}

Forward ResNet::forward(const Tensor& x, const ForwardOptions& options, const std::vector<std::string>& taps) {
  check_taps(taps);
  Forward result;
  result.logits = run(x, options, Taps{taps, result.taps});
  return result;
}

Tensor ResNet::forward_with_biases(const Tensor& x, std::vector<CellBias>& biases) {
  std::map<std::string, Tensor> found;
  const std::vector<std::string> none;
  const GradMode recorded(true);  // or convolutions and batch norms would be one
  return run(x, ForwardOptions::observing(), Taps{none, found, {}, &biases});
}

std::string ResNet::restart_of(const std::string& tap) const {
  check_taps({tap});
  if (tap.find(".conv") == std::string::npos) return tap;  // behind a block, a stage, or the stem's convolution
  std::string before = "conv1";
  for (const auto& stage : stages_)
    for (const Block& b : stage) {
      if (names_part(b.name, tap)) return before;
      before = b.name;
    }
  fail(config_.name, " has no block with the tap ", tap);
}

Tensor ResNet::resume(const std::string& tap, const Tensor& activations, const Tensor& start) {
  const std::string from = restart_of(tap);
  check(from == tap || (start.defined() && start.dim(0) == activations.dim(0)), config_.name, ": a pass to ", tap,
        " begins at ", from, ", for which it needs as many activations");
  std::map<std::string, Tensor> found;
  const std::vector<std::string> replaced = {tap};
  const Tensor given = cast(activations, activation_dtype_);
  const Taps taps{replaced, found, given};
  const ForwardOptions options = ForwardOptions::observing();
  Tensor y = from == tap ? given : cast(start, activation_dtype_);
  if (from == "conv1") {
    y = stem_.norm(y, options, true);
    return run_blocks(config_.stem_pool ? max_pool2d(y, config_.pool) : y, 0, options, taps);
  }
  int64_t skip = 0, blocks = 0;
  for (const auto& stage : stages_)
    for (const Block& b : stage) {
      ++blocks;
      if (names_part(from, b.name)) skip = blocks;
    }
  return run_blocks(std::move(y), skip, options, taps);
}

void ResNet::visit(const TensorVisitor& visitor) {
  stem_.conv.visit("conv1", visitor);
  stem_.norm.visit("bn1", visitor);
  for (auto& stage : stages_)
    for (Block& b : stage) {
      for (size_t i = 0; i < b.layers.size(); ++i) {
        b.layers[i].conv.visit(str(b.name, ".conv", i + 1), visitor);
        b.layers[i].norm.visit(str(b.name, ".bn", i + 1), visitor);
      }
      if (!b.downsample) continue;
      b.downsample->conv.visit(b.name + ".downsample.0", visitor);
      b.downsample->norm.visit(b.name + ".downsample.1", visitor);
    }
  fc_.visit(kHead, visitor, true);
}

void ResNet::set_activation_dtype(DType dtype) {
  check_activation_dtype(dtype, fc_.weight.dtype());
  activation_dtype_ = dtype;
}

ResNet ResNet::clone() const {
  ResNet copy = *this;
  copy.own_memory();
  return copy;
}

Tensor ResNet::head_of(const std::string& tap) const {
  return tap == str("layer", stages_.size()) || tap == stages_.back().back().name ? fc_.weight : Tensor();
}

std::string ResNet::part_of(const std::string& tensor) const {
  const std::string first = Classifier::part_of(tensor);
  return first == "conv1" || first == "bn1" ? "stem" : first;
}

std::vector<std::string> ResNet::tap_names() const {
  std::vector<std::string> names = {"conv1"};
  for (size_t stage = 0; stage < stages_.size(); ++stage) {
    for (const Block& b : stages_[stage]) {
      for (size_t i = 0; i < b.layers.size(); ++i) names.push_back(str(b.name, ".conv", i + 1));
      names.push_back(b.name);
    }
    names.push_back(str("layer", stage + 1));
  }
  return names;
}

}  // namespace boxcam
