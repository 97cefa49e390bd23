#include "nn/data/scenes/clutter.h"

#include <algorithm>
#include <cmath>

namespace boxcam {
namespace {

Colour any_colour(Random& random) {
  const std::vector<Colour>& palette = scene_palette();
  return palette[static_cast<size_t>(random.below(static_cast<int64_t>(palette.size())))];
}

/// Something about 2r wide and high.
SceneShape draw_thing(double x, double y, double r, Random& random) {
  const Colour a = any_colour(random), b = any_colour(random);
  switch (random.below(4)) {
    case 0:  // ball
      return {{ellipse(x, y, r, r), a * 1.12, a * .78},
              {rectangle(x - r * .8, y - r * .2, x + r * .8, y + r * .2), b, b}};
    case 1:  // crate
      return {{rectangle(x - r, y - r * .8, x + r, y + r * .8), a * 1.1, a * .85},
              {rectangle(x - r, y - r * .15, x + r, y + r * .15), a * .6, a * .6},
              {rectangle(x - r * .15, y - r * .8, x + r * .15, y + r * .8), b, b * .8}};
    case 2:  // cone
      return {{{{x - r, y + r}, {x - r * .2, y - r}, {x + r * .2, y - r}, {x + r, y + r}}, a * 1.1, a * .85},
              {{{x - r * .66, y + r * .15},
                {x - r * .44, y - r * .4},
                {x + r * .44, y - r * .4},
                {x + r * .66, y + r * .15}},
               b,
               b}};
    default:  // flag
      return {{rectangle(x - r, y - r, x - r * .86, y + r), {90, 90, 94}, {60, 60, 64}},
              {{{x - r * .86, y - r},
                {x + r, y - r * .8},
                {x + r * .7, y - r * .3},
                {x + r, y + r * .1},
                {x - r * .86, y + r * .1}},
               a * 1.1,
               a * .85},
              {rectangle(x - r * .86, y - r * .55, x + r * .6, y - r * .35), b, b}};
  }
}

}  // namespace

void paint(Canvas& canvas, const SceneShape& shape) {
  for (const ShapePart& part : shape) canvas.fill(part.polygon, part.top, part.bottom);
}

SceneShape draw_occluder(const Box& box, Random& random) {
  const double w = box.x_max - box.x_min, h = box.y_max - box.y_min, share = random.uniform(.25, .5);
  const Colour c = any_colour(random);
  switch (random.below(3)) {
    case 0: {  // post, higher than the box
      const double x = box.x_min + random.uniform(0, 1 - share) * w;
      return {{rectangle(x, box.y_min - h * .15, x + share * w, box.y_max + h * .15), c * 1.05, c * .8}};
    }
    case 1: {  // board, wider than the box, over its lower part
      const double y = box.y_max - share * h;
      return {{rectangle(box.x_min - w * .1, y, box.x_max + w * .1, box.y_max + h * .1), c * 1.05, c * .8},
              {rectangle(box.x_min - w * .1, y + h * .1, box.x_max + w * .1, y + h * .16), c * .6, c * .6}};
    }
    default: {  // bush at one end
      const double x = random.chance(.5) ? box.x_min + w * share / 2 : box.x_max - w * share / 2;
      const Colour leaf{random.uniform(40, 70), random.uniform(84, 120), random.uniform(36, 60)};
      const double y = (box.y_min + box.y_max) / 2, rx = share * w * .64, ry = h * .6;
      return {{ellipse(x, y, rx, ry), leaf * 1.1, leaf * .7},
              {ellipse(x - rx * .3, y - ry * .2, rx * .5, ry * .5), leaf * 1.25, leaf * .9}};
    }
  }
}

void paint_clutter(Canvas& canvas, Random& random) {
  const int64_t things = 5 + random.below(6), lone = 1 + random.below(3);
  for (int64_t i = 0; i < things; ++i) {
    const double r = std::exp(random.uniform(std::log(.02), std::log(.08)));
    const double x = random.uniform(), y = random.uniform();
    paint(canvas, draw_thing(x, y, r, random));
  }
  for (int64_t i = 0; i < lone; ++i) {
    const double w = random.uniform(.1, .25), h = random.uniform(.08, .18);
    const double x = random.uniform(0, 1 - w), y = random.uniform(0, 1 - h);
    paint(canvas, draw_occluder({x, y, x + w, y + h}, random));
  }
}

}  // namespace boxcam
