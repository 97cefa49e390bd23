// The objects of the procedural scenes, as coloured polygons.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/base/random.h"
#include "nn/data/scenes/raster.h"

namespace boxcam {

struct ShapePart {
  Polygon polygon;
  Colour top, bottom;  ///< the colour at the polygon's highest and lowest point
};
/// Parts in painting order.
using SceneShape = std::vector<ShapePart>;

/// The colours that objects of every class and the distractors share.
const std::vector<Colour>& scene_palette();

enum class SceneObject { plane, ship, car, motorbike, person };

/// One object in one of its variants, nose to the right, y downwards, around the origin and about `aspect` wide and 1
/// high (wheels, heads and portholes stay round at any aspect).
SceneShape draw_object(SceneObject object, double aspect, Colour primary, Colour secondary, Random& random);

}  // namespace boxcam
