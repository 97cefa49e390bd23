#include "nn/data/scenes/scenes.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/random.h"
#include "engine/base/text.h"
#include "nn/data/identity.h"
#include "nn/data/scenes/backgrounds.h"
#include "nn/data/scenes/clutter.h"
#include "nn/data/scenes/objects.h"
#include "nn/data/scenes/raster.h"
#include "nn/data/scenes/variants.h"

namespace boxcam {
namespace {

constexpr int64_t none_label = 3;
constexpr int64_t index_limit = int64_t{1} << 32;
constexpr std::array<const char*, 4> split_names{"train", "validation", "test_in", "test_out"};
constexpr std::array<const char*, 5> background_names{"sky", "sea", "road", "track", "park"};

/// What the labels 0, 1 and 2 are.
struct Members {
  std::array<SceneObject, 3> objects;
  std::array<Background, 3> grounds;  // each label's usual one
  double least_aspect, largest_aspect;
};
const Members& members_of(SceneSet set) {
  using enum SceneObject;
  static const std::array<Members, 2> members = {
      {{{plane, ship, car}, {Background::sky, Background::sea, Background::road}, 1.5, 2.3},
       {{car, motorbike, person}, {Background::road, Background::track, Background::park}, .9, 1.4}}};
  return members[static_cast<size_t>(set)];
}

// The decisions about a scene that draw on random numbers independently of each other, so that one never shifts
// another's numbers: the layout of the objects is the same whatever their class turns out to be.
enum class Part : uint64_t {
  plan,
  background,
  layout,
  camera,
  noise,
  object,
  classes = 8,
  occluder = 11,
  clutter = 14,
  other_ground = 15
};

void check_options(const SceneOptions& options) {
  check(options.image_size >= 32 && options.image_size <= 1024,
        "scenes: the image size must lie in 32 to 1024 pixels, found ", options.image_size);
  check(options.context_correlation >= 0 && options.context_correlation <= 1,
        "scenes: the context correlation must lie in [0, 1], found ", options.context_correlation);
  check(options.task == Task::single_label || options.variant == SceneVariant::whole,
        "scenes: what is left of a picture without its ground or its objects is known of one label, not of several");
}

std::string variant_name(SceneVariant variant) {
  for (const auto& [name, known] : scene_variants())
    if (known == variant) return name;
  return "";
}

struct Picture {
  uint64_t seed;
  ScenesSplit split;
  int64_t index;

  // A picture owns 2^32 positions of its split's stream, each part 2^28 of them: no two ever share a number.
  Random part(Part part, uint64_t which = 0) const {
    const uint64_t stream = stream_of(str("scenes/", split_names[static_cast<size_t>(split)]));
    return Random(seed, stream, (static_cast<uint64_t>(index) << 32) + ((static_cast<uint64_t>(part) + which) << 28));
  }
};

struct Plan {
  int64_t label;
  Background background;
};

Plan plan_scene(const Picture& picture, const SceneOptions& options) {
  Random random = picture.part(Part::plan);
  const int64_t label = random.below(4);
  double usual = options.context_correlation;
  if (picture.split == ScenesSplit::test_in) usual = 1;
  if (picture.split == ScenesSplit::test_out) usual = 0;
  const bool in_context = random.chance(usual);
  const int64_t wrong = (label + 1 + random.below(2)) % 3, any = random.below(3);
  const int64_t ground = label == none_label ? any : (in_context ? label : wrong);
  return {label, members_of(options.set).grounds[static_cast<size_t>(ground)]};
}

// Where an object goes.
struct Placement {
  Box box;        // relative to the image
  double aspect;  // width / height before the rotation
  double angle;   // radians
  bool flip;
};

// Shares of the image, log-uniform, and width / height; what any class may have.
struct LayoutRules {
  double least_area, largest_area, largest_area_of_several;
  double least_aspect, largest_aspect;
  bool central;
  double one, at_most_two;  // shares of the pictures with objects
};

LayoutRules rules_of(ScenesSplit split, const SceneOptions& options) {
  const Members& members = members_of(options.set);
  const bool several = options.task == Task::multi_label;
  const double one = several ? 1. / 3 : .6, at_most_two = several ? 2. / 3 : .85;
  if (options.level == SceneLevel::plain)
    return {.05, .35, .35 * .45, members.least_aspect, members.largest_aspect, false, one, at_most_two};
  const bool test = split == ScenesSplit::test_in || split == ScenesSplit::test_out;
  return {.012, .06, .06, members.least_aspect, members.largest_aspect, !test, one, at_most_two};
}

// A place between two ends: anywhere, or the mean of three such places, which lies nearer the middle.
double draw_place(double low, double high, bool central, Random& random) {
  if (!central) return random.uniform(low, high);
  const double a = random.uniform(low, high), b = random.uniform(low, high), c = random.uniform(low, high);
  return (a + b + c) / 3;
}

// Draws the layout without knowing the class: number, size, shape, pose and place of the boxes depend on nothing but
// the horizon (objects stand below it).
std::vector<Placement> lay_out(double horizon, const LayoutRules& rules, Random& random) {
  const double u = random.uniform();
  size_t count = u < rules.one ? 1 : (u < rules.at_most_two ? 2 : 3);
  const auto apart = [](const Box& a, const Box& b) {
    constexpr double gap = .02;
    return a.x_max + gap < b.x_min || b.x_max + gap < a.x_min || a.y_max + gap < b.y_min || b.y_max + gap < a.y_min;
  };
  for (int attempt = 1;; ++attempt) {
    std::vector<Placement> placements;
    while (placements.size() < count) {
      Placement p;
      const double largest = count == 1 ? rules.largest_area : rules.largest_area_of_several;
      const double area = std::exp(random.uniform(std::log(rules.least_area), std::log(largest)));
      p.aspect = std::exp(random.uniform(std::log(rules.least_aspect), std::log(rules.largest_aspect)));
      p.angle = std::clamp(random.normal() * 7, -15.0, 15.0) * std::numbers::pi / 180;
      p.flip = random.chance(.5);
      // The bounds of a turned body: half way between those of a rectangle and of an ellipse.
      const double c = std::cos(p.angle), s = std::abs(std::sin(p.angle));
      const double turned_width = (p.aspect * c + s + std::hypot(p.aspect * c, s)) / 2;
      const double turned_height = (p.aspect * s + c + std::hypot(p.aspect * s, c)) / 2;
      const double ratio = turned_width / turned_height;
      const double w = std::sqrt(area * ratio), h = std::sqrt(area / ratio);
      const double x = draw_place(.01, .99 - w, rules.central, random);
      const double lowest = horizon > 0 ? std::max(h + .01, horizon + h * .35) : h + .01;
      const double bottom = draw_place(lowest, .99, rules.central, random);
      p.box = {x, bottom - h, x + w, bottom};
      const auto clear_of = [&](const Placement& other) { return apart(p.box, other.box); };
      if (!std::all_of(placements.begin(), placements.end(), clear_of)) break;
      placements.push_back(p);
    }
    if (placements.size() == count) return placements;
    if (attempt % 100 == 0) --count;  // very rare: the boxes drawn leave no room
  }
}

// How far apart two colours look: brightness counts more than hue, above all in small and dark pictures.
double distance(Colour a, Colour b) {
  const double r = a.r - b.r, g = a.g - b.g, blue = a.b - b.b;
  return 1.4 * std::abs(.3 * r + .59 * g + .11 * blue) + .5 * std::hypot(r, g, blue);
}

// Two palette colours that stand out against what lies behind the box; the palette is the same for every class.
std::pair<Colour, Colour> pick_colours(const Canvas& canvas, const Box& box, Random& random) {
  const double middle = (box.y_min + box.y_max) / 2;
  const Colour upper = canvas.mean(box.x_min, box.y_min, box.x_max, middle);
  const Colour lower = canvas.mean(box.x_min, middle, box.x_max, box.y_max);
  const auto contrast = [&](Colour c) { return std::min(distance(c, upper), distance(c, lower)); };
  const auto draw = [&](double wanted) {
    std::vector<Colour> palette = scene_palette();
    shuffle(palette, random);
    const auto found = std::find_if(palette.begin(), palette.end(), [&](Colour c) { return contrast(c) >= wanted; });
    if (found != palette.end()) return *found;
    return *std::max_element(palette.begin(), palette.end(),
                             [&](Colour a, Colour b) { return contrast(a) < contrast(b); });
  };
  const Colour primary = draw(90);
  return {primary, draw(70)};
}

Box bounds(const SceneShape& shape) {
  Box b{1e9, 1e9, -1e9, -1e9};
  for (const ShapePart& part : shape)
    for (const Point& p : part.polygon)
      b = {std::min(b.x_min, p.x), std::min(b.y_min, p.y), std::max(b.x_max, p.x), std::max(b.y_max, p.y)};
  return b;
}

// Turns the shape, then scales it to fill the placement's box exactly.
void place(SceneShape& shape, const Placement& placement) {
  const double c = std::cos(placement.angle), s = std::sin(placement.angle), mirror = placement.flip ? -1 : 1;
  for (ShapePart& part : shape)
    for (Point& p : part.polygon) p = {mirror * c * p.x - s * p.y, mirror * s * p.x + c * p.y};
  const Box from = bounds(shape), to = placement.box;
  const double sx = (to.x_max - to.x_min) / (from.x_max - from.x_min);
  const double sy = (to.y_max - to.y_min) / (from.y_max - from.y_min);
  for (ShapePart& part : shape)
    for (Point& p : part.polygon) p = {to.x_min + (p.x - from.x_min) * sx, to.y_min + (p.y - from.y_min) * sy};
}

struct Exposure {
  Colour gain;
  double contrast, noise;
};

Exposure draw_exposure(Random& random) {
  const double gain = random.uniform(.7, 1.2), contrast = random.uniform(.78, 1.1);
  const auto cast = [&] { return gain * std::clamp(1 + .05 * random.normal(), .88, 1.12); };
  const double r = cast(), g = cast(), b = cast();
  return {{r, g, b}, contrast, random.uniform(2, 9)};
}

uint8_t quantise(double value) { return static_cast<uint8_t>(std::clamp(value, 0.0, 255.0) + .5); }

// Nearly normal noise from integers: the sum of four bytes, which is much cheaper than Box-Muller.
double byte_noise(Random& random) {
  constexpr double deviation = 147.8;  // sqrt(4 * (256^2 - 1) / 12)
  const uint32_t bits = random.next();
  const auto sum = (bits & 255) + (bits >> 8 & 255) + (bits >> 16 & 255) + (bits >> 24);
  return (static_cast<double>(sum) - 510) / deviation;
}

void expose(const Canvas& canvas, const Exposure& exposure, Random& noise, Image& image) {
  const Colour gain = exposure.gain;
  for (int y = 0; y < image.height; ++y)
    for (int x = 0; x < image.width; ++x) {
      const Colour& c = canvas.at(y, x);
      uint8_t* pixel = image.at(y, x);
      const auto seen = [&](double value, double channel_gain) {
        return quantise(((value - 128) * exposure.contrast + 128) * channel_gain + exposure.noise * byte_noise(noise));
      };
      pixel[0] = seen(c.r, gain.r);
      pixel[1] = seen(c.g, gain.g);
      pixel[2] = seen(c.b, gain.b);
    }
}

struct Object {
  int32_t label;
  SceneShape shape;
  Box box;
  SceneShape front;  // what hides a part of it
};

/// The classes of a picture's objects in their order: all of its label or, of several labels, its label in any place
/// among others, each once.
std::vector<int32_t> object_labels(int64_t label, size_t count, const Picture& picture, Task task) {
  const auto first = static_cast<int32_t>(label);
  if (task == Task::single_label) return std::vector<int32_t>(count, first);
  Random random = picture.part(Part::classes);
  std::vector<int32_t> others = {(first + 1) % 3, (first + 2) % 3};
  shuffle(others, random);
  others.resize(count - 1);
  others.push_back(first);
  shuffle(others, random);
  return others;
}

/// Over their own ground, before any of them hides it: their colours stand out against that.
std::vector<Object> plan_objects(const Canvas& ground, double horizon, int64_t label, const Picture& picture,
                                 const SceneOptions& options) {
  Random layout_random = picture.part(Part::layout);
  const std::vector<Placement> placements = lay_out(horizon, rules_of(picture.split, options), layout_random);
  std::vector<std::pair<Colour, Colour>> colours;
  for (const Placement& p : placements) colours.push_back(pick_colours(ground, p.box, layout_random));
  const std::vector<int32_t> labels = object_labels(label, placements.size(), picture, options.task);
  std::vector<Object> objects;
  for (size_t i = 0; i < placements.size(); ++i) {
    Random object_random = picture.part(Part::object, i);
    const SceneObject kind = members_of(options.set).objects[static_cast<size_t>(labels[i])];
    Object object;
    object.label = labels[i];
    object.shape = draw_object(kind, placements[i].aspect, colours[i].first, colours[i].second, object_random);
    place(object.shape, placements[i]);
    object.box = bounds(object.shape);
    if (options.level == SceneLevel::hard) {
      Random front_random = picture.part(Part::occluder, i);
      object.front = draw_occluder(object.box, front_random);
    }
    objects.push_back(std::move(object));
  }
  return objects;
}

/// Returns the horizon's height.
double paint_ground(Canvas& canvas, Background background, const Picture& picture, SceneLevel level) {
  Random random = picture.part(Part::background), clutter_random = picture.part(Part::clutter);
  const double horizon = paint_background(canvas, background, random);
  if (level == SceneLevel::hard) paint_clutter(canvas, clutter_random);
  return horizon;
}

void paint(Canvas& canvas, const std::vector<Object>& objects) {
  for (const Object& object : objects) {
    paint(canvas, object.shape);
    paint(canvas, object.front);
  }
}

Coverage coverage_of(const std::vector<Object>& objects, int size) {
  Canvas canvas(size);
  for (const Object& object : objects) {
    for (const ShapePart& piece : object.shape) canvas.fill(piece.polygon, Colour{1, 1, 1});
    for (const ShapePart& piece : object.front) canvas.fill(piece.polygon, Colour{0, 0, 0});
  }
  Coverage coverage;
  for (int y = 0; y < size; ++y)
    for (int x = 0; x < size; ++x) coverage.push_back(canvas.at(y, x).r);
  return coverage;
}

bool mixes(SceneVariant variant) { return variant >= SceneVariant::mixed_same; }

/// The picture that lends a variant its ground: another one of the split, which has no end, with objects of the class
/// that the variant asks for.
Picture other_picture(const Picture& picture, int64_t label, const SceneOptions& options) {
  Random random = picture.part(Part::other_ground);
  const int64_t any = random.below(none_label);
  const int64_t wanted = options.variant == SceneVariant::mixed_same   ? label
                         : options.variant == SceneVariant::mixed_rand ? any
                                                                       : (label + 1) % none_label;
  for (Picture other = picture;;) {
    other.index = random.below(index_limit);
    if (other.index != picture.index && plan_scene(other, options).label == wanted) return other;
  }
}

/// What a variant takes away from the picture of an object.
void show(SceneVariant variant, const std::vector<Object>& objects, Sample& sample) {
  Image& image = sample.image;
  if (variant == SceneVariant::only_fg) keep_objects(image, coverage_of(objects, image.width));
  if (variant == SceneVariant::no_fg) remove_objects(image, coverage_of(objects, image.width));
  if (variant == SceneVariant::only_bg_b) blacken_boxes(image, sample.boxes);
  if (variant == SceneVariant::only_bg_t) tile_boxes(image, sample.boxes);
  const bool seen = variant <= SceneVariant::only_fg || mixes(variant);
  if (!seen) sample.boxes.clear();
}

}  // namespace

const std::vector<std::pair<std::string, SceneVariant>>& scene_variants() {
  static const std::vector<std::pair<std::string, SceneVariant>> variants = {
      {"only-fg", SceneVariant::only_fg},       {"no-fg", SceneVariant::no_fg},
      {"only-bg-b", SceneVariant::only_bg_b},   {"only-bg-t", SceneVariant::only_bg_t},
      {"mixed-same", SceneVariant::mixed_same}, {"mixed-rand", SceneVariant::mixed_rand},
      {"mixed-next", SceneVariant::mixed_next}};
  return variants;
}

const std::vector<std::string>& classes_of(SceneSet set) {
  static const std::array<std::vector<std::string>, 2> classes = {
      {{"plane", "ship", "car"}, {"car", "motorbike", "person"}}};
  return classes[static_cast<size_t>(set)];
}

Sample draw_scene(uint64_t seed, ScenesSplit split, int64_t index, const SceneOptions& options) {
  check_options(options);
  check(index >= 0 && index < index_limit, "scenes: image ", index, " is not in [0, ", index_limit, ")");
  const Picture picture{seed, split, index};
  const Plan plan = plan_scene(picture, options);
  check(options.variant == SceneVariant::whole || plan.label != none_label, "scenes: image ", index,
        " shows no object, so it has no variant without its ground or its objects");

  const bool several = options.task == Task::multi_label;
  Sample sample;
  sample.label = several && plan.label == none_label ? -1 : plan.label;
  sample.id = str(index);
  sample.source = background_names[static_cast<size_t>(plan.background)];
  sample.image = Image(options.image_size, options.image_size);

  Canvas canvas(options.image_size);
  const double horizon = paint_ground(canvas, plan.background, picture, options.level);

  std::vector<Object> objects;
  if (plan.label != none_label && options.objects)
    objects = plan_objects(canvas, horizon, plan.label, picture, options);
  if (mixes(options.variant)) {
    const Picture other = other_picture(picture, plan.label, options);
    const Background ground = plan_scene(other, options).background;
    canvas = Canvas(options.image_size);
    paint_ground(canvas, ground, other, options.level);
    sample.source = background_names[static_cast<size_t>(ground)];
  }
  paint(canvas, objects);
  const double size = options.image_size;
  for (const Object& object : objects) {
    const Box& b = object.box;
    sample.boxes.push_back({b.x_min * size, b.y_min * size, b.x_max * size, b.y_max * size});
    if (several) sample.box_classes.push_back(object.label);
  }
  sample.shown = distinct(sample.box_classes);

  Exposure exposure{{1, 1, 1}, 1, 0};
  Random camera_random = picture.part(Part::camera), noise_random = picture.part(Part::noise);
  if (options.camera) exposure = draw_exposure(camera_random);
  expose(canvas, exposure, noise_random, sample.image);
  show(options.variant, objects, sample);
  return sample;
}

Scenes::Scenes(uint64_t seed, int64_t count, ScenesSplit split, const SceneOptions& options)
    : seed_(seed), count_(count), split_(split), options_(options), classes_(classes_of(options.set)) {
  if (options.task == Task::single_label) classes_.emplace_back("none");
  check(count >= 0 && count < index_limit, "scenes: the number of images must lie in [0, ", index_limit, "), found ",
        count);
  check_options(options);
  for (int64_t i = 0; options.variant != SceneVariant::whole && i < count; ++i)
    if (plan_scene({seed, split, i}, options).label != none_label) shown_.push_back(i);
}

int64_t Scenes::size() const {
  return options_.variant == SceneVariant::whole ? count_ : static_cast<int64_t>(shown_.size());
}

int64_t Scenes::picture(int64_t index) const {
  check(index >= 0 && index < size(), "scenes: image ", index, " is not in [0, ", size(), ")");
  return options_.variant == SceneVariant::whole ? index : shown_[static_cast<size_t>(index)];
}

Sample Scenes::load(int64_t index) const { return draw_scene(seed_, split_, picture(index), options_); }

int64_t Scenes::label(int64_t index) const {
  const int64_t label = plan_scene({seed_, split_, picture(index)}, options_).label;
  return options_.task == Task::multi_label && label == none_label ? -1 : label;
}

std::vector<int32_t> Scenes::shown(int64_t index) const {
  return options_.task == Task::multi_label ? load(index).shown : Dataset::shown(index);
}

const std::vector<std::string>& Scenes::classes() const { return classes_; }

std::string Scenes::identity() const {
  Identity identity;
  identity.add("scenes");
  identity.add(static_cast<int64_t>(seed_));
  identity.add(count_);
  identity.add(split_names[static_cast<size_t>(split_)]);
  identity.add(int64_t{options_.image_size});
  identity.add(options_.context_correlation);
  identity.add(int64_t{options_.objects});
  identity.add(int64_t{options_.camera});
  // What came later plays no part where it is not used, so that older runs keep their names.
  if (options_.variant != SceneVariant::whole) identity.add(variant_name(options_.variant));
  if (options_.set != SceneSet::plane_ship_car) identity.add(classes_);
  if (options_.level == SceneLevel::hard) identity.add("hard");
  if (options_.task == Task::multi_label) identity.add("several labels");
  return identity.digits();
}

std::string Scenes::describe() const {
  const std::string context = split_ == ScenesSplit::test_in ? "in context"
                              : split_ == ScenesSplit::test_out
                                  ? "out of context"
                                  : str("context correlation ", options_.context_correlation);
  std::string more;
  if (options_.set != SceneSet::plane_ship_car) more += ", " + join(classes_of(options_.set));
  if (options_.level == SceneLevel::hard) more += ", hard";
  if (options_.task == Task::multi_label) more += ", several labels";
  if (options_.variant != SceneVariant::whole) more += ", " + variant_name(options_.variant);
  return str("scenes: ", size(), " procedural images of ", options_.image_size, "x", options_.image_size, " (",
             split_names[static_cast<size_t>(split_)], ", ", context, more, ", seed ", seed_, ")");
}

}  // namespace boxcam
