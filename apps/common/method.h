// What a training step computes beside the cross-entropy: how the classifier is explained, what is penalised, and what
// the penalty teaches. docs/method.md says what each choice means.
#pragma once

#include "apps/common/background_swap.h"
#include "apps/common/controls.h"
#include "xai/explain.h"
#include "xai/losses.h"
#include "xai/metrics.h"

namespace boxcam {

/// The penalty, lambda times the mean over images of a loss of the CAM and the boxes.
struct Penalty {
  /// Of images without a box: their whole CAM counts, or they are left out of the mean.
  enum class Unboxed { penalise, skip };
  const CamLoss* loss = &cam_losses().front();
  double lambda = 0;
  double margin = 0;  ///< pixels of the network's input added around boxes
  Unboxed unboxed = Unboxed::penalise;
};

/// What the penalty teaches the classifier: docs/method.md, "The readings".
struct Reading {
  enum class Teaches { full, constant, activations, weights, transfer, leak };
  enum class CamModel { shared, copy };
  enum class BatchNorm { train, eval };
  enum class Transfer { full, activations };
  Teaches teaches = Teaches::full;
  Transfer transfer = Transfer::full;  ///< Teaches::transfer: all of it, or through the activations only
  CamModel cam_model = CamModel::shared;
  BatchNorm batch_norm = BatchNorm::train;  ///< of the CAM's pass

  bool copies() const { return cam_model == CamModel::copy; }
  bool leaks() const { return teaches == Teaches::leak; }
  /// Whether the CAM reads the classifier's own training pass.
  bool one_pass() const { return !copies() && batch_norm == BatchNorm::train; }
  /// The CAM's pass. It never moves running statistics, unless it is the classifier's own.
  ForwardOptions cam_pass() const {
    if (one_pass()) return ForwardOptions::training();
    return ForwardOptions::observing(batch_norm == BatchNorm::train ? Mode::train : Mode::eval);
  }
  /// Through what the penalty is differentiated. One that reaches no weight needs no graph.
  CamGradient through(double lambda) const;
};

/// How CAMs are measured.
struct Measuring {
  ContentHeatmap content_heatmap = ContentHeatmap::batch;
  double margin = 0;  ///< pixels of the network's input added around boxes
};

/// The terms of a step's loss, before they are weighted, and the share of its images that were swapped; 0 where a
/// method has no such thing.
struct StepReport {
  double cross_entropy = 0, penalty = 0, evidence_cross_entropy = 0, evidence_penalty = 0;
  double swapped = 0, swap_consistency = 0, context_only = 0;

  /// All of them, to add up, store and restore; checkpoints have them in this order, so that others come after them.
  std::vector<double*> values() {
    return {&cross_entropy,    &penalty,     &evidence_cross_entropy, &evidence_penalty, &swapped,
            &swap_consistency, &context_only};
  }
  StepReport& operator+=(StepReport other);
  StepReport operator/(double count) const;
};

struct Method {
  Task task = Task::single_label;  ///< of which the loss is softmax or sigmoid cross-entropy

  /// Weight of the cross-entropy of what lies inside the boxes, where there is an evidence split.
  static constexpr double kEvidenceCrossEntropy = 0.5;

  ExplainOptions explain;
  Penalty penalty;
  Reading reading;
  Measuring measuring;
  BoxControl boxes = BoxControl::own;  ///< what losses read; metrics read the images' own
  double evidence_split = 0;           ///< weight mu of its penalty; 0: no split at all
  BackgroundSwap swap;
  ContextOnly context;
  bool head_bias = true;  ///< off: zeros, and never trained
  /// Of the cross-entropies of each class' images in training (--class-balance); empty: all count alike.
  std::vector<double> class_weights;
  double clip_grad_norm = 0;  ///< 0: off

  bool splits() const { return evidence_split > 0; }
  double loss(const StepReport& terms) const;
};

}  // namespace boxcam
