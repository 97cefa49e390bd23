#include "apps/common/background_swap.h"

#include <algorithm>

#include "engine/base/check.h"
#include "engine/base/random.h"
#include "nn/data/composite.h"

namespace boxcam {

namespace {

/// The pictures of a batch as they were, and which of them can lend what.
class Lenders {
 public:
  Lenders(const Batch& batch, const SwapMasks& masks, int64_t none)
      : before_(batch.images),
        bytes_(batch.images.size() / static_cast<size_t>(batch.size)),
        size_(batch.image_size),
        masks_(masks) {
    for (size_t n = 0; n < masks.boxes.size(); ++n) {
      is_none_.push_back(batch.boxes[n].empty() && batch.labels[n] == none);
      has_object_.push_back(!masks.boxes[n].empty() && leaves_enough(n));
    }
  }

  bool is_none(size_t n) const { return is_none_[n]; }
  /// Has boxes that leave enough of the picture.
  bool has_object(size_t n) const { return has_object_[n]; }
  const uint8_t* picture(size_t n) const { return &before_[n * bytes_]; }

  /// Of the pictures with objects, those that `n` may take; as numbers of the batch.
  std::vector<size_t> objects() const { return which(has_object_, has_object_.size()); }
  /// Those whose ground `n` may take: of "none" where there are others, else filled ones.
  std::vector<size_t> grounds(size_t n) const {
    const std::vector<size_t> empty = which(is_none_, n);
    return empty.empty() ? which(has_object_, n) : empty;
  }
  std::vector<uint8_t> ground(size_t n) const {
    if (!is_none_[n]) return filled_with_mean(hiding(n), picture(n));
    return {picture(n), picture(n) + bytes_};
  }
  /// What takes all of the object, and some of what is around it.
  SoftMask hiding(size_t n) const { return soft_mask(masks_.boxes[n], size_, masks_.margin + size_ / 32.0); }
  /// What is kept of a picture under the boxes of picture n.
  SoftMask kept(size_t n, MaskShape shape) const { return masks_.inverse ? rest(soft(n, shape)) : soft(n, shape); }
  SoftMask hidden(size_t n) const { return masks_.inverse ? rest(soft(n)) : hiding(n); }

 private:
  SoftMask soft(size_t n, MaskShape shape = MaskShape::box) const {
    return soft_mask(masks_.boxes[n], size_, masks_.margin, shape);
  }
  static SoftMask rest(SoftMask mask) {
    for (double& value : mask) value = 1 - value;
    return mask;
  }
  bool leaves_enough(size_t n) const {
    // Most boxes are small: the sum of what each can take at most says so without a mask.
    const double more = 2 * masks_.margin;
    double most = 0;
    for (const Box& box : masks_.boxes[n]) most += (box.x_max - box.x_min + more) * (box.y_max - box.y_min + more);
    const double limit = BackgroundSwap::kMostOfAPicture;
    return most <= limit * size_ * size_ || share_of(soft(n)) <= limit;
  }
  static std::vector<size_t> which(const std::vector<char>& marked, size_t but) {
    std::vector<size_t> list;
    for (size_t n = 0; n < marked.size(); ++n)
      if (marked[n] && n != but) list.push_back(n);
    return list;
  }

  const std::vector<uint8_t> before_;
  const size_t bytes_;
  const int size_;
  const SwapMasks masks_;
  std::vector<char> is_none_, has_object_;
};

std::vector<uint8_t> filled(const SoftMask& mask, const uint8_t* picture, int size, ContextFill fill) {
  switch (fill) {
    case ContextFill::blur: return filled_with_blur(mask, picture, size);
    case ContextFill::surroundings: return filled_from_around(mask, picture, size);
    case ContextFill::mean: break;
  }
  return filled_with_mean(mask, picture);
}

MaskShape shape_of(const BackgroundSwap& swap, Random& random) {
  if (swap.shape == SwapShape::box) return MaskShape::box;
  constexpr MaskShape kShapes[] = {MaskShape::box, MaskShape::rounded, MaskShape::ellipse};
  return kShapes[random.below(3)];
}

size_t one_of(const std::vector<size_t>& list, Random& random) {
  return list[static_cast<size_t>(random.below(static_cast<int64_t>(list.size())))];
}

}  // namespace

std::vector<char> swap_backgrounds(Batch& batch, const SwapMasks& masks, const BackgroundSwap& swap, int64_t none,
                                   uint64_t seed, int64_t step) {
  const Lenders lenders(batch, masks, none);
  const std::vector<size_t> objects = lenders.objects();
  std::vector<char> swapped(masks.boxes.size(), 0);
  for (size_t n = 0; n < swapped.size(); ++n) {
    Random random(seed, stream_of(str("background swap, step ", step, ", position ", n)));
    if (!random.chance(swap.share) || (!lenders.has_object(n) && !lenders.is_none(n))) continue;
    const std::vector<size_t> grounds = lenders.grounds(n);
    if (grounds.empty() || objects.empty()) continue;
    const size_t boxes = lenders.is_none(n) ? one_of(objects, random) : n;
    const std::vector<uint8_t> ground = lenders.ground(one_of(grounds, random));
    composite(lenders.kept(boxes, shape_of(swap, random)), lenders.picture(n), ground.data(),
              &batch.images[n * ground.size()]);
    swapped[n] = 1;
  }
  return swapped;
}

std::vector<char> hide_objects(Batch& batch, const SwapMasks& masks, ContextFill fill, int64_t none, uint64_t seed,
                               int64_t step) {
  const Lenders lenders(batch, masks, none);
  const std::vector<size_t> objects = lenders.objects();
  std::vector<char> hidden(masks.boxes.size(), 0);
  for (size_t n = 0; n < hidden.size() && !objects.empty(); ++n) {
    if (!lenders.has_object(n) && !lenders.is_none(n)) continue;
    Random random(seed, stream_of(str("context only, step ", step, ", position ", n)));
    const SoftMask mask = lenders.hidden(lenders.is_none(n) ? one_of(objects, random) : n);
    const std::vector<uint8_t> bytes = filled(mask, lenders.picture(n), batch.image_size, fill);
    std::copy(bytes.begin(), bytes.end(), batch.images.begin() + static_cast<std::ptrdiff_t>(n * bytes.size()));
    hidden[n] = 1;
  }
  return hidden;
}

}  // namespace boxcam
