#include "nn/data/image_folder.h"

#include <algorithm>
#include <filesystem>

#include "engine/base/check.h"
#include "engine/base/text.h"
#include "nn/data/labelled_images.h"

namespace boxcam {

namespace {

namespace fs = std::filesystem;

fs::path folder_of(const std::string& dir, const std::string& split) {
  const fs::path named = fs::path(dir) / split, shorter = fs::path(dir) / "val";
  return split == "validation" && !fs::is_directory(named) && fs::is_directory(shorter) ? shorter : named;
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
    if (is_image_file(*at)) files.push_back(at->path());
    if (is_hidden(at->path())) at.disable_recursion_pending();
  }
  std::sort(files.begin(), files.end());
  return files;
}

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
  std::vector<LabelledImage> images;
  for (size_t label = 0; label < classes.size(); ++label) {
    const std::string& name = classes[label];
    check(std::count(classes.begin(), classes.end(), name) == 1, "the class ", name, " is named twice");
    check(std::find(found.begin(), found.end(), name) != found.end(), folder.string(), " has no folder '", name, "'",
          did_you_mean(name, found));
    const std::vector<fs::path> files = images_in(folder / name);
    check(!files.empty() || split != "train", (folder / name).string(), " holds no image");
    for (const fs::path& file : files)
      images.push_back({file.string(),
                        file.lexically_relative(folder / name).replace_extension().generic_string(),
                        {},
                        static_cast<int64_t>(label),
                        {}});
  }
  const int64_t all = static_cast<int64_t>(images.size());
  check(all > 0, folder.string(), " holds no image");
  if (options.max_images > 0) {
    check(options.max_images <= all, options.max_images, " images were asked for, but ", folder.string(), " has ", all);
    keep_subset(images, options.max_images, options.seed);
  }
  return std::make_unique<LabelledImages>("image folders in " + folder.string(), classes, std::move(images));
}

}  // namespace boxcam
