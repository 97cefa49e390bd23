// Explainers: how the activations A at a tap, the gradient g of the explained score, or the model itself become a map
// M. One function for each, and a table of them by name. What all share (recording, the gradient's source, detaching,
// types, profiles, several taps) is in xai/explain.
#pragma once

#include <string>
#include <vector>

#include "nn/classifier.h"

namespace boxcam {

/// What ablation-cam puts in place of a channel: 0, or the channel's own mean over the image's cells.
enum class Ablation { zero, mean };

/// The model that is explained, for explainers that ask it again. Their passes are in eval mode and move nothing.
struct Subject {
  Classifier& model;
  Tensor x;       ///< [N, H, W, 3]
  Tensor logits;  ///< [N, classes], of x
  Tensor rows;    ///< [N, classes]: row n turns the logits of image n into the explained score
  Ablation ablation = Ablation::zero;
};

/// What an explainer may look at, of one tap; f32 or f64, whatever the activations' type is.
class Evidence {
 public:
  /// activations: [N, h, w, K]. gradient: of the explained scores, [N, h, w, K], or [N, 1, 1, K] where it is the same
  /// in every cell; undefined for explainers that do not need it. subject: null for those that do not ask the model.
  Evidence(const Tensor& activations, const Tensor& gradient, DType dtype, const Subject* subject = nullptr,
           const std::string& tap = "")
      : activations_(activations), gradient_(gradient), dtype_(dtype), subject_(subject), tap_(tap) {}

  Tensor A() const { return cast(activations_, dtype_); }  ///< [N, h, w, K]
  Tensor gradient() const;                                 ///< [N, h, w, K]
  Tensor mean_gradient() const;                            ///< [N, 1, 1, K]: its mean over the map

  const Subject& subject() const { return *subject_; }
  const std::string& tap() const { return tap_; }  ///< its name in the subject

 private:
  Tensor activations_, gradient_;
  DType dtype_;
  const Subject* subject_;
  std::string tap_;
};

/// [N, 1, 1, K], one weight for each channel, or [N, h, w, K], one for each cell: M = sum_k weights_k A_k. Where the
/// explainer can teach it is written in public ops, so that it can be differentiated to any order.
using Weigh = Tensor (*)(const Evidence&);
/// M itself, [N, h, w], where it is no weighted sum of channels.
using Map = Tensor (*)(const Evidence&);
/// M [N, H, W] of the image, whatever the taps are.
using MapOfInput = Tensor (*)(const Subject&);
/// [N]: a score of one's own instead of the one that --cam-target names. logits [N, classes], labels i32 [N].
using Score = Tensor (*)(const Tensor& logits, const Tensor& labels);

/// What an explainer needs of a tap besides its activations; nothing else is computed for it.
enum class Needs {
  gradient,  ///< of the explained score: one backward pass, or none where there is a closed form
  nothing,
  model,  ///< the model behind the tap, many times
};

/// One of `weigh`, `map` and `of_input` is given.
struct Explainer {
  const char* name;
  const char* formula;  ///< of M, for help
  Weigh weigh = nullptr;
  Map map = nullptr;
  MapOfInput of_input = nullptr;
  Needs needs = Needs::gradient;
  Score score = nullptr;
  const char* cannot_teach = nullptr;  ///< why it is not differentiated in training; null: it can be

  bool can_teach() const { return !cannot_teach; }
  bool asks_model() const { return of_input || needs == Needs::model; }
  /// Whether the pass that is explained is differentiated for it.
  bool needs_gradient() const { return !of_input && needs == Needs::gradient; }
};
/// `grad-cam`, the default, first.
const std::vector<Explainer>& explainers();
/// Throws Error naming the nearest, for a name that is none.
const Explainer& explainer(const std::string& name);

}  // namespace boxcam
