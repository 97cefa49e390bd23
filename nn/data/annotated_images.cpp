#include "nn/data/annotated_images.h"

#include <algorithm>
#include <filesystem>

#include "engine/base/check.h"
#include "engine/base/text.h"
#include "nn/data/labelled_images.h"

namespace boxcam {

namespace fs = std::filesystem;

namespace {

constexpr std::pair<const char*, const char*> aliases[] = {
    {"plane", "airplane"}, {"plane", "aeroplane"}, {"ship", "boat"}, {"car", "car"}};

/// In f32, where sizes that are equal but for rounding mostly are equal: then the first box is the largest.
float f32_area(const Box& box) {
  const auto side = [](double from, double to) { return static_cast<float>(to) - static_cast<float>(from); };
  return side(box.x_min, box.x_max) * side(box.y_min, box.y_max);
}

std::vector<LabelledBox>::const_iterator largest_box(const AnnotatedImage& image) {
  return std::max_element(image.boxes.begin(), image.boxes.end(),
                          [](const LabelledBox& a, const LabelledBox& b) { return f32_area(a.box) < f32_area(b.box); });
}

/// Of several labels: the class of its largest box, or `none`; -1 where it is to be left out.
void choose_first_label(const std::string& dir, AnnotatedImage& image, int none) {
  check(image.label < 0 || image.label == none, dir, ": the class of ", image.file,
        " is known without a box, but several labels come from boxes alone: expected its corners");
  image.label = none;
  if (const auto largest = largest_box(image); largest != image.boxes.end()) image.label = largest->label;
  if (image.unusable) image.label = -1;
}

/// Removes images that are to be left out.
void choose_labels(Annotations& a, int none, const AnnotationOptions& options) {
  std::vector<AnnotatedImage>& images = a.images;
  for (AnnotatedImage& image : images)
    if (options.task == Task::multi_label)
      choose_first_label(a.dir, image, none);
    else if (image.label < 0)
      choose_label(image, none, options.several_classes);
  std::erase_if(images, [](const AnnotatedImage& image) { return image.label < 0; });
}

/// In the train split.
void check_every_class_is_shown(const Annotations& a) {
  for (size_t label = 0; label < a.classes.size(); ++label) {
    const auto has_label = [&](const AnnotatedImage& image) {
      return image.label == static_cast<int>(label) ||
             std::any_of(image.boxes.begin(), image.boxes.end(),
                         [&](const LabelledBox& box) { return box.label == static_cast<int>(label); });
    };
    if (std::any_of(a.images.begin(), a.images.end(), has_label)) continue;
    const std::string& name = a.data_names[label];
    fail("no image in ", a.images_folder, " shows class '", a.classes[label], "' (", name, ")",
         a.shown.empty()
             ? ""
             : "; the nearest of the classes shown there: " + join(nearest(name, {a.shown.begin(), a.shown.end()})));
  }
}

void keep_sources(const Annotations& a, const std::vector<std::string>& wanted, std::vector<AnnotatedImage>& images) {
  check(a.no_sources.empty(), "images of source ", join(wanted), " were asked for, but ", a.dir,
        " does not say where its images come from (", a.no_sources, ")");
  std::set<std::string> known;
  for (const AnnotatedImage& image : images) known.insert(image.source);
  for (const std::string& source : wanted)
    check(known.contains(source), "source '", source, "' is not in the data; the nearest are ",
          join(nearest(source, {known.begin(), known.end()})));
  std::erase_if(images, [&](const AnnotatedImage& image) {
    return std::find(wanted.begin(), wanted.end(), image.source) == wanted.end();
  });
}

/// Whether "none" is an output; where it is not, its images are left out.
bool settle_none(NoneClass wanted, int none, std::vector<AnnotatedImage>& images, std::vector<Note>& notes) {
  const auto is_none = [&](const AnnotatedImage& image) { return image.label == none; };
  const bool shown = std::any_of(images.begin(), images.end(), is_none);
  if (wanted == NoneClass::on || (wanted == NoneClass::automatic && shown)) return true;
  const size_t before = images.size(), left_out = std::erase_if(images, is_none);
  if (left_out > 0)
    notes.push_back({false, str(left_out, " of ", before, " images show none of the classes and are left out")});
  return false;
}

std::vector<LabelledImage> files_of(Annotations& a, Task task) {
  const int none = static_cast<int>(a.classes.size());
  std::vector<LabelledImage> files;
  files.reserve(a.images.size());
  for (AnnotatedImage& image : a.images) {
    LabelledImage& file = files.emplace_back();
    file.path = (fs::path(a.images_folder) / image.file).string();
    file.id = image.id();
    file.source = std::move(image.source);
    file.group = std::move(image.group);
    file.label = image.label;
    file.in_pixels = a.in_pixels;
    file.height = image.height;
    file.width = image.width;
    for (const LabelledBox& labelled : image.boxes) file.boxes.push_back(labelled.box);
    if (task == Task::single_label) continue;
    for (const LabelledBox& labelled : image.boxes) file.box_classes.push_back(labelled.label);
    if (image.label == none) file.label = -1;
  }
  return files;
}

}  // namespace

void choose_label(AnnotatedImage& image, int none, AnnotationOptions::SeveralClasses several) {
  const auto largest = largest_box(image);
  if (largest == image.boxes.end()) {
    image.label = image.unusable ? -1 : none;
    return;
  }
  image.label = largest->label;
  const size_t others = std::erase_if(image.boxes, [&](const LabelledBox& box) { return box.label != image.label; });
  if (others > 0 && several == AnnotationOptions::SeveralClasses::drop) image.label = -1;
}

std::string AnnotatedImage::id() const { return fs::path(file).replace_extension().generic_string(); }

std::unique_ptr<Dataset> annotated_images(Annotations a, const AnnotationOptions& options) {
  const int none = static_cast<int>(a.classes.size());
  choose_labels(a, none, options);
  if (a.split == "train") check_every_class_is_shown(a);
  if (!options.sources.empty()) keep_sources(a, options.sources, a.images);
  std::vector<std::string> outputs = a.classes;
  if (settle_none(options.none_class, none, a.images, a.notes) && options.task == Task::single_label)
    outputs.push_back("none");
  const auto available = static_cast<int64_t>(a.images.size());
  check(options.max_images >= 0 && options.max_images <= available, options.max_images, " images of split '", a.split,
        "' were asked for, but ", a.dir, " has ", available);
  std::vector<LabelledImage> files = files_of(a, options.task);
  if (options.max_images > 0) keep_subset(files, options.max_images, options.seed);
  return std::make_unique<LabelledImages>(str(a.what, ", ", a.split), std::move(outputs), std::move(files),
                                          std::move(a.notes), options.task);
}

bool is_alias(const std::string& wanted, const std::string& name) {
  return std::any_of(std::begin(aliases), std::end(aliases),
                     [&](const auto& alias) { return lower(wanted) == alias.first && lower(name) == alias.second; });
}

std::vector<std::string> alias_words() {
  std::set<std::string> words;
  for (const auto& [word, name] : aliases) words.insert(word);
  return {words.begin(), words.end()};
}

std::unordered_map<std::string, int> find_classes(Annotations& a, const std::vector<std::string>& wanted,
                                                  const std::set<std::string>& known, const std::string& where) {
  check(!wanted.empty(), "no classes were asked for");
  std::unordered_map<std::string, int> labels;
  for (const std::string& word : wanted) {
    auto found = std::find_if(known.begin(), known.end(), [&](const auto& name) { return lower(name) == lower(word); });
    if (found == known.end())
      found = std::find_if(known.begin(), known.end(), [&](const auto& name) { return is_alias(word, name); });
    if (found == known.end()) {
      std::vector<std::string> words = alias_words();
      words.insert(words.begin(), known.begin(), known.end());
      fail("class '", word, "' is not in the data (", where, " names ", known.size(), " classes); the nearest are ",
           join(nearest(word, words)));
    }
    const auto [before, added] = labels.emplace(*found, static_cast<int>(a.classes.size()));
    if (!added)
      fail("classes '", a.classes[static_cast<size_t>(before->second)], "' and '", word, "' are the same: ", *found);
    a.classes.push_back(word);
    a.data_names.push_back(*found);
  }
  return labels;
}

void choose_classes(Annotations& a, const std::vector<std::string>& names, const std::vector<std::string>& wanted,
                    const std::string& where) {
  std::set<std::string> known(names.begin(), names.end());
  for (const std::string& word : wanted)  // whether there is such a class, the train split says
    if (a.split != "train" && std::none_of(names.begin(), names.end(), [&](const std::string& name) {
          return lower(name) == lower(word) || is_alias(word, name);
        }))
      known.insert(word);
  const auto labels = find_classes(a, wanted, known, where);
  const int none = static_cast<int>(a.classes.size());
  std::vector<int> label_of;
  for (const std::string& name : names) label_of.push_back(labels.contains(name) ? labels.at(name) : -1);
  for (AnnotatedImage& image : a.images) {
    for (LabelledBox& box : image.boxes) {
      a.shown.insert(names[static_cast<size_t>(box.label)]);
      box.label = label_of[static_cast<size_t>(box.label)];
      image.unusable |= box.label >= 0 && box.unusable;
    }
    std::erase_if(image.boxes, [](const LabelledBox& box) { return box.label < 0 || box.unusable; });
    if (image.label < 0) continue;
    const int label = label_of[static_cast<size_t>(image.label)];
    image.label = label < 0 ? none : label;
  }
}

bool leads_out(const std::string& name) {
  const fs::path path(name);
  return path.is_absolute() || name.find('\0') != name.npos || std::find(path.begin(), path.end(), "..") != path.end();
}

Box checked_shares(const Box& shares, const std::string& where) {
  const auto inside = [](double value) { return value >= -0.01 && value <= 1.01; };  // NaN is outside
  check(inside(shares.x_min) && inside(shares.y_min) && inside(shares.x_max) && inside(shares.y_max), where,
        ": the box, in shares of the picture's sides, is ", shares.x_min, " ", shares.y_min, " ", shares.x_max, " ",
        shares.y_max, ", expected values from 0 to 1");
  check(shares.x_min <= shares.x_max && shares.y_min <= shares.y_max, where,
        ": the box ends before it begins: in shares of the picture's sides it is ", shares.x_min, " ", shares.y_min,
        " ", shares.x_max, " ", shares.y_max);
  const auto cut = [](double value) { return std::clamp(value, 0.0, 1.0); };
  return {cut(shares.x_min), cut(shares.y_min), cut(shares.x_max), cut(shares.y_max)};
}

Box checked_shares(const Box& p, double width, double height, const std::string& where) {
  return checked_shares(Box{p.x_min / width, p.y_min / height, p.x_max / width, p.y_max / height}, where);
}

}  // namespace boxcam
