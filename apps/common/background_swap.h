// Pictures of a batch made anew by their boxes: over another picture's ground (--background-swap), so that the ground
// says nothing of the label, or without their objects (--context-only), so that the ground alone is no object.
#pragma once

#include "apps/common/controls.h"

namespace boxcam {

/// What a swap keeps of a box.
enum class SwapShape {
  varied,  ///< the box, a rounded box or an ellipse in it, drawn for each picture: corners hold ground, not object
  box,     ///< always all of it
};

struct BackgroundSwap {
  double share = 0;        ///< of the pictures, each drawn alone; 0: off
  double consistency = 0;  ///< weight of KL(f(x) || f(swapped x)), f(x) a constant; 0: off

  SwapShape shape = SwapShape::varied;

  /// Pictures whose boxes take more than this stay as they are, and lend no ground either.
  static constexpr double kMostOfAPicture = 0.9;
};

/// What takes the object's place.
enum class ContextFill {
  blur,          ///< its own colours without shapes
  surroundings,  ///< what lies around the boxes, continued
  mean,          ///< the mean colour of the rest
};

struct ContextOnly {
  double weight = 0;  ///< of the cross-entropy of pictures without their objects, taught as "none"; 0: off
  ContextFill fill = ContextFill::blur;
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
std::vector<char> swap_backgrounds(Batch& batch, const SwapMasks& masks, const BackgroundSwap& swap, int64_t none,
                                   uint64_t seed, int64_t step);

/// Fills what the boxes of pictures hold, with soft edges; a picture of label `none` is filled in the shape of the
/// boxes of a picture of the batch, so that a fill tells nothing. With inverse masks the objects stay and their ground
/// goes. Returns a mark for each picture that was filled. A function as swap_backgrounds is.
std::vector<char> hide_objects(Batch& batch, const SwapMasks& masks, ContextFill fill, int64_t none, uint64_t seed,
                               int64_t step);

}  // namespace boxcam
