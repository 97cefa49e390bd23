// What boxcam trains and explains: images in; logits, and maps that lie on the way to them, out. Training, explaining,
// files and programs know a model by this interface alone; models/models.h has the table of those there are.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "nn/layers.h"

namespace boxcam {

/// What a forward pass returns: logits [N, classes] and the activations that were asked for by name.
struct Forward {
  Tensor logits;
  std::map<std::string, Tensor> taps;  ///< [N, h, w, K]
};

/// A bias that a pass in eval mode adds in every cell, as batch norm's shift: b [K], and what the pass has right behind
/// it, [N, h, w, K]. Where a ReLU lies between (and, before it, perhaps the addition of a shortcut) `rectified` says
/// so.
struct CellBias {
  Tensor bias, output;
  bool rectified = false;
};

/// A model is a forward pass, a list of its tensors, and the names of its taps; the rest is written once, here.
class Classifier {
 public:
  virtual ~Classifier() = default;

  virtual const std::string& name() const = 0;  ///< in the table of models, in files and messages

  /// x: [N, H, W, 3], normalised, in the parameters' type. Taps are in the activations' type. A tap lies *on* the way
  /// to the logits, so that they can be differentiated by it. Throws as check_taps.
  virtual Forward forward(const Tensor& x, const ForwardOptions& options,
                          const std::vector<std::string>& taps = {}) = 0;

  /// From the image to the logits.
  virtual std::vector<std::string> tap_names() const = 0;
  /// The weight W [classes, K] of the linear head that the tap reaches through global average pooling alone, so that
  /// d logit_c / d tap = W_c / (h w) in every cell; undefined for other taps.
  virtual Tensor head_of(const std::string& tap) const = 0;

  /// The tap from which a pass can go on to reach `tap`: itself, or an earlier one where the way to the logits splits
  /// before it.
  virtual std::string restart_of(const std::string& tap) const;
  /// The logits of a pass in eval mode that has `activations` [N, h, w, K] at the tap, whatever led there; it begins
  /// with `start`, [N, ...], the activations at restart_of(tap), where that is another. Both throw Error for a model
  /// that cannot begin but with an image.
  virtual Tensor resume(const std::string& tap, const Tensor& activations, const Tensor& start = {});
  /// The logits of a pass in eval mode, and the biases it meets; throws Error for a model that does not know them.
  virtual Tensor forward_with_biases(const Tensor& x, std::vector<CellBias>& biases);

  /// The type of the activations between the images and the head: that of the parameters (the default), or bf16 beside
  /// parameters of f32. Throws Error for another.
  virtual void set_activation_dtype(DType dtype) = 0;

  /// An equal model that shares nothing with this one.
  virtual std::unique_ptr<Classifier> copy() const = 0;

  // ---- the same for every model ----

  /// All parameters and buffers, in torchvision's order and under its names. The handles share the model's memory.
  std::vector<NamedTensor> named_tensors() const;
  std::vector<Tensor> parameters() const;
  int64_t parameter_count() const;
  int64_t classes() const;   ///< of the head
  Tensor head_bias() const;  ///< b [classes] of the linear head
  Device device() const;
  void copy_from(const Classifier& source);  ///< overwrites parameters and buffers; throws Error for another model

  std::string default_tap() const { return tap_names().back(); }
  /// Throws Error for a tap that does not exist, naming the nearest, and for one that is named twice.
  void check_taps(const std::vector<std::string>& taps) const;

  /// The part of the model that a tensor belongs to, for tables: the first word of its name unless a model says more.
  virtual std::string part_of(const std::string& tensor) const { return tensor.substr(0, tensor.find('.')); }
  std::vector<std::string> parts() const;  ///< in order

 protected:
  Classifier() = default;
  Classifier(const Classifier&) = default;
  Classifier& operator=(const Classifier&) = default;

  /// Every tensor, in torchvision's order: the one list of them that a model writes.
  virtual void visit(const TensorVisitor& visitor) = 0;
  void check_activation_dtype(DType activations, DType parameters) const;
  /// After a copy, which shares all tensors: memory of its own for each.
  void own_memory();
};

}  // namespace boxcam
