#include "apps/common/test_images.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>

#include "apps/common/overlays.h"
#include "engine/base/file.h"

namespace boxcam {

namespace {

constexpr int64_t kFixed = 8;          // of a split
constexpr size_t kExtremes = 4;        // best ones, and as many worst ones
constexpr int kSmallestPicture = 128;  // pixels of its longer side: smaller ones are enlarged

using Shown = std::map<int64_t, std::vector<std::string>>;  // why an image is shown

/// Larger is better: right before wrong, then the CAM inside the boxes, then doubt before certainty in what is wrong.
double quality(const ImageResult& image) { return image.right() ? 1 + image.content_heatmap() : 1 - image.score; }

/// Which images are shown, by their index. Ones without a Content-Heatmap can only be shown where they are wrong.
Shown chosen(const TestedSplit& tested) {
  Shown shown;
  for (const int64_t index : first_of_each_class(*tested.split.data, kFixed)) shown[index].emplace_back("fixed");
  if (tested.evaluation.metrics.task() == Task::multi_label) return shown;  // there is no right and wrong
  std::vector<const ImageResult*> ranked;
  for (const ImageResult& image : tested.evaluation.images)
    if (!std::isnan(quality(image))) ranked.push_back(&image);
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const ImageResult* a, const ImageResult* b) { return quality(*a) < quality(*b); });
  const size_t most = std::min(kExtremes, ranked.size() / 2);
  for (size_t i = 0; i < most; ++i) {
    shown[ranked[i]->index].emplace_back("worst");
    const ImageResult& best = *ranked[ranked.size() - 1 - i];
    if (best.right()) shown[best.index].emplace_back("best");
  }
  return shown;
}

nlohmann::json line_of(const ImageResult& image, const DataSplit& split) {
  const std::vector<std::string>& classes = split.data->classes();
  nlohmann::json line = {{"split", split.name},
                         {"index", image.index},
                         {"id", image.id},
                         {"source", image.source},
                         {"label", classes[image.label]},
                         {"score", number(image.score)},
                         {"inside", number(image.cam.inside)},
                         {"total", number(image.cam.total)},
                         {"covered", number(image.cam.covered)},
                         {"box_area", number(image.cam.box_area)}};
  if (image.predicted >= 0) line["predicted"] = classes[image.predicted];
  return line;
}

}  // namespace

void write_test_images(const std::string& folder, Classifier& model, const std::vector<TestedSplit>& splits,
                       const DataOptions& data, const ExplainOptions& explain) {
  const std::string pictures = folder + "/pictures";
  std::error_code error;
  std::filesystem::create_directories(pictures, error);
  check(!error, "cannot make the folder ", pictures, ": ", error.message());
  std::string text;
  for (size_t s = 0; s < splits.size(); ++s) {
    const DataSplit& split = splits[s].split;
    const Shown shown = chosen(splits[s]);
    for (const ImageResult& image : splits[s].evaluation.images) {
      nlohmann::json line = line_of(image, split);
      if (const auto found = shown.find(image.index); found != shown.end()) {
        const bool several = data.task == Task::multi_label;
        const std::string file =
            str("pictures/", s, "-", image.index, several ? str("-", image.label) : std::string(), ".png");
        Sample sample = prepare(split.data->load(image.index), preprocess_of(data, false), nullptr);
        if (several) sample = with_boxes_of(std::move(sample), image.label);
        const int64_t explained = explain.explains == ExplainOptions::Class::predicted ? -1 : image.label;
        write_png(folder + "/" + file,
                  plain_overlay(sample, explain_image(model, sample.image, explained, explain), kSmallestPicture));
        line["picture"] = file;
        line["shown"] = found->second;
      }
      text += json_text(line) + "\n";
    }
  }
  write_file(folder + "/test_images.jsonl", {text});
}

}  // namespace boxcam
