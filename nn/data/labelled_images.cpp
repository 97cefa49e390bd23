#include "nn/data/labelled_images.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <system_error>
#include <thread>

#include "engine/base/check.h"
#include "engine/base/text.h"
#include "nn/data/identity.h"
#include "nn/data/image.h"

namespace boxcam {

namespace fs = std::filesystem;

namespace {

constexpr size_t kReaders = 8;  // threads that look into files: they wait for the disk more than they compute

/// What one look into a file shows.
struct Look {
  ImageHeader header;
  std::exception_ptr error;
};

std::vector<Look> look_into(const std::vector<LabelledImage>& files) {
  std::vector<Look> looks(files.size());
  std::atomic<size_t> next = 0;
  const auto read = [&] {
    for (size_t i = next++; i < files.size(); i = next++) try {
        looks[i].header = inspect_image(files[i].path);
      } catch (...) {
        looks[i].error = std::current_exception();
      }
  };
  {
    std::vector<std::jthread> readers;
    try {
      while (readers.size() + 1 < std::min(kReaders, files.size())) readers.emplace_back(read);
    } catch (const std::system_error&) {  // the system gives no more threads: fewer do it too
    }
    read();
  }
  return looks;
}

/// The image's boxes in its pixels, cut off at its sides.
std::vector<Box> pixel_boxes(const LabelledImage& file, double height, double width) {
  std::vector<Box> boxes;
  for (const Box& box : file.boxes)
    if (file.in_pixels)
      boxes.push_back({std::clamp(box.x_min, 0.0, width), std::clamp(box.y_min, 0.0, height),
                       std::clamp(box.x_max, 0.0, width), std::clamp(box.y_max, 0.0, height)});
    else
      boxes.push_back({box.x_min * width, box.y_min * height, box.x_max * width, box.y_max * height});
  return boxes;
}

/// By how much of the image's side a box in pixels, which only now can be compared with its image, lies outside. Throws
/// Error where that is more than a tenth, or nothing lies inside.
double outside(const LabelledImage& file, const ImageHeader& header) {
  if (!file.in_pixels) return 0;
  const double width = header.width, height = header.height;
  double most = 0;
  for (const Box& b : file.boxes) {
    most = std::max({most, -b.x_min / width, -b.y_min / height, b.x_max / width - 1, b.y_max / height - 1});
    check(most <= 0.1 && b.x_min < width && b.y_min < height && b.x_max > 0 && b.y_max > 0, "image ", file.path, " of ",
          header.width, " x ", header.height, " pixels has a box from ", b.x_min, " ", b.y_min, " to ", b.x_max, " ",
          b.y_max, ": expected one inside it");
  }
  return most;
}

/// Whether what `preprocess` shows of an image leaves something of one of its boxes, or it has none.
bool shows_a_box(const LabelledImage& file, const ImageHeader& header, const Preprocess& preprocess) {
  const Box shown = shown_part(header.height, header.width, preprocess);
  const std::vector<Box> boxes = pixel_boxes(file, header.height, header.width);
  return boxes.empty() || std::any_of(boxes.begin(), boxes.end(), [&](const Box& box) {
           return std::max(box.x_min, shown.x_min) < std::min(box.x_max, shown.x_max) &&
                  std::max(box.y_min, shown.y_min) < std::min(box.y_max, shown.y_max);
         });
}

}  // namespace

LabelledImages::LabelledImages(std::string place, std::vector<std::string> classes, std::vector<LabelledImage> files,
                               std::vector<Note> notes, Task task)
    : place_(std::move(place)),
      classes_(std::move(classes)),
      files_(std::move(files)),
      notes_(std::move(notes)),
      task_(task) {}

const LabelledImage& LabelledImages::file(int64_t index) const {
  check(index >= 0 && index < size(), "image ", index, " of ", size(), " was asked for");
  return files_[static_cast<size_t>(index)];
}

Sample LabelledImages::load(int64_t index) const {
  const LabelledImage& from = file(index);
  Sample sample;
  sample.image = read_image(from.path);
  sample.label = from.label;
  sample.id = from.id;
  sample.source = from.source;
  sample.group = from.group;
  sample.boxes = pixel_boxes(from, sample.image.height, sample.image.width);
  sample.box_classes = from.box_classes;
  sample.shown = distinct(from.box_classes);
  return sample;
}

std::vector<int32_t> LabelledImages::shown(int64_t index) const {
  return task_ == Task::multi_label ? distinct(file(index).box_classes) : Dataset::shown(index);
}

std::string LabelledImages::describe() const { return str(place_, ": ", content()); }

std::string LabelledImages::content() const {
  const bool boxed = std::any_of(files_.begin(), files_.end(), [](const LabelledImage& f) { return !f.boxes.empty(); });
  std::string text = Dataset::content();
  if (!boxed) text.insert(text.find(" ("), " without boxes");
  return text;
}

std::string LabelledImages::identity() const {
  Identity identity;
  identity.add(classes_);
  const bool grouped = std::any_of(files_.begin(), files_.end(), [](const auto& f) { return !f.group.empty(); });
  for (const LabelledImage& f : files_) {
    identity.add(f.id);
    identity.add(f.source);
    identity.add(f.label);
    identity.add(f.boxes);
    if (grouped) identity.add(f.group);
    if (task_ == Task::multi_label)
      for (const int32_t label : f.box_classes) identity.add(int64_t{label});
    std::error_code error;  // a file that is gone has no size, and whoever reads it will say so
    const uintmax_t bytes = fs::file_size(f.path, error);
    identity.add(error ? int64_t{-1} : static_cast<int64_t>(bytes));
  }
  return identity.digits();
}

std::vector<std::string> LabelledImages::inspect(const Preprocess& preprocess) {
  const std::vector<Look> looks = look_into(files_);
  const bool cropped = preprocess.resize == Preprocess::Resize::crop &&
                       preprocess.augment != Preprocess::Augment::crop_flip;  // which keeps a box
  std::vector<std::string> broken;
  std::vector<LabelledImage> kept;
  std::vector<std::string> odd;
  std::string other_size, first_cut_off;  // of the first such images
  int64_t turned = 0, lost = 0, other_sizes = 0, cut_off = 0;
  for (size_t i = 0; i < files_.size(); ++i) {
    const auto& [header, error] = looks[i];
    try {
      if (error) std::rethrow_exception(error);
    } catch (const Error& e) {
      broken.emplace_back(e.what());
      continue;
    }
    if (outside(files_[i], header) > 0.01 && cut_off++ == 0) first_cut_off = files_[i].path;
    if (!header.note.empty()) odd.push_back(header.note);
    const auto& [height, width] = std::pair(files_[i].height, files_[i].width);
    if (height > 0 && (height != header.height || width != header.width) && other_sizes++ == 0)
      other_size = str(files_[i].path, " has ", header.width, " x ", header.height, " pixels, its annotations say ",
                       width, " x ", height);
    turned += header.orientation != 1;
    lost += cropped && !shows_a_box(files_[i], header, preprocess);
    kept.push_back(std::move(files_[i]));
  }
  files_ = std::move(kept);
  if (!odd.empty())
    notes_.push_back({false, str(odd.size(), " of ", size(), " images are odd, but whole; the first: ", odd.front())});
  if (turned > 0)
    notes_.push_back(
        {false, str(turned, " of ", size(),
                    " images carry an EXIF turn, which is not applied: boxes are in the pixels as the file "
                    "has them")});
  if (cut_off > 0)
    notes_.push_back({false, str("boxes of ", cut_off, " of ", size(),
                                 " images are cut off at the picture's side, of which they stick out by more than 1 %; "
                                 "the first: ",
                                 first_cut_off)});
  if (other_sizes > 0)
    notes_.push_back({true, str(other_sizes, " of ", size(),
                                " images have another size than their annotations say, "
                                "so boxes are taken as shares of their sides; the first: ",
                                other_size)});
  if (lost > 0) notes_.push_back({false, lost_boxes_note(lost, size())});
  return broken;
}

void keep_subset(std::vector<LabelledImage>& files, int64_t count, uint64_t seed) {
  std::vector<LabelledImage> kept;
  for (const int64_t i : drawn_subset(static_cast<int64_t>(files.size()), count, seed))
    kept.push_back(std::move(files[static_cast<size_t>(i)]));
  files = std::move(kept);
}

bool is_hidden(const fs::path& path) { return path.filename().string().starts_with("."); }

bool is_image_file(const fs::directory_entry& entry) {
  const std::string extension = lower(entry.path().extension().string());
  std::error_code error;
  return (extension == ".jpg" || extension == ".jpeg" || extension == ".png") && !is_hidden(entry.path()) &&
         !entry.is_directory(error);
}

}  // namespace boxcam
