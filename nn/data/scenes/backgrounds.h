// Grounds for the procedural scenes, with distractors that have nothing to do with the class.
#pragma once

#include "engine/base/random.h"
#include "nn/data/scenes/raster.h"

namespace boxcam {

enum class Background { sky, sea, road, track, park };

/// Paints one over the whole canvas. Returns the horizon's height in [0, 1]; 0 for the sky, where anything may float.
double paint_background(Canvas& canvas, Background background, Random& random);

}  // namespace boxcam
