#include "apps/common/background_variants.h"

#include <algorithm>
#include <cmath>

#include "apps/common/evaluation.h"
#include "nn/input.h"

namespace boxcam {

namespace {

/// Accuracy alone, which needs no CAM: NaN without an image; empty when stopped.
std::optional<double> accuracy_on(Classifier& model, const Dataset& data, const DataOptions& o,
                                  const std::function<bool()>& stop) {
  if (data.size() == 0) return std::nan("");
  const NoGrad no_grad;
  Loader loader(data, loader_options(o, data, false, 0));
  loader.start_epoch(0);
  int64_t right = 0;
  while (const auto batch = loader.next()) {
    if (stop && stop()) return {};
    const Tensor x = input_tensor(*batch, model.device());
    const std::vector<int32_t> predicted = predictions(model.forward(x, ForwardOptions::observing()).logits);
    for (size_t n = 0; n < predicted.size(); ++n) right += predicted[n] == batch->labels[n];
  }
  return static_cast<double>(right) / static_cast<double>(data.size());
}

/// "mixed_same_accuracy".
std::string key_of(std::string variant) {
  std::replace(variant.begin(), variant.end(), '-', '_');
  return variant + "_accuracy";
}

}  // namespace

double BackgroundVariants::accuracy_on(const std::string& variant) const {
  for (const auto& [name, value] : accuracy)
    if (name == variant) return value;
  fail("no accuracy was measured on the variant ", variant);
}

std::optional<BackgroundVariants> measure_background_variants(Classifier& model, DataOptions& o,
                                                              const std::function<bool()>& stop) {
  BackgroundVariants result;
  for (const DataSplit& split : open_splits(o, data_kind(o).variants)) {
    const std::optional<double> accuracy = accuracy_on(model, *split.data, o, stop);
    if (!accuracy) return {};
    result.images = split.data->size();
    result.accuracy.emplace_back(split.name, *accuracy);
  }
  return result;
}

void add_to_json(nlohmann::json& json, const BackgroundVariants& variants) {
  for (const auto& [variant, accuracy] : variants.accuracy) json[key_of(variant)] = number(accuracy);
  json["bg_gap"] = number(variants.bg_gap());
  json["variant_images"] = variants.images;
}

std::string background_variants_text(const BackgroundVariants& variants) {
  std::string text = str("  accuracy of ", variants.images, " images with objects:");
  for (const auto& [variant, accuracy] : variants.accuracy)
    text += str(text.ends_with(":") ? " " : ", ", variant, " ", percent(accuracy));
  return text + str("\n  BG-gap (mixed-same - mixed-rand) ", percent(variants.bg_gap()), "\n");
}

}  // namespace boxcam
