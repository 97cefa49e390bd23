// What makes scenes hard: things of no class in the objects' own colours, and things that stand in front of objects.
#pragma once

#include "engine/base/random.h"
#include "nn/data/scenes/objects.h"

namespace boxcam {

/// Balls, crates, cones and flags, and posts, boards and bushes with nothing behind them, anywhere on the canvas.
void paint_clutter(Canvas& canvas, Random& random);

/// A post, a board or a bush in front of a quarter to a half of a box. It depends on nothing but the box.
SceneShape draw_occluder(const Box& box, Random& random);

void paint(Canvas& canvas, const SceneShape& shape);

}  // namespace boxcam
