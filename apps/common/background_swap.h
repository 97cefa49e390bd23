// --background-swap: pictures of a batch with another picture's ground, so that the ground says nothing of the label.
#pragma once

#include "apps/common/controls.h"

namespace boxcam {

struct BackgroundSwap {
  double share = 0;  ///< of the pictures, each drawn alone; 0: off

  /// Pictures whose boxes take more than this stay as they are, and lend no ground either.
  static constexpr double kMostOfAPicture = 0.9;
};

/// How boxes become what is kept of a picture.
struct SwapMasks {
  const BoxLists& boxes;  ///< as losses read them
  double margin = 0;      ///< pixels added around them
  bool inverse = false;   ///< the ground is kept, and what is in the boxes replaced
};

/// Swaps grounds within a batch, on its bytes; labels and boxes stay. Returns a mark for each picture that was changed.
/// A picture with boxes keeps what they hold and gets the ground of a picture of label `none` without boxes or, where
/// the batch has no other, that of any other with boxes, its object filled with the mean colour of its ground. A
/// picture of label `none` gets the same done with the boxes of a picture of the batch, so that a rectangle's seam
/// tells nothing. Where the batch has no such partner a picture stays as it is. `none`: -1 where no output means that.
/// A function of (seed, step), the place in the batch, and the batch.
std::vector<char> swap_backgrounds(Batch& batch, const SwapMasks& masks, double share, int64_t none, uint64_t seed,
                                   int64_t step);

}  // namespace boxcam
