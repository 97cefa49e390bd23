// The signed split: what each cell of the last map says for and against every class adds up to the logits, so they come
// apart into what lies inside the boxes and what lies outside. Nothing is rectified or normalised, and no class is
// chosen.
//
// At a tap A [N, h, w, K] that goes straight into global average pooling and a linear head y = W pooled + b, the
// evidence of cell ij for class c is E_c,ij = W_c . A_ij / (h w), and y_c = sum_ij E_c,ij + b_c. With m_ij the share of
// the cell that the boxes cover: y_in = sum_ij m E, y_out = sum_ij (1 - m) E, and y = y_in + y_out + b.
#pragma once

#include "engine/ops.h"

namespace boxcam {

struct EvidenceSplit {
  Tensor inside, outside;  ///< [N, classes]: y_in and y_out, without the bias
  Tensor boxed;            ///< [N], a constant: 1 for an image with a box, else 0
};

/// From A [N, h, w, K] of f32, f64 or bf16, the head's W [classes, K] and b [classes], the logits y [N, classes] that
/// it made of A, and constant masks B [N, S, S]. Everything is computed in W's type. Throws Error where shapes do not
/// fit.
EvidenceSplit split_evidence(const Tensor& A, const Tensor& W, const Tensor& b, const Tensor& y, const Tensor& B);

/// [N]: the cross-entropy of y_in + b, b [classes]: what lies in the boxes has to be enough.
Tensor evidence_cross_entropies(const EvidenceSplit& split, const Tensor& b, const Tensor& labels);

/// [N]: mean_c (y_out,c - mean_c' y_out,c')^2: what lies outside of them has to speak for no class.
Tensor evidence_penalties(const EvidenceSplit& split);

/// The mean of `each` [N] over the images with a box: a scalar, 0 where there is none.
Tensor mean_over_boxed(const Tensor& each, const EvidenceSplit& split);

}  // namespace boxcam
