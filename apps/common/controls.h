// Whose boxes the losses of a training step read (--boxes): each image's own, or those of a control, which tells what
// correct boxes add. Boxes are in pixels of the network's input, which has one size for all images, so that a box keeps
// its share of the picture when it goes to another.
#pragma once

#include <cstdint>
#include <vector>

#include "nn/data/loader.h"

namespace boxcam {

enum class BoxControl {
  own,
  shuffled,        ///< another image's of the batch, in a random cycle, anew at every step
  fixed_shuffled,  ///< another image's of the training split, in one random cycle over all of it
  random,          ///< each of its size, in a place that is drawn anew at every step
  centre,          ///< the largest, in the centre
  inverse,         ///< all but the boxes: own boxes, of which a mask takes the outside
  none,            ///< no box at all
};

/// A list for each image.
using BoxLists = std::vector<std::vector<Box>>;

/// What an image is given: a function of (seed, step) and the batch alone. An image without a box gets none. `fixed`:
/// of fixed_shuffled, as fixed_cycle makes it. A batch with one boxed image leaves it its own under `shuffled`.
BoxLists control_boxes(const Batch& batch, BoxControl control, uint64_t seed, int64_t step, const BoxLists& fixed = {});

/// Of the boxes of all images of a split: those that each gets under fixed_shuffled, a function of the seed.
BoxLists fixed_cycle(const BoxLists& boxes, uint64_t seed);

/// The boxes of all images of a split, as a loader with these options shows them but for what is random: unflipped, and
/// of the whole picture where training sees random crops of it. Every image is loaded once; only boxes are kept.
BoxLists all_boxes(const Dataset& data, LoaderOptions options);

}  // namespace boxcam
