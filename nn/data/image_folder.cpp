#include "nn/data/image_folder.h"

#include <algorithm>
#include <filesystem>

#include "engine/base/check.h"
#include "engine/base/text.h"
#include "nn/data/image.h"
#include "nn/data/open_images.h"

namespace boxcam {

namespace {

namespace fs = std::filesystem;

fs::path folder_of(const std::string& dir, const std::string& split) {
  const fs::path named = fs::path(dir) / split, shorter = fs::path(dir) / "val";
  return split == "validation" && !fs::is_directory(named) && fs::is_directory(shorter) ? shorter : named;
}

bool is_hidden(const fs::path& path) { return path.filename().string().starts_with("."); }

bool is_image(const fs::path& path) {
  const std::string extension = lower(path.extension().string());
  return extension == ".jpg" || extension == ".jpeg" || extension == ".png";
}

/// Sorted; "none" last.
std::vector<std::string> folders_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.is_directory() && !is_hidden(entry.path())) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end(), [](const std::string& a, const std::string& b) {
    return std::pair(a == "none", a) < std::pair(b == "none", b);
  });
  return names;
}

/// Of a class' folder and those in it, sorted.
std::vector<fs::path> images_in(const fs::path& folder) {
  std::vector<fs::path> files;
  for (auto at = fs::recursive_directory_iterator(folder); at != fs::recursive_directory_iterator(); ++at) {
    if (is_hidden(at->path())) {
      if (at->is_directory()) at.disable_recursion_pending();
    } else if (at->is_regular_file() && is_image(at->path())) {
      files.push_back(at->path());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

struct Entry {
  fs::path file;
  int64_t label;
};

class ImageFolder : public Dataset {
 public:
  ImageFolder(fs::path folder, std::vector<std::string> classes, std::vector<Entry> entries)
      : folder_(std::move(folder)), classes_(std::move(classes)), entries_(std::move(entries)) {}

  int64_t size() const override { return static_cast<int64_t>(entries_.size()); }
  int64_t label(int64_t index) const override { return entry(index).label; }
  const std::vector<std::string>& classes() const override { return classes_; }

  Sample load(int64_t index) const override {
    const Entry& from = entry(index);
    const std::string& class_name = classes_[static_cast<size_t>(from.label)];
    Sample sample;
    sample.image = read_image(from.file);
    sample.label = from.label;
    sample.id = from.file.lexically_relative(folder_ / class_name).replace_extension().generic_string();
    return sample;
  }

  std::string describe() const override {
    std::vector<int64_t> counts(classes_.size());
    for (const Entry& from : entries_) ++counts[static_cast<size_t>(from.label)];
    std::vector<std::string> parts;
    for (size_t i = 0; i < classes_.size(); ++i) parts.push_back(str(classes_[i], " ", counts[i]));
    return str("image folders in ", folder_.string(), ": ", size(), " images without boxes (", join(parts), ")");
  }

 private:
  const Entry& entry(int64_t index) const {
    check(index >= 0 && index < size(), "image ", index, " of ", size(), " was asked for");
    return entries_[static_cast<size_t>(index)];
  }

  fs::path folder_;
  std::vector<std::string> classes_;
  std::vector<Entry> entries_;
};

}  // namespace

bool has_image_folder(const std::string& dir, const std::string& split) {
  return fs::is_directory(folder_of(dir, split));
}

std::unique_ptr<Dataset> image_folder(const std::string& dir, const std::string& split,
                                      const ImageFolderOptions& options) {
  const fs::path folder = folder_of(dir, split);
  check(fs::is_directory(folder), "there is no folder ", folder.string(), " with a folder of images for each class");
  const std::vector<std::string> found = folders_in(folder);
  check(!found.empty(), folder.string(), " holds no folders: expected one for each class, with its images");
  const std::vector<std::string> classes = options.classes.empty() ? found : options.classes;
  std::vector<Entry> entries;
  for (size_t label = 0; label < classes.size(); ++label) {
    const std::string& name = classes[label];
    check(std::count(classes.begin(), classes.end(), name) == 1, "the class ", name, " is named twice");
    check(std::find(found.begin(), found.end(), name) != found.end(), folder.string(), " has no folder '", name, "'",
          did_you_mean(name, found));
    const std::vector<fs::path> files = images_in(folder / name);
    check(!files.empty() || split != "train", (folder / name).string(), " holds no image");
    for (const fs::path& file : files) entries.push_back({file, static_cast<int64_t>(label)});
  }
  const int64_t all = static_cast<int64_t>(entries.size());
  check(all > 0, folder.string(), " holds no image");
  if (options.max_images > 0) {
    check(options.max_images <= all, options.max_images, " images were asked for, but ", folder.string(), " has ", all);
    std::vector<Entry> kept;
    for (const int64_t i : drawn_subset(all, options.max_images, options.seed))
      kept.push_back(std::move(entries[static_cast<size_t>(i)]));
    entries = std::move(kept);
  }
  return std::make_unique<ImageFolder>(folder, classes, std::move(entries));
}

}  // namespace boxcam
