#include "nn/data/scenes/objects.h"

#include <cmath>

namespace boxcam {
namespace {

constexpr Colour glass{52, 74, 104}, dark{34, 34, 38}, metal{172, 172, 178};

// Collects parts given in the frame x in [-1, 1], y in [-0.5, 0.5].
class Builder {
 public:
  explicit Builder(double aspect) : half_(aspect / 2) {}

  // Lit from above: a little lighter at the top, darker at the bottom.
  void lit(const Polygon& polygon, Colour c) { add(polygon, c * 1.12, c * 0.78); }
  void flat(const Polygon& polygon, Colour c) { add(polygon, c, c); }
  void rect(double x0, double y0, double x1, double y1, Colour c) { flat(rectangle(x0, y0, x1, y1), c); }
  /// A true circle at any aspect; the radius is in units of y.
  void circle(double x, double y, double radius, Colour c) { flat(ellipse(x, y, radius / half_, radius), c); }
  /// `count` windows side by side from x0 to x1.
  void windows(double x0, double x1, double y0, double y1, int64_t count, Colour c) {
    const double step = (x1 - x0) / static_cast<double>(count);
    for (int64_t i = 0; i < count; ++i) {
      const double x = x0 + step * static_cast<double>(i);
      rect(x + step * 0.18, y0, x + step * 0.82, y1, c);
    }
  }
  /// A bar of even width between two points; the width is in units of y.
  void bar(Point from, Point to, double width, Colour c) {
    const double dx = (to.x - from.x) * half_, dy = to.y - from.y, length = std::hypot(dx, dy);
    const double nx = -dy / length * width / 2 / half_, ny = dx / length * width / 2;
    flat({{from.x + nx, from.y + ny}, {to.x + nx, to.y + ny}, {to.x - nx, to.y - ny}, {from.x - nx, from.y - ny}}, c);
  }
  void wheel(double x, double y, double radius) {
    circle(x, y, radius, {26, 26, 29});
    circle(x, y, radius * 0.52, metal);
    circle(x, y, radius * 0.18, dark);
  }
  SceneShape take() { return std::move(shape_); }

 private:
  void add(Polygon polygon, Colour top, Colour bottom) {
    for (Point& p : polygon) p.x *= half_;
    shape_.push_back({std::move(polygon), top, bottom});
  }

  double half_;
  SceneShape shape_;
};

// Polygons are laid out by hand, as tables.
// clang-format off

// A jet airliner from the side and a little above: swept wings, engines, fin.
void airliner(Builder& b, Colour body, Colour trim, Random& random) {
  const bool stripe = random.chance(0.5);
  b.flat({{-.02, -.05}, {.24, -.05}, {-.14, -.46}, {-.27, -.46}}, trim * .72);                    // far wing
  b.flat({{-.80, -.06}, {-.64, -.06}, {-.78, -.20}, {-.88, -.20}}, trim * .65);                   // far tailplane
  b.lit({{-.98, -.5}, {-.80, -.5}, {-.50, -.08}, {-.88, -.05}}, trim);                            // fin
  b.lit(rounded({{-1, -.11}, {-.6, -.15}, {.55, -.15}, {.84, -.13}, {1.03, .02}, {.84, .15}, {.5, .16}, {-.35, .15},
                 {-.75, .04}}), body);                                                            // fuselage
  if (stripe) b.flat({{-.86, -.02}, {.88, .0}, {.86, .05}, {-.68, .05}}, trim);
  b.windows(-.6, .62, -.08, -.03, 9, glass);
  b.flat({{.70, -.10}, {.82, -.08}, {.90, -.01}, {.72, -.01}}, glass);                            // cockpit
  b.lit({{-.88, -.02}, {-.64, -.02}, {-.84, .20}, {-.97, .20}}, trim * .9);                       // tailplane
  b.flat(rounded({{-.02, .18}, {.26, .17}, {.27, .30}, {-.02, .30}}), trim * .5);                 // engine
  b.lit({{-.12, .03}, {.28, .03}, {-.22, .5}, {-.42, .5}}, trim * .95);                           // near wing
}

// A light propeller plane: high straight wings in perspective, fixed wheels, a propeller.
void propeller_plane(Builder& b, Colour body, Colour trim, Random& random) {
  b.flat({{.02, -.18}, {.28, -.18}, {.52, -.5}, {.32, -.5}}, trim * .72);                         // far wing
  b.flat({{-.92, -.05}, {-.74, -.05}, {-.80, -.18}, {-.94, -.18}}, trim * .7);
  b.lit({{-1, -.42}, {-.86, -.42}, {-.62, -.06}, {-.96, .0}}, trim);                              // fin
  b.flat({{.22, .12}, {.30, .12}, {.36, .36}, {.29, .36}}, dark);                                 // legs
  b.flat({{.06, .12}, {.12, .12}, {.14, .36}, {.08, .36}}, dark);
  b.lit(rounded({{-1, -.05}, {-.55, -.10}, {-.15, -.18}, {.05, -.28}, {.34, -.26}, {.50, -.10}, {.86, -.07}, {.94, .04},
                 {.84, .17}, {.2, .22}, {-.2, .16}, {-.95, .04}}), body);
  b.flat({{.08, -.21}, {.32, -.20}, {.45, -.07}, {.08, -.06}}, glass);
  if (random.chance(.5)) b.flat({{-.85, -.03}, {.86, .03}, {.86, .09}, {-.6, .04}}, trim);
  b.lit({{-.95, .0}, {-.72, .0}, {-.78, .15}, {-.97, .15}}, trim * .9);
  b.lit({{.02, -.25}, {.31, -.25}, {-.14, .40}, {-.48, .40}}, trim * .95);                        // near wing
  b.circle(.33, .42, .08, dark);
  b.circle(.11, .42, .08, dark);
  b.flat(ellipse(.965, .03, .035, .38), {70, 70, 76});                                            // propeller
  b.flat(ellipse(.955, .04, .045, .07), trim);
}

// A plane from obliquely above: both wings spread.
void plane_from_above(Builder& b, Colour body, Colour trim, Random& random) {
  const double sweep = random.uniform(.12, .42);
  const int64_t engines = 1 + random.below(2);
  const Colour wing = mix(trim, body, .25);
  for (const double side : {-1.0, 1.0}) {
    const Colour c = side < 0 ? wing * .82 : wing;
    b.flat({{-.98, side * .24}, {-.88, side * .24}, {-.66, side * .03}, {-.92, side * .03}}, c);  // tailplane
    for (int64_t e = 0; e < engines; ++e) {
      const double y = side * (.17 + .13 * static_cast<double>(e)), x = .22 - sweep * 2 * std::abs(y);
      b.flat(rounded({{x - .06, y - .035}, {x + .14, y - .035}, {x + .14, y + .035}, {x - .06, y + .035}}), c * .5);
    }
    b.flat({{-.12, side * .05}, {.26, side * .05}, {.10 - sweep, side * .5}, {-.08 - sweep, side * .5}}, c);
  }
  b.lit(rounded({{-1, -.045}, {-.6, -.085}, {.7, -.085}, {.92, -.06}, {1.02, 0}, {.92, .06}, {.7, .085}, {-.6, .085},
                 {-1, .045}}), body);
  b.flat({{.76, -.045}, {.86, -.035}, {.86, .035}, {.76, .045}}, glass);
  b.lit({{-1, -.015}, {-.58, -.02}, {-.58, .02}, {-1, .015}}, trim * .7);                         // fin from above
  if (random.chance(.5)) b.windows(-.45, .6, -.062, -.03, 8, glass);
}

// A fighter: delta wings, canopy, two fins.
void fighter(Builder& b, Colour body, Colour trim, Random& random) {
  b.flat({{-.5, -.05}, {.22, -.06}, {-.45, -.42}, {-.66, -.42}}, body * .66);                     // far wing
  b.lit({{-.96, -.5}, {-.78, -.5}, {-.42, -.08}, {-.82, -.06}}, trim);                            // fin
  b.lit({{-.98, -.10}, {-.5, -.14}, {.1, -.16}, {.5, -.12}, {1, .04}, {.55, .10}, {-.3, .15}, {-.98, .12}}, body);
  b.lit(rounded({{.02, -.14}, {.16, -.27}, {.36, -.26}, {.60, -.08}}), glass);                    // canopy
  b.flat({{-1, -.07}, {-.90, -.08}, {-.90, .10}, {-1, .09}}, dark);                               // nozzle
  if (random.chance(.5)) b.flat({{.62, -.05}, {.70, -.03}, {.68, .08}, {.60, .09}}, trim);
  b.lit({{-.62, .04}, {.34, .02}, {-.44, .5}, {-.70, .5}}, body * .88);                           // near wing
  b.flat({{-.62, .40}, {-.33, .40}, {-.44, .5}, {-.70, .5}}, trim);                               // wing tip
}

void hull(Builder& b, const Polygon& outline, Colour colour, double waterline) {
  b.lit(outline, colour);
  // The underwater paint: the same outline below the waterline, between the sides interpolated from bow and keel.
  const Point bow = outline[1], keel_bow = outline[2], keel_stern = outline[3], stern = outline[0];
  const double t = (waterline - bow.y) / (keel_bow.y - bow.y), u = (waterline - stern.y) / (keel_stern.y - stern.y);
  b.flat({{stern.x + (keel_stern.x - stern.x) * u, waterline}, {bow.x + (keel_bow.x - bow.x) * t, waterline}, keel_bow,
          keel_stern}, colour * .5);
}

// A steamer: decks, portholes, funnel, mast.
void steamer(Builder& b, Colour body, Colour trim, Random& random) {
  const int64_t funnels = 1 + random.below(2);
  b.rect(.30, -.42, .35, .1, dark);                                                               // mast
  b.lit({{-.62, -.10}, {.40, -.10}, {.46, .16}, {-.66, .16}}, trim * .9);
  b.lit({{-.46, -.27}, {.16, -.27}, {.22, -.08}, {-.5, -.08}}, trim);
  for (int64_t i = 0; i < funnels; ++i) {
    const double x = -.38 + .28 * static_cast<double>(i);
    b.lit({{x, -.5}, {x + .18, -.5}, {x + .2, -.26}, {x - .02, -.26}}, body * .95);
    b.rect(x, -.5, x + .18, -.43, dark);
  }
  b.windows(-.44, .18, -.21, -.14, 5, glass);
  b.windows(-.58, .40, -.02, .05, 8, glass);
  hull(b, {{-.97, .11}, {1, .05}, {.76, .5}, {-.80, .5}}, body, .39);
  b.flat({{-.97, .11}, {1, .05}, {.97, .10}, {-.96, .16}}, body * .7);                            // gunwale
}

// A container ship: bridge at the stern, stacks of coloured boxes.
void container_ship(Builder& b, Colour body, Colour trim, Random& random) {
  b.lit({{-.84, -.5}, {-.56, -.5}, {-.56, .16}, {-.86, .16}}, trim);                              // bridge
  b.rect(-.90, -.44, -.50, -.38, trim * .8);
  b.windows(-.82, -.57, -.35, -.26, 3, glass);
  b.windows(-.82, -.57, -.16, -.09, 3, glass);
  const std::vector<Colour>& palette = scene_palette();
  for (int column = 0; column < 6; ++column) {
    const int64_t height = 2 + random.below(2);
    for (int64_t row = 0; row < height; ++row) {
      const Colour c = palette[static_cast<size_t>(random.below(static_cast<int64_t>(palette.size())))];
      const double x = -.50 + .21 * column, y = .14 - .16 * static_cast<double>(row + 1);
      b.lit(rectangle(x, y, x + .195, y + .15), c);
      b.rect(x, y + .13, x + .195, y + .15, c * .5);
    }
  }
  hull(b, {{-.98, .12}, {1, .06}, {.84, .5}, {-.90, .5}}, body, .37);
}

// A sailing boat: mast, mainsail and jib over a low hull.
void sailing_boat(Builder& b, Colour body, Colour trim, Random& random) {
  const bool striped = random.chance(.5);
  b.rect(-.045, -.5, .005, .3, {96, 74, 52});
  b.lit({{-.07, -.48}, {-.07, .20}, {-.80, .20}}, trim);                                          // mainsail
  if (striped) b.flat({{-.07, -.14}, {-.07, -.04}, {-.555, -.04}, {-.445, -.14}}, body);
  b.lit({{.03, -.44}, {.03, .20}, {.72, .20}}, trim * .86);                                       // jib
  b.rect(-.82, .20, .0, .235, {96, 74, 52});                                                      // boom
  hull(b, {{-.92, .27}, {1, .24}, {.66, .5}, {-.74, .5}}, body, .43);
}

// A motor yacht or ferry: raked bow, stepped white decks with bands of windows.
void ferry(Builder& b, Colour body, Colour trim, Random& random) {
  const bool mast = random.chance(.6);
  b.lit({{-.66, -.10}, {.34, -.10}, {.60, .16}, {-.72, .16}}, trim);
  b.lit({{-.60, -.32}, {.08, -.32}, {.26, -.08}, {-.64, -.08}}, trim * .95);
  b.rect(-.64, -.345, .12, -.30, trim * .7);
  if (mast) b.flat({{-.34, -.5}, {-.24, -.5}, {-.14, -.33}, {-.42, -.33}}, body);
  else b.lit({{-.52, -.5}, {-.30, -.5}, {-.22, -.33}, {-.52, -.33}}, body);
  b.flat({{-.56, -.25}, {.05, -.25}, {.14, -.15}, {-.58, -.15}}, glass);
  b.windows(-.64, .38, -.03, .07, 7, glass);
  hull(b, {{-.96, .12}, {1, .0}, {.62, .5}, {-.88, .5}}, body, .40);
  b.flat({{-.95, .16}, {.93, .09}, {.88, .16}, {-.94, .21}}, trim);                               // stripe
}

void car_lights(Builder& b, double front, double rear) {
  b.flat({{front - .12, .02}, {front - .02, .05}, {front, .14}, {front - .12, .13}}, {252, 240, 176});
  b.rect(rear, .0, rear + .07, .13, {196, 26, 26});
}

void car_underside(Builder& b, Colour body) {
  b.rect(-.96, .20, .97, .29, body * .6);
  b.rect(-.97, .25, .98, .31, dark);
}

void sedan(Builder& b, Colour body, Colour trim, Random& random) {
  const bool roof = random.chance(.3);
  b.lit(rounded({{-.74, .0}, {-.50, -.52}, {.18, -.52}, {.60, .0}}), roof ? trim : body);
  b.lit(rounded({{-1.03, -.10}, {-.80, -.13}, {.66, -.12}, {1.03, -.02}, {1.03, .34}, {-1.03, .34}}), body);
  b.flat({{-.54, -.09}, {-.40, -.38}, {-.16, -.38}, {-.16, -.09}}, glass);
  b.flat({{-.09, -.09}, {-.09, -.38}, {.13, -.38}, {.40, -.09}}, glass);
  b.rect(-.13, -.07, -.115, .22, body * .6);                                                      // door
  b.rect(-.32, .0, -.22, .03, body * .45);
  b.rect(.10, .0, .20, .03, body * .45);
  car_underside(b, body);
  car_lights(b, .97, -.97);
  b.wheel(-.57, .285, .215);
  b.wheel(.58, .285, .215);
}

void hatchback(Builder& b, Colour body, Colour trim, Random& random) {
  const bool stripe = random.chance(.4);
  b.lit(rounded({{-1.0, .0}, {-.84, -.56}, {.12, -.56}, {.62, .0}}), body);
  b.lit(rounded({{-1.02, -.14}, {.66, -.10}, {1.02, .0}, {1.03, .34}, {-1.03, .34}}), body);
  b.flat({{-.80, -.09}, {-.69, -.39}, {-.42, -.40}, {-.42, -.09}}, glass);
  b.flat({{-.34, -.09}, {-.34, -.40}, {.07, -.40}, {.42, -.09}}, glass);
  if (stripe) b.rect(-.95, .09, .95, .15, trim);
  b.rect(-.385, -.07, -.37, .22, body * .6);
  b.rect(-.28, .0, -.18, .03, body * .45);
  car_underside(b, body);
  car_lights(b, .97, -.97);
  b.wheel(-.57, .275, .225);
  b.wheel(.58, .275, .225);
}

void van(Builder& b, Colour body, Colour trim, Random& random) {
  const bool minibus = random.chance(.5);
  b.lit({{-.97, -.44}, {-.93, -.5}, {.40, -.5}, {.50, -.46}, {.74, -.06}, {.95, .0}, {.99, .29}, {-.97, .29}}, body);
  b.flat({{.26, -.10}, {.26, -.38}, {.43, -.38}, {.62, -.10}}, glass);
  if (minibus) {
    b.rect(-.86, -.38, -.52, -.10, glass);
    b.rect(-.46, -.38, -.14, -.10, glass);
    b.rect(-.08, -.38, .20, -.10, glass);
  } else {
    b.flat({{-.97, -.02}, {.95, -.02}, {.96, .08}, {-.97, .08}}, trim);
    b.rect(.20, -.40, .215, .22, body * .6);
  }
  car_underside(b, body);
  car_lights(b, .96, -.97);
  b.wheel(-.58, .29, .21);
  b.wheel(.58, .29, .21);
}

void pickup(Builder& b, Colour body, Colour trim, Random& random) {
  b.lit({{-.10, -.05}, {-.06, -.5}, {.34, -.5}, {.56, -.05}}, body);
  b.flat({{.0, -.09}, {.03, -.38}, {.28, -.38}, {.42, -.09}}, glass);
  b.lit({{-.98, -.11}, {.60, -.11}, {.92, -.05}, {.98, .04}, {.99, .30}, {-.98, .30}}, body);
  if (random.chance(.5)) b.rect(-.96, .05, .96, .12, trim);
  b.rect(-.98, -.11, -.12, -.07, body * .6);                                                      // loading edge
  b.rect(-.02, -.07, -.005, .22, body * .6);
  car_underside(b, body);
  car_lights(b, .96, -.97);
  b.wheel(-.58, .275, .225);
  b.wheel(.60, .275, .225);
}

void tyre(Builder& b, double x, double radius) {
  b.circle(x, .5 - radius, radius, {26, 26, 29});
  b.circle(x, .5 - radius, radius * .62, metal);
  b.circle(x, .5 - radius, radius * .44, {40, 40, 44});
}

// A racing motorbike: full fairing, high tail.
void sports_bike(Builder& b, Colour body, Colour trim, Random& random) {
  const bool stripe = random.chance(.5);
  tyre(b, -.66, .24);
  tyre(b, .70, .24);
  b.bar({.48, -.20}, {.70, .26}, .06, metal);                                                     // fork
  b.bar({-.20, .16}, {-.66, .26}, .07, dark);                                                     // swing arm
  b.lit({{-.28, .02}, {.36, -.02}, {.22, .34}, {-.14, .34}}, {70, 70, 76});                       // engine
  b.lit(rounded({{.10, -.30}, {.52, -.44}, {.78, -.10}, {.40, .16}, {.10, .10}}), body);          // fairing
  b.lit(rounded({{-.30, -.10}, {.08, -.36}, {.24, -.10}, {-.10, .04}}), trim);                    // tank
  b.lit({{-1, -.34}, {-.30, -.14}, {-.20, .02}, {-.60, -.02}}, body);                             // tail
  b.flat({{.44, -.42}, {.52, -.5}, {.66, -.26}, {.54, -.24}}, glass);                             // screen
  if (stripe) b.flat({{.20, -.12}, {.66, -.22}, {.70, -.12}, {.22, .0}}, trim);
}

// A cruiser: low seat, high handlebar, long pipes.
void cruiser(Builder& b, Colour body, Colour trim, Random& random) {
  const bool screen = random.chance(.5);
  tyre(b, -.66, .25);
  tyre(b, .70, .23);
  b.bar({.30, -.36}, {.70, .27}, .06, metal);
  b.bar({.30, -.36}, {.08, -.48}, .06, dark);                                                     // handlebar
  b.lit({{-.26, .0}, {.26, .0}, {.18, .34}, {-.22, .34}}, {92, 92, 98});
  b.bar({-.95, .36}, {.16, .30}, .07, metal);                                                     // pipe
  b.lit(rounded({{-.06, -.22}, {.34, -.20}, {.30, .02}, {-.12, .04}}), body);
  b.lit(rounded({{-.62, -.14}, {-.10, -.10}, {-.04, .04}, {-.52, .04}}), dark);                   // seat
  b.lit(rounded({{-1, .10}, {-.74, -.06}, {-.42, .10}, {-.46, .18}, {-.92, .20}}), trim);         // mudguard
  b.lit(rounded({{.46, .16}, {.72, -.04}, {.96, .14}, {.90, .20}, {.52, .22}}), trim);
  b.circle(.46, -.16, .07, {252, 240, 176});
  if (screen) b.flat({{.34, -.5}, {.42, -.5}, {.50, -.24}, {.40, -.22}}, glass);
}

// A scooter: step-through body, shield, small wheels.
void scooter(Builder& b, Colour body, Colour trim, Random& random) {
  const bool trunk = random.chance(.5);
  tyre(b, -.60, .17);
  tyre(b, .70, .17);
  b.bar({.42, -.40}, {.70, .34}, .08, body * .8);
  b.lit(rounded({{-1, .02}, {-.84, -.16}, {-.20, -.14}, {-.12, .30}, {-.62, .30}}), body);        // rear
  b.lit({{-.20, .20}, {.40, .20}, {.44, .31}, {-.24, .31}}, trim * .7);                           // floor
  b.lit(rounded({{.30, -.32}, {.48, -.34}, {.66, .16}, {.44, .28}, {.34, .24}}), body);           // shield
  b.lit(rounded({{-.86, -.24}, {-.16, -.22}, {-.12, -.12}, {-.82, -.12}}), dark);
  b.lit(rounded({{.50, .20}, {.72, .10}, {.96, .26}, {.92, .34}, {.54, .34}}), trim);
  b.bar({.44, -.38}, {.20, -.46}, .06, dark);
  b.circle(.48, -.42, .08, {252, 240, 176});
  if (trunk) b.lit({{-1, -.5}, {-.62, -.5}, {-.60, -.24}, {-1, -.24}}, trim);
}

// A motocross machine: high mudguards, long fork, knobbly tyres.
void motocross(Builder& b, Colour body, Colour trim, Random& random) {
  const bool plate = random.chance(.6);
  tyre(b, -.68, .25);
  tyre(b, .72, .26);
  b.bar({.36, -.42}, {.72, .24}, .07, trim * .8);
  b.bar({-.16, .14}, {-.68, .25}, .06, metal);
  b.lit({{-.20, .04}, {.20, .0}, {.16, .30}, {-.14, .32}}, {80, 80, 86});
  b.lit({{.02, -.26}, {.40, -.16}, {.34, .12}, {.06, .02}}, body);                                // shroud
  b.lit({{-1, -.34}, {-.88, -.38}, {.16, -.26}, {.10, -.16}, {-.40, -.14}}, dark);                // seat
  b.flat({{-1, -.34}, {-.52, -.24}, {-.50, -.16}, {-.80, -.20}}, body);
  b.flat({{.40, -.24}, {1, -.12}, {.98, -.06}, {.46, -.14}}, body);                               // mudguard
  b.bar({.38, -.40}, {.16, -.48}, .05, dark);
  if (plate) b.flat({{.38, -.42}, {.54, -.36}, {.52, -.18}, {.40, -.20}}, trim);
}

constexpr Colour skins[] = {{238, 200, 172}, {204, 152, 112}, {146, 98, 68}, {92, 62, 46}};

// Head, trunk and limbs; each limb is bent at a joint.
struct Pose {
  Point head, neck, hip;
  Point elbow[2], hand[2], knee[2], foot[2];
};

void figure(Builder& b, const Pose& pose, Colour shirt, Colour trousers, Random& random) {
  const Colour skin = skins[random.below(4)];
  const Colour hair = skin * random.uniform(.2, .6);
  const bool sleeves = random.chance(.5);
  for (int side = 0; side < 2; ++side) {
    const double shade = side == 0 ? .72 : 1;  // the far side first
    b.bar(pose.hip, pose.knee[side], .15, trousers * shade);
    b.bar(pose.knee[side], pose.foot[side], .12, trousers * (shade * .92));
    const double toe = pose.foot[side].x + .16;
    b.bar({pose.foot[side].x - .05, pose.foot[side].y - .03}, {toe, pose.foot[side].y - .03}, .06, dark);
    if (side == 0) {
      b.bar(pose.neck, pose.elbow[0], .10, shirt * shade);
      b.bar(pose.elbow[0], pose.hand[0], .08, sleeves ? shirt * shade : skin * shade);
    }
  }
  b.bar(pose.neck, pose.hip, .25, shirt);
  b.bar(pose.neck, pose.elbow[1], .10, shirt * .92);
  b.bar(pose.elbow[1], pose.hand[1], .08, sleeves ? shirt * .88 : skin);
  b.bar({pose.head.x, pose.head.y + .06}, pose.neck, .09, skin * .9);
  b.circle(pose.head.x, pose.head.y, .105, skin);
  b.flat(ellipse(pose.head.x - .02, pose.head.y - .05, .10, .07), hair);
}

void walker(Builder& b, Colour body, Colour trim, Random& random) {
  figure(b, {{.06, -.39}, {.02, -.26}, {-.02, .06}, {{-.40, -.10}, {.44, -.12}}, {{-.74, .06}, {.82, -.02}},
             {{-.30, .26}, {.40, .24}}, {{-.82, .46}, {.62, .5}}}, body, trim, random);
}

void runner(Builder& b, Colour body, Colour trim, Random& random) {
  figure(b, {{.30, -.39}, {.20, -.27}, {-.04, .04}, {{-.30, -.22}, {.56, -.06}}, {{-.50, .02}, {.92, -.20}},
             {{-.34, .24}, {.48, .12}}, {{-.94, .22}, {.56, .5}}}, body, trim, random);
}

void waving_person(Builder& b, Colour body, Colour trim, Random& random) {
  figure(b, {{.0, -.33}, {.0, -.21}, {.0, .10}, {{-.46, -.22}, {.46, -.22}}, {{-.84, -.46}, {.84, -.46}},
             {{-.28, .28}, {.28, .28}}, {{-.52, .5}, {.44, .5}}}, body, trim, random);
}

void stretching_person(Builder& b, Colour body, Colour trim, Random& random) {
  figure(b, {{-.20, -.39}, {-.14, -.26}, {.0, .06}, {{-.52, -.14}, {.36, -.30}}, {{-.92, -.26}, {.86, -.34}},
             {{-.36, .24}, {.42, .26}}, {{-.62, .5}, {.78, .46}}}, body, trim, random);
}

using Variant = void (*)(Builder&, Colour, Colour, Random&);
constexpr Variant variants[5][4] = {{airliner, propeller_plane, plane_from_above, fighter},
                                    {steamer, container_ship, sailing_boat, ferry},
                                    {sedan, hatchback, van, pickup},
                                    {sports_bike, cruiser, scooter, motocross},
                                    {walker, runner, waving_person, stretching_person}};

// clang-format on

}  // namespace

const std::vector<Colour>& scene_palette() {
  static const std::vector<Colour> palette{{238, 238, 242}, {204, 42, 42}, {42, 82, 184}, {238, 192, 42},
                                           {126, 132, 138}, {42, 136, 74}, {52, 52, 62},  {234, 122, 42},
                                           {152, 202, 232}, {136, 62, 136}};
  return palette;
}

SceneShape draw_object(SceneObject object, double aspect, Colour primary, Colour secondary, Random& random) {
  Builder builder(aspect);
  variants[static_cast<size_t>(object)][random.below(4)](builder, primary, secondary, random);
  return builder.take();
}

}  // namespace boxcam
