#include "nn/data/scenes/backgrounds.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "nn/data/scenes/objects.h"

namespace boxcam {
namespace {

struct Gradient {
  Colour top, bottom;
};
constexpr std::array<Gradient, 6> skies{{{{90, 150, 225}, {185, 215, 240}},
                                         {{150, 160, 175}, {205, 208, 212}},
                                         {{66, 96, 164}, {240, 182, 134}},
                                         {{52, 74, 124}, {128, 146, 184}},
                                         {{120, 180, 235}, {225, 235, 245}},
                                         {{110, 140, 190}, {236, 200, 196}}}};
constexpr std::array<Gradient, 4> seas{{{{62, 112, 152}, {24, 64, 108}},
                                        {{72, 142, 142}, {24, 94, 104}},
                                        {{98, 114, 124}, {54, 70, 84}},
                                        {{44, 84, 134}, {18, 40, 82}}}};
constexpr std::array<Colour, 3> dry_lands{{{186, 156, 106}, {168, 122, 84}, {152, 140, 112}}};
constexpr std::array<Colour, 3> lawns{{{96, 150, 62}, {72, 126, 58}, {122, 154, 76}}};
constexpr std::array<Colour, 4> lands{{{90, 130, 60}, {152, 140, 82}, {112, 112, 92}, {62, 102, 56}}};

template <class Array>
const auto& pick(const Array& items, Random& random) {
  return items[static_cast<size_t>(random.below(static_cast<int64_t>(items.size())))];
}

Colour jitter(Colour c, double spread, Random& random) {
  const double r = random.normal(), g = random.normal(), b = random.normal();
  return {std::clamp(c.r + r * spread, 0.0, 255.0), std::clamp(c.g + g * spread, 0.0, 255.0),
          std::clamp(c.b + b * spread, 0.0, 255.0)};
}

Gradient jitter(const Gradient& gradient, Random& random) {
  const Colour top = jitter(gradient.top, 13, random), bottom = jitter(gradient.bottom, 13, random);
  return {top, bottom};
}

// Smooth noise in [-1, 1] over the plane with one lattice point per unit, repeating every 32.
class Texture {
 public:
  explicit Texture(Random& random) {
    for (double& value : lattice_) value = random.next() / 2147483647.5 - 1;
  }
  double at(double u, double v) const {
    const double fu = std::floor(u), fv = std::floor(v), a = ease(u - fu), b = ease(v - fv);
    const int x = static_cast<int>(static_cast<int64_t>(fu) & 31), y = static_cast<int>(static_cast<int64_t>(fv) & 31);
    const int x1 = (x + 1) & 31, y1 = (y + 1) & 31;
    const double top = value(y, x) + (value(y, x1) - value(y, x)) * a;
    const double bottom = value(y1, x) + (value(y1, x1) - value(y1, x)) * a;
    return top + (bottom - top) * b;
  }

 private:
  static double ease(double t) { return t * t * (3 - 2 * t); }
  double value(int y, int x) const { return lattice_[size_t(y) * 32 + size_t(x)]; }
  std::array<double, 32 * 32> lattice_;
};

void paint_clouds(Canvas& canvas, double bottom, int64_t count, const Texture& texture, Random& random) {
  if (count == 0) return;
  Canvas density(canvas.size());  // in the red channel
  for (int64_t cloud = 0; cloud < count; ++cloud) {
    const double cx = random.uniform(), cy = random.uniform(0, bottom);
    const int64_t puffs = 3 + random.below(5);
    for (int64_t p = 0; p < puffs; ++p) {
      const double x = cx + random.normal() * .09, y = cy + random.normal() * .02;
      const double rx = random.uniform(.06, .17), ry = rx * random.uniform(.3, .55), strength = random.uniform(.5, .95);
      density.each_pixel(x - rx, y - ry, x + rx, y + ry, [&](double px, double py, Colour& d) {
        const double u = (px - x) / rx, v = (py - y) / ry, inside = std::max(0.0, 1 - u * u - v * v);
        d.r += strength * inside * inside;
      });
    }
  }
  const Colour white = jitter({246, 246, 249}, 5, random);
  density.each_pixel(0, 0, 1, 1, [&](double x, double y, Colour& d) {
    if (d.r > 0) d.r = std::min(1.0, d.r * (1 + .5 * texture.at(x * 14, y * 22))) * .92;
  });
  for (int y = 0; y < canvas.size(); ++y)
    for (int x = 0; x < canvas.size(); ++x) canvas.at(y, x) = mix(canvas.at(y, x), white, density.at(y, x).r);
}

void paint_sky(Canvas& canvas, double bottom, int64_t clouds, const Texture& texture, Random& random) {
  const Gradient sky = jitter(pick(skies, random), random);
  canvas.each_pixel(0, 0, 1, 1, [&](double, double y, Colour& c) { c = mix(sky.top, sky.bottom, y / bottom); });
  if (random.chance(.25)) {  // sun or moon
    const double x = random.uniform(), y = random.uniform(0, .5), r = random.uniform(.03, .06);
    for (const double halo : {2.2, 1.6}) canvas.fill(ellipse(x, y, r * halo, r * halo), {255, 244, 206}, .18);
    canvas.fill(ellipse(x, y, r, r), {255, 242, 198});
  }
  paint_clouds(canvas, bottom, clouds, texture, random);
}

// A ridge line across the picture, filled down to `base`.
void paint_ridge(Canvas& canvas, double height, double roughness, double base, Colour colour, Random& random) {
  Polygon ridge{{1.2, base}, {-.2, base}};
  for (int i = 0; i <= 9; ++i) ridge.push_back({-.2 + 1.4 * i / 9, height + random.normal() * roughness});
  canvas.fill(rounded(ridge), colour, colour * .85);
}

void paint_balloon(Canvas& canvas, Random& random) {
  const double x = random.uniform(.05, .95), y = random.uniform(.05, .85), r = random.uniform(.02, .04);
  const Colour colour = pick(scene_palette(), random), stripe = pick(scene_palette(), random);
  canvas.line({x - r * .5, y + r * .8}, {x - r * .2, y + r * 1.8}, r * .14, {70, 60, 50});
  canvas.line({x + r * .5, y + r * .8}, {x + r * .2, y + r * 1.8}, r * .14, {70, 60, 50});
  canvas.fill(ellipse(x, y, r, r * 1.15), colour * 1.1, colour * .8);
  canvas.fill(ellipse(x, y, r * .35, r * 1.15), stripe * 1.1, stripe * .8);
  canvas.fill(rectangle(x - r * .25, y + r * 1.7, x + r * .25, y + r * 2.1), {110, 76, 44});
}

void paint_birds(Canvas& canvas, int64_t count, Random& random) {
  for (int64_t i = 0; i < count; ++i) {
    const double x = random.uniform(), y = random.uniform(0, .6), r = random.uniform(.012, .03);
    const double lift = r * random.uniform(.3, .7);
    canvas.line({x - r, y - lift}, {x, y}, r * .28, {44, 44, 50});
    canvas.line({x, y}, {x + r, y - lift}, r * .28, {44, 44, 50});
  }
}

void paint_waves(Canvas& canvas, double horizon, Colour base, Random& random) {
  const double strength = random.uniform(.6, 1.6);
  const int64_t count = 40 + random.below(70);
  for (int64_t i = 0; i < count; ++i) {
    const double y = random.uniform(horizon + .02, 1), x = random.uniform(-.05, 1);
    const double near = (y - horizon) / (1 - horizon);
    const double w = (.02 + .08 * near) * random.uniform(.5, 1.5), h = .006 + .02 * near, thick = .005 + .011 * near;
    const double light = random.uniform(10, 42) * strength * (random.chance(.65) ? 1 : -1);
    const Colour c{base.r + light, base.g + light, base.b + light};
    const double middle = x + w * .5, shoulder = y - h * .6;
    canvas.fill(rounded({{x - w * .1, y + thick},
                         {middle - w * .2, shoulder},
                         {middle, y - h},
                         {middle + w * .2, shoulder},
                         {x + w * 1.1, y + thick},
                         {middle, y - h + thick * 2}}),
                c, .85);
  }
}

void paint_lighthouse(Canvas& canvas, double x, double y, double h) {
  canvas.fill({{x - h * .13, y}, {x - h * .08, y - h}, {x + h * .08, y - h}, {x + h * .13, y}}, {236, 232, 226});
  canvas.fill(
      {{x - h * .115, y - h * .3}, {x - h * .1, y - h * .6}, {x + h * .1, y - h * .6}, {x + h * .115, y - h * .3}},
      {196, 50, 44});
  canvas.fill(rectangle(x - h * .09, y - h * 1.18, x + h * .09, y - h), {252, 232, 140});
  canvas.fill({{x - h * .13, y - h * 1.18}, {x, y - h * 1.36}, {x + h * .13, y - h * 1.18}}, {80, 40, 40});
}

double paint_sea(Canvas& canvas, const Texture& texture, Random& random) {
  const double horizon = random.uniform(.10, .38);
  paint_sky(canvas, horizon, random.below(4), texture, random);
  if (random.chance(.35)) {  // island
    const double x = random.uniform(), w = random.uniform(.1, .3);
    const Colour c = jitter({84, 104, 92}, 12, random);
    canvas.fill(rounded({{x - w * 1.1, horizon + .01},
                         {x - w * .5, horizon - w * .26},
                         {x, horizon - w * .12},
                         {x + w * .35, horizon - w * .22},
                         {x + w * 1.1, horizon + .01}}),
                c * 1.1, c * .85);
    if (random.chance(.4)) paint_lighthouse(canvas, x + w * .3, horizon - w * .1, random.uniform(.05, .09));
  }
  const Gradient sea = jitter(pick(seas, random), random);
  canvas.fill(rectangle(-.1, horizon, 1.1, 1.001), sea.top, sea.bottom);
  const double swell = random.uniform(5, 13);
  canvas.each_pixel(0, horizon, 1, 1, [&](double x, double y, Colour& c) {
    const double near = (y - horizon) / (1 - horizon) + .12, depth = 2.4 / near;  // ripples shrink towards the horizon
    const double coarse = texture.at((x - .5) * 3 / near, depth * 3), fine = texture.at(x * 13 / near, depth * 9);
    const double light = swell * (coarse + .6 * fine);
    c = {c.r + light, c.g + light, c.b + light};
  });
  paint_waves(canvas, horizon, mix(sea.top, sea.bottom, .5), random);
  if (random.chance(.35)) {  // buoy
    const double x = random.uniform(.05, .95), y = random.uniform(horizon + .1, .95), r = random.uniform(.012, .028);
    const Colour c = pick(scene_palette(), random);
    canvas.fill({{x - r, y}, {x - r * .35, y - 2.4 * r}, {x + r * .35, y - 2.4 * r}, {x + r, y}}, c * 1.1, c * .7);
    canvas.fill(ellipse(x, y - 2.7 * r, r * .4, r * .4), {250, 236, 150});
  }
  paint_birds(canvas, random.below(3), random);
  return horizon;
}

void paint_tree(Canvas& canvas, double x, double base, double h, Random& random) {
  const Colour leaf = jitter({54, 98, 48}, 12, random);
  canvas.fill(rectangle(x - h * .06, base - h * .45, x + h * .06, base), {84, 64, 44});
  if (random.chance(.4)) {
    for (const double y : {.35, .6, .82})
      canvas.fill({{x - h * (.36 - y * .2), base - h * (y - .15)},
                   {x, base - h * (y + .22)},
                   {x + h * (.36 - y * .2), base - h * (y - .15)}},
                  leaf * 1.05, leaf * .8);
  } else {
    canvas.fill(ellipse(x - h * .16, base - h * .58, h * .22, h * .22), leaf, leaf * .8);
    canvas.fill(ellipse(x + h * .16, base - h * .56, h * .22, h * .21), leaf * .95, leaf * .75);
    canvas.fill(ellipse(x, base - h * .76, h * .24, h * .24), leaf * 1.15, leaf * .9);
  }
}

void paint_house(Canvas& canvas, double x, double base, double r, Random& random) {
  const Colour wall = jitter({178, 160, 148}, 16, random), roof = jitter({132, 66, 52}, 16, random);
  canvas.fill(rectangle(x - r, base - r * .9, x + r, base), wall, wall * .88);
  canvas.fill({{x - r * 1.2, base - r * .85},
               {x - r * .55, base - r * 1.6},
               {x + r * .55, base - r * 1.6},
               {x + r * 1.2, base - r * .85}},
              roof);
  canvas.fill(rectangle(x - r * .18, base - r * .55, x + r * .18, base), roof * .6);
  for (const double side : {-1.0, 1.0})
    canvas.fill(rectangle(x + side * r * .6 - r * .16, base - r * .65, x + side * r * .6 + r * .16, base - r * .35),
                {88, 104, 126});
}

void paint_sign(Canvas& canvas, double horizon, Random& random) {
  const double x = random.uniform(.05, .95), y = random.uniform(horizon, .7), r = random.uniform(.018, .034);
  const Colour plate = pick(scene_palette(), random);
  canvas.fill(rectangle(x - r * .14, y, x + r * .14, y + r * 4), {116, 116, 120});
  if (random.chance(.5)) {
    canvas.fill(ellipse(x, y, r, r), plate);
    canvas.fill(ellipse(x, y, r * .6, r * .6), {238, 238, 236});
  } else {
    canvas.fill({{x - r, y + r * .8}, {x, y - r}, {x + r, y + r * .8}}, plate);
    canvas.fill({{x - r * .55, y + r * .55}, {x, y - r * .5}, {x + r * .55, y + r * .55}}, {240, 238, 228});
  }
}

// A road that runs away from the viewer to a vanishing point.
void paint_road_ahead(Canvas& canvas, double horizon, Colour asphalt, Colour marking, Random& random) {
  const double vanish = random.uniform(.25, .75), half = random.uniform(.45, .9), centre = random.uniform(.3, .7);
  // The point `across` half widths from the middle, from the horizon (t = 0) to the lower edge (t = 1).
  const auto point = [&](double across, double t) {
    return Point{vanish + (centre - vanish) * t + across * (.015 + (half - .015) * t), horizon + (1 - horizon) * t};
  };
  const auto strip = [&](double left, double right, double t0, double t1, Colour c) {
    canvas.fill({point(left, t0), point(right, t0), point(right, t1), point(left, t1)}, c);
  };
  strip(-1.06, 1.06, 0, 1.05, asphalt * 1.3);  // shoulder
  strip(-1, 1, 0, 1.05, asphalt);
  for (const double side : {-.95, .95}) strip(side - .016, side + .016, 0, 1.05, marking);
  const int64_t lines = 1 + random.below(2);
  const double phase = random.uniform();
  for (int64_t line = 0; line < lines; ++line) {
    const double across = lines == 1 ? 0 : (line == 0 ? -.33 : .33);
    for (int k = -1; k < 7; ++k) {
      const double from = std::max(0.0, (k + phase) / 7), to = std::max(0.0, (k + phase + .5) / 7);
      if (to > 0) strip(across - .02, across + .02, from * from, to * to, marking);
    }
  }
}

// A road that crosses the picture.
void paint_road_across(Canvas& canvas, double horizon, Colour asphalt, Colour marking, Random& random) {
  const double y0 = random.uniform(horizon + .08, .55), y1 = random.uniform(.85, 1.05), phase = random.uniform(0, .2);
  canvas.fill(rectangle(-.1, y0 - .02, 1.1, y1 + .025), asphalt * 1.3);  // kerb
  canvas.fill(rectangle(-.1, y0, 1.1, y1), asphalt * .94, asphalt);
  canvas.fill(rectangle(-.1, y0 + .015, 1.1, y0 + .028), marking);
  canvas.fill(rectangle(-.1, y1 - .03, 1.1, y1 - .015), marking);
  const int64_t lines = 1 + random.below(2);
  for (int64_t line = 1; line <= lines; ++line) {
    const double y = y0 + (y1 - y0) * static_cast<double>(line) / static_cast<double>(lines + 1);
    for (int k = -1; k < 5; ++k)
      canvas.fill({{k * .2 + phase, y - .01},
                   {k * .2 + phase + .1, y - .01},
                   {k * .2 + phase + .095, y + .01},
                   {k * .2 + phase - .005, y + .01}},
                  marking);
  }
}

void paint_grain(Canvas& canvas, double horizon, double grain, const Texture& texture) {
  canvas.each_pixel(0, horizon, 1, 1, [&](double x, double y, Colour& c) {
    const double near = (y - horizon) / (1 - horizon) + .15;
    const double light = grain * (texture.at((x - .5) * 9 / near, 14 / near) + texture.at(x * 40, y * 40));
    c = {c.r + light, c.g + light, c.b + light};
  });
}

double paint_road(Canvas& canvas, const Texture& texture, Random& random) {
  const double horizon = random.uniform(.10, .38);
  paint_sky(canvas, horizon, random.below(3), texture, random);
  const Colour land = pick(lands, random);
  if (random.chance(.4)) paint_ridge(canvas, horizon - .04, .02, horizon + .05, mix(land, {140, 160, 180}, .5), random);
  const Gradient ground = jitter({land, land * .85}, random);
  canvas.fill(rectangle(-.1, horizon, 1.1, 1.001), ground.top, ground.bottom);
  const double grey = random.uniform(72, 124);
  const Colour asphalt{grey, grey + 1, grey + 4};
  const Colour marking = random.chance(.75) ? Colour{226, 226, 216} : Colour{226, 192, 64};
  if (random.chance(.5))
    paint_road_ahead(canvas, horizon, asphalt, marking, random);
  else
    paint_road_across(canvas, horizon, asphalt, marking, random);
  paint_grain(canvas, horizon, random.uniform(4, 9), texture);
  const int64_t things = random.below(6);
  for (int64_t i = 0; i < things; ++i) {  // along the horizon
    const double x = random.uniform(), r = random.uniform(.03, .07);
    if (random.chance(.6))
      paint_tree(canvas, x, horizon + r * .5, r * 2, random);
    else
      paint_house(canvas, x, horizon + r * .3, r * .8, random);
  }
  if (random.chance(.35)) paint_sign(canvas, horizon, random);
  paint_birds(canvas, random.below(2), random);
  return horizon;
}

// A dirt track through dry land, with stones.
double paint_track(Canvas& canvas, const Texture& texture, Random& random) {
  const double horizon = random.uniform(.10, .38);
  paint_sky(canvas, horizon, random.below(3), texture, random);
  const Colour land = jitter(pick(dry_lands, random), 10, random);
  if (random.chance(.6)) paint_ridge(canvas, horizon - .06, .03, horizon + .05, mix(land, {170, 160, 160}, .4), random);
  canvas.fill(rectangle(-.1, horizon, 1.1, 1.001), land * 1.08, land * .9);
  const Colour dirt = land * random.uniform(.66, .8);
  const double vanish = random.uniform(.2, .8), bend = random.uniform(-.3, .3), half = random.uniform(.2, .45);
  Polygon track;
  const auto middle = [&](double t) { return vanish + (.5 - vanish) * t + bend * std::sin(3.1 * t) * t; };
  for (int k = 0; k <= 8; ++k) track.push_back({middle(k / 8.) - .01 - half * k / 8, horizon + (1 - horizon) * k / 8});
  for (int k = 8; k >= 0; --k) track.push_back({middle(k / 8.) + .01 + half * k / 8, horizon + (1 - horizon) * k / 8});
  canvas.fill(track, dirt * 1.05, dirt * .95);
  paint_grain(canvas, horizon, random.uniform(6, 13), texture);
  const int64_t stones = 3 + random.below(10);
  for (int64_t i = 0; i < stones; ++i) {
    const double t = random.uniform(), x = random.uniform(), r = (.006 + .02 * t) * random.uniform(.6, 1.4);
    const double grey = random.uniform(96, 150);
    canvas.fill(ellipse(x, horizon + (1 - horizon) * t, r * 1.4, r), {grey + 8, grey + 4, grey},
                {grey * .6, grey * .6, grey * .6});
  }
  if (random.chance(.35)) paint_sign(canvas, horizon, random);
  paint_birds(canvas, random.below(2), random);
  return horizon;
}

// A lawn with trees behind it, a path, and flowers.
double paint_park(Canvas& canvas, const Texture& texture, Random& random) {
  const double horizon = random.uniform(.10, .38);
  paint_sky(canvas, horizon, random.below(3), texture, random);
  const Colour lawn = jitter(pick(lawns, random), 9, random);
  canvas.fill(rectangle(-.1, horizon, 1.1, 1.001), lawn, lawn * .82);
  if (random.chance(.7)) {
    const double y0 = random.uniform(horizon + .1, .6), y1 = random.uniform(.5, .95), w = random.uniform(.05, .12);
    canvas.fill(rounded({{-.1, y0}, {.4, y0 + .05}, {1.1, y1}, {1.1, y1 + w * 1.4}, {.4, y0 + .05 + w}, {-.1, y0 + w}}),
                {196, 184, 156}, {176, 164, 138});
  }
  paint_grain(canvas, horizon, random.uniform(5, 11), texture);
  const int64_t trees = 4 + random.below(6);
  for (int64_t i = 0; i < trees; ++i) {
    const double x = random.uniform(), r = random.uniform(.05, .11);
    paint_tree(canvas, x, horizon + r * .4, r * 2, random);
  }
  const int64_t flowers = random.below(30);
  for (int64_t i = 0; i < flowers; ++i) {
    const double t = random.uniform(.1, 1), x = random.uniform(), r = .003 + .007 * t;
    canvas.fill(ellipse(x, horizon + (1 - horizon) * t, r, r), pick(scene_palette(), random));
  }
  if (random.chance(.35)) paint_sign(canvas, horizon, random);
  paint_birds(canvas, random.below(3), random);
  return horizon;
}

}  // namespace

double paint_background(Canvas& canvas, Background background, Random& random) {
  const Texture texture(random);
  if (background == Background::sea) return paint_sea(canvas, texture, random);
  if (background == Background::road) return paint_road(canvas, texture, random);
  if (background == Background::track) return paint_track(canvas, texture, random);
  if (background == Background::park) return paint_park(canvas, texture, random);
  paint_sky(canvas, 1, 1 + random.below(5), texture, random);
  if (random.chance(.3)) {
    const double height = random.uniform(.86, .95);
    const Colour land = jitter(pick(lands, random), 13, random);
    if (random.chance(.5)) paint_ridge(canvas, height - .04, .02, 1.2, mix(land, {150, 165, 185}, .5), random);
    paint_ridge(canvas, height, .015, 1.2, land, random);
  }
  if (random.chance(.2)) paint_balloon(canvas, random);
  paint_birds(canvas, random.below(4), random);
  return 0;
}

}  // namespace boxcam
