// Pictures that show several classes: the loss, the pairs of a picture and a class that it shows, and the accuracy.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "engine/tensor.h"
#include "nn/data/dataset.h"

namespace boxcam {

// `present` is i32 [N, Q]: 1 where picture n shows class q, else 0. A picture of "none" has zeros alone.

/// [N]: the mean over classes of -p ln s(y) - (1 - p) ln (1 - s(y)), s the sigmoid of logits y [N, Q] and p `present`.
/// It is the softmax cross-entropy of the logits (y, 0), and so exact for y of any size, with both derivatives.
Tensor sigmoid_cross_entropies(const Tensor& logits, const Tensor& present);

/// [N, Q]: what `loss_of` gives for the CAM of class q in every picture and the masks of that class' boxes, where the
/// picture shows the class, else 0. `masks` has [N, H, W] for each class. `loss_of` is called once for each class that
/// occurs, with i32 [N] of that class and its masks, and gives [N]:
///
///   pair_losses(present, masks, [&](const Tensor& q, const Tensor& B) {
///     return explain(model, x, pass, q, options, {loss, B}).losses;
///   });
///
/// As the scores of one class are summed over the batch before they are differentiated, samples mix, those without the
/// class too, where batch norm in train mode follows a tap.
Tensor pair_losses(const Tensor& present, const std::vector<Tensor>& masks,
                   const std::function<Tensor(const Tensor& classes, const Tensor& masks)>& loss_of);

/// The mean over the pairs of a loss [N, Q] that each has: of a penalty, of a picture's every present class alike. 0
/// where no picture shows a class.
Tensor mean_over_pairs(const Tensor& losses, const Tensor& present);

/// Of one class over a split: the mean over the pictures that show it of the precision at their score, that is, of how
/// many of the pictures that score as high or higher show it too. NaN where none does.
double average_precision(std::span<const double> scores, std::span<const char> shows);

/// That of each class; `scores` and `shows` are [N, classes], row by row.
std::vector<double> average_precisions(std::span<const double> scores, std::span<const char> shows, int64_t classes);

/// What accuracy is for several labels: the mean over the classes that occur. NaN where no class occurs.
double mean_average_precision(std::span<const double> scores, std::span<const char> shows, int64_t classes);

/// [N, classes], row by row: how probable a model with these logits takes each class to be, by the softmax or, of
/// several labels, by the sigmoid of each.
std::vector<double> class_probabilities(const Tensor& logits, Task task);

}  // namespace boxcam
