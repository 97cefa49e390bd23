#include "models/resnet.h"

#include <algorithm>

#include "engine/base/text.h"

namespace boxcam {

const std::vector<std::string>& resnet_names() {
  static const std::vector<std::string> names = {"resnet50",  "resnet18",    "resnet34",   "resnet101",
                                                 "resnet152", "resnet50-v1", "resnet-mini"};
  return names;
}

ResNetConfig resnet_config(const std::string& name) {
  using Block = ResNetConfig::Block;
  ResNetConfig c;
  c.name = name;
  c.widths = {64, 128, 256, 512};
  c.strides = {1, 2, 2, 2};
  if (name == "resnet18" || name == "resnet34") {
    c.depths = name == "resnet18" ? std::vector<int64_t>{2, 2, 2, 2} : std::vector<int64_t>{3, 4, 6, 3};
  } else if (name == "resnet50" || name == "resnet101" || name == "resnet152") {
    c.block = Block::bottleneck;
    c.depths = {3, name == "resnet152" ? 8 : 4, name == "resnet50" ? 6 : name == "resnet101" ? 23 : 36, 3};
  } else if (name == "resnet50-v1") {
    c.block = Block::bottleneck_v1;
    c.depths = {3, 4, 6, 3};
    c.pool = {3, 2, 0, true};
  } else if (name == "resnet-mini") {
    c.depths = {1, 1, 1, 1};
    c.widths = {16, 32, 64, 64};
    c.strides = {2, 1, 2, 1};
    c.stem_kernel = 3;
    c.stem_width = 16;
    c.stem_pool = false;
  } else {
    fail("unknown model '", name, "'", did_you_mean(name, resnet_names()));
  }
  return c;
}

ResNet::ResNet(const ResNetConfig& config, int64_t classes, DType dtype, uint64_t seed)
    : config_(config), activation_dtype_(dtype) {
  using Kind = ResNetConfig::Block;
  const auto conv = [&](const std::string& name, int64_t in, int64_t out, int64_t kernel, int64_t stride) {
    return Conv2d::make(name, in, out, kernel, {stride, kernel / 2}, dtype, seed);
  };
  conv1_ = conv("conv1", 3, config.stem_width, config.stem_kernel, 2);
  bn1_ = BatchNorm2d::make(config.stem_width, dtype);
  const bool basic = config.block == Kind::basic;
  int64_t channels = config.stem_width;
  for (size_t stage = 0; stage < config.depths.size(); ++stage) {
    auto& blocks = stages_.emplace_back();
    const int64_t width = config.widths[stage], out = basic ? width : 4 * width;
    for (int64_t i = 0; i < config.depths[stage]; ++i) {
      const int64_t stride = i == 0 ? config.strides[stage] : 1;
      Block& b = blocks.emplace_back();
      b.name = str("layer", stage + 1, ".", i);
      if (basic) {
        b.convs = {conv(b.name + ".conv1", channels, width, 3, stride), conv(b.name + ".conv2", width, width, 3, 1)};
      } else {
        const bool first = config.block == Kind::bottleneck_v1;
        b.convs = {conv(b.name + ".conv1", channels, width, 1, first ? stride : 1),
                   conv(b.name + ".conv2", width, width, 3, first ? 1 : stride),
                   conv(b.name + ".conv3", width, out, 1, 1)};
      }
      for (const Conv2d& c : b.convs) b.norms.push_back(BatchNorm2d::make(c.weight.dim(0), dtype));
      if (stride != 1 || channels != out) {
        b.has_downsample = true;
        b.downsample_conv = conv(b.name + ".downsample.0", channels, out, 1, stride);
        b.downsample_norm = BatchNorm2d::make(out, dtype);
      }
      channels = out;
    }
  }
  fc_ = Linear::make("fc", channels, classes, dtype, seed);
}

/// Hands out the values on the way that were asked for.
struct ResNet::Taps {
  const std::vector<std::string>& wanted;
  std::map<std::string, Tensor>& found;

  /// Whether the convolution `name` is a tap, or inside one.
  bool look_at(const std::string& name) const {
    return std::any_of(wanted.begin(), wanted.end(), [&](const std::string& tap) { return name.starts_with(tap); });
  }
  Tensor operator()(const std::string& name, const Tensor& t) const {
    if (std::find(wanted.begin(), wanted.end(), name) != wanted.end()) found[name] = t;
    return t;
  }
};

/// A convolution and its batch norm, + residual if defined, ReLU if asked. In eval mode, where no derivative is
/// recorded, they are one pass, but for what a tap shows: there zeros are exact, which tells an empty CAM.
Tensor ResNet::run_conv(const std::string& name, const Conv2d& conv, BatchNorm2d& norm, const Tensor& x,
                        const ForwardOptions& options, const Taps& taps, bool with_relu, Tensor residual) {
  if (options.mode == Mode::eval && !grad_enabled() && !taps.look_at(name))
    return norm.folded(conv, x, with_relu, std::move(residual));
  return norm(taps(name, conv(x)), options, with_relu, residual);
}

Tensor ResNet::run_block(Block& block, Tensor x, const ForwardOptions& options, const Taps& taps) {
  const size_t last = block.convs.size() - 1;
  const auto name = [&](size_t i) { return str(block.name, ".conv", i + 1); };
  Tensor shortcut = !block.has_downsample ? x
                                          : run_conv(block.name + ".downsample.0", block.downsample_conv,
                                                     block.downsample_norm, x, options, taps, false);
  Tensor y = std::move(x);  // so that the shortcut can be its last handle
  if (options.mode == Mode::eval) {
    for (size_t i = 0; i < last; ++i) y = run_conv(name(i), block.convs[i], block.norms[i], y, options, taps, true);
    y = run_conv(name(last), block.convs[last], block.norms[last], y, options, taps, true, std::move(shortcut));
  } else {
    y = taps(name(0), block.convs[0](y));
    for (size_t i = 1; i <= last; ++i) y = taps(name(i), block.norms[i - 1].then(block.convs[i], y, options));
    y = block.norms[last](y, options, true, shortcut);
  }
  return taps(block.name, y);
}

Forward ResNet::forward(const Tensor& x, const ForwardOptions& options, const std::vector<std::string>& taps) {
  check(x.ndim() == 4 && x.dim(3) == 3, config_.name, ": expected images [N, H, W, 3], found ", x.shape());
  check_taps(taps);
  Forward result;
  const Taps tap{taps, result.taps};
  Tensor y = run_conv("conv1", conv1_, bn1_, cast(x, activation_dtype_), options, tap, true);
  if (config_.stem_pool) y = max_pool2d(y, config_.pool);
  for (size_t stage = 0; stage < stages_.size(); ++stage) {
    for (Block& block : stages_[stage]) y = run_block(block, std::move(y), options, tap);
    tap(str("layer", stage + 1), y);
  }
  result.logits = fc_(global_avg_pool(cast(y, fc_.weight.dtype())));
  return result;
}

void ResNet::check_taps(const std::vector<std::string>& taps) const {
  for (const std::string& wanted : taps) {
    const auto known = tap_names();
    check(std::find(known.begin(), known.end(), wanted) != known.end(), config_.name, " has no tap '", wanted, "'",
          did_you_mean(wanted, known));
    check(std::count(taps.begin(), taps.end(), wanted) == 1, "the tap '", wanted, "' is named twice");
  }
}

std::vector<NamedTensor> ResNet::named_tensors() const {
  std::vector<NamedTensor> all;
  conv1_.collect("conv1", all);
  bn1_.collect("bn1", all);
  for (const auto& stage : stages_)
    for (const Block& b : stage) {
      for (size_t i = 0; i < b.convs.size(); ++i) {
        b.convs[i].collect(str(b.name, ".conv", i + 1), all);
        b.norms[i].collect(str(b.name, ".bn", i + 1), all);
      }
      if (b.has_downsample) {
        b.downsample_conv.collect(b.name + ".downsample.0", all);
        b.downsample_norm.collect(b.name + ".downsample.1", all);
      }
    }
  fc_.collect("fc", all);
  return all;
}

std::vector<Tensor> ResNet::parameters() const {
  std::vector<Tensor> list;
  for (const NamedTensor& t : named_tensors())
    if (t.is_parameter) list.push_back(t.tensor);
  return list;
}

int64_t ResNet::parameter_count() const {
  int64_t count = 0;
  for (const Tensor& t : parameters()) count += t.numel();
  return count;
}

/// f(tensor) may replace the tensor.
template <class F>
void ResNet::for_each_tensor(F f) {
  const auto norm = [&](BatchNorm2d& bn) {
    for (Tensor* t : {&bn.weight, &bn.bias, &bn.running_mean, &bn.running_var, &bn.num_batches_tracked}) f(*t);
  };
  f(conv1_.weight);
  norm(bn1_);
  for (auto& stage : stages_)
    for (Block& b : stage) {
      for (Conv2d& conv : b.convs) f(conv.weight);
      for (BatchNorm2d& bn : b.norms) norm(bn);
      if (!b.has_downsample) continue;
      f(b.downsample_conv.weight);
      norm(b.downsample_norm);
    }
  f(fc_.weight);
  f(fc_.bias);
}

void ResNet::set_activation_dtype(DType dtype) {
  check(dtype == fc_.weight.dtype() || (dtype == DType::bf16 && fc_.weight.dtype() == DType::f32), config_.name,
        " has parameters of ", fc_.weight.dtype(), ": its activations cannot be ", dtype);
  activation_dtype_ = dtype;
}

ResNet ResNet::clone() const {
  ResNet copy = *this;  // shares every tensor, until each gets memory of its own
  copy.for_each_tensor([](Tensor& t) { t = t.clone().set_requires_grad(t.requires_grad()); });
  return copy;
}

void ResNet::copy_from(const ResNet& source) {
  auto mine = named_tensors();
  const auto theirs = source.named_tensors();
  check(mine.size() == theirs.size(), "cannot copy ", source.config_.name, " onto ", config_.name);
  for (size_t i = 0; i < mine.size(); ++i) mine[i].tensor.copy_from(theirs[i].tensor);
}

bool ResNet::feeds_head(const std::string& tap) const {
  return tap == str("layer", stages_.size()) || tap == stages_.back().back().name;
}

std::vector<std::string> ResNet::tap_names() const {
  std::vector<std::string> names = {"conv1"};
  for (size_t stage = 0; stage < stages_.size(); ++stage) {
    for (const Block& b : stages_[stage]) {
      for (size_t i = 0; i < b.convs.size(); ++i) names.push_back(str(b.name, ".conv", i + 1));
      names.push_back(b.name);
    }
    names.push_back(str("layer", stage + 1));
  }
  return names;
}

}  // namespace boxcam
